"""Documents that someone wants predictions for."""

import json

import pytest
from tiny_runs import config, execute

from benchmark.errors import DataError, UserError
from benchmark.interop.predict import own_documents, predict

WORDS = ["Marie", "Curie", "was", "born", "in", "Warsaw"]
ENTITIES = [[{"sent_id": 0, "pos": [0, 2]}], [{"sent_id": 0, "pos": [5, 6]}]]


def read(tmp_path, *documents):
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(documents))
    return own_documents(file)


def test_titles_names_and_types_are_not_needed(tmp_path):
    document = {"sents": [WORDS], "vertexSet": ENTITIES}
    rows = read(tmp_path, document, {**document, "title": "Mine", "labels": "never looked at"})
    assert rows["title"] == ["document 1", "Mine"]
    entities = rows[0]["entities"]
    assert [e["mentions"][0]["name"] for e in entities] == ["Marie Curie", "Warsaw"]
    assert [entity["type"] for entity in entities] == ["", ""] and rows[0]["facts"] == []


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"pos": [5, 9]}, r"document 0 'document 1', vertexSet\[1\]\[0\].pos.*outside"),
        ({"sent_id": 3}, r"vertexSet\[1\]\[0\].sent_id: sentence 3 does not exist"),
        ({"pos": None}, "pos: expected a valid list"),
        ({"name": 7}, "name: expected a valid string"),
    ],
)
def test_what_is_there_must_be_right(tmp_path, fault, told):
    entities = [ENTITIES[0], [{**ENTITIES[1][0], **fault}]]
    with pytest.raises(DataError, match=f"mine.json: .*{told}"):
        read(tmp_path, {"sents": [WORDS], "vertexSet": entities})


@pytest.mark.parametrize("document", [7, {"sents": [WORDS]}, {"sents": [WORDS], "vertexSet": 3}])
def test_a_document_must_be_one(tmp_path, document):
    with pytest.raises(DataError, match="mine.json: document 0"):
        read(tmp_path, document)


def test_json_is_told_by_its_suffix_in_any_case(tmp_path):
    file = tmp_path / "MINE.JSON"
    file.write_text(json.dumps([{"sents": [WORDS], "vertexSet": ENTITIES}]))
    assert own_documents(file)["title"] == ["document 1"]


def test_text_with_marked_entities(tmp_path):
    file = tmp_path / "mine.txt"
    file.write_text("[Marie Curie|1] was born in [Warsaw|2|LOC].")
    (row,) = own_documents(file)
    assert row["title"] == "mine 1" and row["entities"][1]["type"] == "LOC"


def test_the_thresholds_that_were_tuned_on_dev(tmp_path):
    run = execute(tmp_path, config("atlop"), finish=False)
    metrics = run.read_json("metrics.json")
    assert metrics["thresholds"].keys() == {"r1", "r2", "r3"}
    file = tmp_path / "mine.txt"
    file.write_text("[w1|1] w2 [w3|2] w4 [w5|3].")

    def found(which, **tuned):
        run.write_json("metrics.json", {**metrics, **tuned})
        run.finish()
        return predict(run.path, file, which)

    own, everything = found("class"), found("tuned", threshold=-1e9)
    assert len(everything) == 5 * 3 > len(own)  # all candidates: 5 for each of the 3 entities
    of_r1 = found("per_relation", thresholds={"r1": -1e9, "r2": 1e9, "r3": 1e9})
    assert of_r1 == [fact for fact in everything if fact["r"] == "r1"] != []
    del metrics["thresholds"]
    with pytest.raises(UserError, match="holds no such threshold; it was imported, or made by an"):
        found("per_relation")
