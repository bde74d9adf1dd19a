"""data stats, data validate, predict."""

import json
import sys
from types import SimpleNamespace

import pytest
from command_line import invoke

import benchmark.interop
from benchmark.errors import UserError

DOCUMENT = {
    "title": "A town",
    "sents": [["Ada", "lives", "in", "Rome", "."]],
    "vertexSet": [
        [{"name": "Ada", "pos": [0, 1], "sent_id": 0, "type": "PER"}],
        [{"name": "Rome", "pos": [3, 4], "sent_id": 0, "type": "LOC"}],
    ],
    "labels": [{"h": 0, "t": 1, "r": "lives_in"}],
}


@pytest.fixture
def documents(tmp_path):
    path = tmp_path / "documents.json"
    path.write_text(json.dumps([DOCUMENT]))
    return path


def test_stats(documents):
    result = invoke("data", "stats", documents)
    assert result.exit_code == 0, result.output
    shown = " ".join(result.stdout.split())
    assert "documents 1 " in shown and "mentions 2 " in shown and "ordered entity pairs 2" in shown
    assert "the ten most frequent of this file" in shown
    shown = " ".join(invoke("data", "stats", documents, "--frequent", "re-docred").stdout.split())
    assert "frequent / tail share of facts 0.0 % / 100.0 %" in shown


def test_faults_of_a_file(documents, tmp_path):
    result = invoke("data", "validate", documents)
    unseen = "relation names were not checked"
    assert result.exit_code == 0 and "no fault" in result.stdout and unseen in result.stdout
    lost = [{"h": 0, "t": 7, "r": "lives_in"}, {"h": 0, "t": 1, "r": "live_in"}]
    documents.write_text(json.dumps([DOCUMENT, DOCUMENT, DOCUMENT | {"labels": lost}]))
    (tmp_path / "relations.json").write_text(json.dumps(["lives_in"]))
    result = invoke("data", "validate", documents, "--relations", tmp_path / "relations.json")
    assert result.exit_code == 1
    told = ("same title", "labels[0].t: entity 7 does not exist", "Did you mean 'lives_in'")
    assert all(text in result.stdout for text in (*told, "errors")) and unseen not in result.stdout
    result = invoke("data", "stats", documents)
    assert result.exit_code == 2 and "Traceback" not in result.output
    assert f"{documents}: document 1 'A town', title: " in result.stderr
    documents.write_text(documents.read_text()[:-20])  # cut off
    result = invoke("data", "validate", documents)
    assert result.exit_code == 1 and str(documents) in result.stdout
    result = invoke("data", "validate", tmp_path / "nowhere.json")
    assert result.exit_code == 2 and "nowhere.json: no such file" in result.stderr


def test_validate_sums_up_by_kind_and_lists_all_on_demand(documents):
    looped = [{"h": 0, "t": 0, "r": f"r{i}"} for i in range(5)]
    lost = [{"h": 0, "t": 7, "r": "lives_in"}]
    documents.write_text(json.dumps([DOCUMENT | {"labels": looped + lost}]))
    result = invoke("data", "validate", documents)
    lines = result.stdout.splitlines()
    assert result.exit_code == 1
    assert lines[0].startswith("error, 1 x labels[].t: entity … does not exist")
    assert lines[1].startswith(f"  {documents}: document 0 'A town', labels[5].t: entity 7")
    assert lines[2].startswith("warning, 5 x labels[]: relates entity … to itself")
    assert [f"labels[{i}]: relates entity 0" in lines[3 + i] for i in range(3)] == [True] * 3
    assert lines[6:8] == ["1 error, 5 warnings", "--all lists every fault"]
    every = invoke("data", "validate", documents, "--all").stdout.splitlines()
    assert len(every) == 8 and every[6] == "1 error, 5 warnings"
    assert [line.split(":")[0] for line in every[:6]] == ["warning"] * 5 + ["error"]


FACT = {"title": "Zürich", "h_idx": 0, "t_idx": 1, "r": "P17", "relation": "country", "score": 1.5}
FACT |= {"head": "Ada", "tail": "Rome"}


@pytest.fixture
def model(monkeypatch):
    """A stored model that finds two facts."""
    fake = SimpleNamespace(facts=[FACT, FACT], rows=[{"title": "Zürich", "entities": [{}, {}]}])

    def predict(run, documents, threshold):
        if str(run) == "missing":
            raise UserError(f"{run}: not a finished run")
        return fake.facts

    module = SimpleNamespace(predict=predict, own_documents=lambda path, ner: fake.rows)
    monkeypatch.setitem(sys.modules, "benchmark.interop.predict", module)
    monkeypatch.setattr(benchmark.interop, "predict", module, raising=False)
    return fake


def test_predict_prints_a_table_or_json_or_writes_a_file(model, documents, tmp_path):
    result = invoke("predict", "some/run", documents)
    assert result.exit_code == 0, result.output
    assert result.stdout.count("Zürich") == 2 and "country" in result.stdout
    assert json.loads(invoke("predict", "some/run", documents, "--json").stdout) == model.facts
    out = tmp_path / "facts.json"
    result = invoke("predict", "some/run", documents, "--out", out)
    assert json.loads(out.read_text()) == model.facts
    assert result.stdout == "" and "2 facts" in result.stderr
    model.facts = []
    assert "no relation was found" in invoke("predict", "some/run", documents).stderr
    invoke("predict", "some/run", documents, "--out", out)
    assert json.loads(out.read_text()) == []


@pytest.mark.parametrize(("entities", "found"), [([], "no entity"), ([{}], "one entity")])
def test_a_document_without_two_entities_is_told(model, documents, entities, found):
    model.rows, model.facts = [{"title": "Alone", "entities": entities}], []
    result = invoke("predict", "some/run", documents, "--json")
    assert result.stdout == "[]\n"
    assert f"'Alone' has {found}: a relation needs two" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["some/run", "--out", "nowhere/facts.json"], "a folder that exists"),
        (["some/run", "--out", "."], "expected a file"),
        (["missing"], "error: missing: not a finished run\n"),
    ],
)
def test_mistakes_of_predict(model, documents, arguments, message):
    run, *options = arguments
    result = invoke("predict", run, documents, *options)
    assert result.exit_code == 2 and message in result.stderr and "Traceback" not in result.output
