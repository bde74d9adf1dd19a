"""data stats, data validate, predict."""

import json
import sys
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

import benchmark.interop
from benchmark.commands.app import app
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


def invoke(*arguments):
    return CliRunner().invoke(
        app, [str(argument) for argument in arguments], env={"COLUMNS": "200"}
    )


@pytest.fixture
def documents(tmp_path):
    path = tmp_path / "documents.json"
    path.write_text(json.dumps([DOCUMENT]))
    return path


def test_stats(documents):
    result = invoke("data", "stats", documents)
    assert result.exit_code == 0, result.output
    rows = dict(
        line.strip().split("  ", 1) for line in result.stdout.splitlines() if "  " in line.strip()
    )
    assert rows["documents"].strip() == "1"
    assert rows["mentions"].strip() == "2"
    assert rows["ordered entity pairs"].strip() == "2"


def test_stats_of_a_faulty_file(documents):
    documents.write_text(json.dumps([DOCUMENT | {"labels": [{"h": 0, "t": 7, "r": "lives_in"}]}]))
    result = invoke("data", "stats", documents)
    assert result.exit_code == 2
    assert (
        "'A town', labels[0].t: entity 7 does not exist" in result.stderr
        and "Traceback" not in result.output
    )


def test_validate_a_sound_file(documents):
    result = invoke("data", "validate", documents)
    assert result.exit_code == 0 and "no fault" in result.stdout


def test_validate_lists_all_faults(documents):
    faulty = DOCUMENT | {
        "title": "Another",
        "labels": [{"h": 0, "t": 7, "r": "lives_in"}, {"h": 0, "t": 1, "r": "live_in"}],
    }
    documents.write_text(json.dumps([DOCUMENT, DOCUMENT, faulty]))
    inventory = documents.parent / "relations.json"
    inventory.write_text(json.dumps(["lives_in"]))
    result = invoke("data", "validate", documents, "--relations", inventory)
    assert result.exit_code == 1
    assert "same title" in result.stdout
    assert "labels[0].t: entity 7 does not exist" in result.stdout
    assert "Did you mean 'lives_in'" in result.stdout
    assert "3 errors" in result.stdout


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
    assert lines[6:] == ["1 error, 5 warnings", "--all lists every one"]
    every = invoke("data", "validate", documents, "--all").stdout.splitlines()
    assert len(every) == 7 and every[-1] == "1 error, 5 warnings"
    assert [line.split(":")[0] for line in every[:-1]] == ["warning"] * 5 + ["error"]


def test_validate_a_file_that_is_not_there(tmp_path):
    result = invoke("data", "validate", tmp_path / "nowhere.json")
    assert (
        result.exit_code == 2
        and result.stderr.startswith("error: ")
        and "no such file" in result.stderr
    )


def test_validate_a_truncated_file(documents):
    documents.write_text(documents.read_text()[:-20])
    result = invoke("data", "validate", documents)
    assert (
        result.exit_code == 1 and str(documents) in result.stdout and "1 error\n" in result.stdout
    )


@pytest.fixture
def model(monkeypatch):
    """A stored model that finds two facts."""
    facts = [
        {"title": "Zürich", "h_idx": 0, "t_idx": 1, "r": "P17", "relation": "country", "score": 1.5}
    ] * 2
    fake = SimpleNamespace(facts=facts)
    row = {"title": "Zürich", "entities": [{}, {}]}
    fake.rows = [row]
    module = SimpleNamespace(
        predict=lambda run, documents, threshold: fake.facts,
        own_documents=lambda path, ner: fake.rows,
    )
    monkeypatch.setitem(sys.modules, "benchmark.interop.predict", module)
    monkeypatch.setattr(benchmark.interop, "predict", module, raising=False)
    return fake


def test_predict_prints_json(model, documents):
    result = invoke("predict", "some/run", documents, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == model.facts


def test_predict_prints_a_table(model, documents):
    for fact in model.facts:
        fact |= {"head": "Ada", "tail": "Rome"}
    result = invoke("predict", "some/run", documents)
    assert result.exit_code == 0, result.output
    assert result.stdout.count("Zürich") == 2 and "country" in result.stdout
    model.facts = []
    assert "no relation was found" in invoke("predict", "some/run", documents).stderr


@pytest.mark.parametrize(("entities", "found"), [([], "no entity"), ([{}], "one entity")])
def test_a_document_without_two_entities_is_told(model, documents, entities, found):
    model.rows, model.facts = [{"title": "Alone", "entities": entities}], []
    result = invoke("predict", "some/run", documents, "--json")
    assert result.stdout == "[]\n"
    assert f"'Alone' has {found}: a relation needs two" in result.stderr


def test_predict_writes_a_file(model, documents, tmp_path):
    out = tmp_path / "facts.json"
    result = invoke("predict", "some/run", documents, "--out", out)
    assert json.loads(out.read_text()) == model.facts
    assert result.stdout == "" and "2 facts" in result.stderr
    model.facts = []
    invoke("predict", "some/run", documents, "--out", out)
    assert json.loads(out.read_text()) == []


def test_predict_into_a_folder_that_is_not_there(model, documents, tmp_path):
    result = invoke("predict", "some/run", documents, "--out", tmp_path / "nowhere" / "facts.json")
    assert result.exit_code == 2 and "nowhere" in result.stderr and "Traceback" not in result.output


def test_predict_without_a_model(model, documents, monkeypatch):
    def missing(run, documents, threshold):
        raise UserError(f"{run}: not a finished run")

    monkeypatch.setattr(benchmark.interop.predict, "predict", missing)
    result = invoke("predict", "some/run", documents)
    assert (result.exit_code, result.stderr) == (2, "error: some/run: not a finished run\n")


def test_stats_count_repeated_facts_and_take_a_list_of_frequent_relations(documents):
    fact = {"h": 0, "t": 1, "r": "lives_in"}
    documents.write_text(json.dumps([DOCUMENT | {"labels": [fact, fact]}]))
    shown = " ".join(invoke("data", "stats", documents).stdout.split())
    assert "stated twice" in shown and "the ten most frequent of this file" in shown
    shown = " ".join(invoke("data", "stats", documents, "--frequent", "re-docred").stdout.split())
    assert "frequent / tail share of facts 0.0 % / 100.0 %" in shown


def test_predict_to_a_folder_is_a_mistake_of_the_user(model, documents, tmp_path):
    result = invoke("predict", "some/run", documents, "--out", tmp_path)
    assert (
        result.exit_code == 2
        and "a folder stands there" in result.stderr
        and "Traceback" not in result.output
    )
