import json
import re

import pytest

from benchmark.data.docred import read_documents
from benchmark.data.validate import faults
from benchmark.errors import DataError


def mention(name="Velm", pos=(0, 1), sent_id=0, type="LOC"):
    return {"name": name, "pos": list(pos), "sent_id": sent_id, "type": type}


def document(**changes):
    """One sentence, two entities, one fact."""
    return {
        "title": "Doc",
        "sents": [["Velm", "borders", "New", "Cal", "."]],
        "vertexSet": [[mention()], [mention("New Cal", (2, 4))]],
        "labels": [{"h": 0, "t": 1, "r": "P47"}],
        **changes,
    }


def found(tmp_path, *documents, relations=None):
    path = tmp_path / "file.json"
    path.write_text(json.dumps(documents))
    return list(faults(path, relations))


def test_a_sound_document_has_no_fault(tmp_path):
    assert found(tmp_path, document(), relations={"P47"}) == []


def second(**changes):
    """The second entity's mention, changed."""
    return {"vertexSet": [[mention()], [mention(**changes)]]}


def fact(**changes):
    return {"labels": [{"h": 0, "t": 1, "r": "P47", **changes}]}


ERRORS = [
    ({"title": 7}, "title", "expected a valid string: got 7"),
    ({"title": " "}, "title", "is empty"),
    ({"title": "\ud800"}, "title", "valid string, unable to parse"),
    ({"sents": "Velm"}, "sents", "expected a valid list: got 'Velm'"),
    ({"sents": [["Velm", 3, "New", "Cal", "."]]}, "sents[0][1]", "expected a valid string: got 3"),
    ({"sents": [[], []], "vertexSet": [], "labels": []}, "sents", "the document is empty"),
    ({"vertexSet": [[mention()], []]}, "vertexSet[1]", "at least 1 item"),
    ({"vertexSet": [[mention()], ["Cal"]]}, "vertexSet[1][0]", "expected a valid dictionary"),
    (second(name=None), "vertexSet[1][0].name", "expected a valid string: got None"),
    (second(sent_id=1), "vertexSet[1][0].sent_id", "sentence 1 does not exist: the document has 1"),
    (second(sent_id=True), "vertexSet[1][0].sent_id", "expected a valid integer: got True"),
    (second(pos=(3,)), "vertexSet[1][0].pos", r"expected at least 2 items: got \[3\]"),
    (second(pos=(3.0, 4)), "vertexSet[1][0].pos[0]", "expected a valid integer"),
    (second(sent_id=-1), "vertexSet[1][0].sent_id", "sentence -1 does not exist"),
    (second(pos=(2, 2)), "vertexSet[1][0].pos", "0 <= start < end <= 5"),
    (second(pos=(-1, 1)), "vertexSet[1][0].pos", "lies outside"),
    (second(pos=(4, 6)), "vertexSet[1][0].pos", "lies outside sentence 0"),
    ({"labels": {}}, "labels", "expected a valid list"),
    (fact(t=2), "labels[0].t", "entity 2 does not exist: the document has 2, counted from 0"),
    (fact(r="Na"), "labels[0].r", "no relation: 'Na'"),
    (fact(r="P46"), "labels[0].r", "unknown relation: 'P46'.*Did you mean 'P47'"),
    ({"labels": [{"h": 0, "t": 1, "rr": "P47"}]}, "labels[0].r", "missing: did you call it 'rr'"),
]


@pytest.mark.parametrize(("changes", "field", "message"), ERRORS)
def test_every_error_stands_where_it_is_and_loading_stops_at_it(tmp_path, changes, field, message):
    listed = found(tmp_path, document(title="Sound"), document(**changes), relations=["P47"])
    (fault,) = [fault for fault in listed if fault.severity == "error"]
    assert (fault.document, fault.field) == (1, field) and re.search(message, fault.message)
    # the inventory is a matter of the corpus, not of the file
    if "unknown relation" not in message:
        with pytest.raises(DataError) as caught:
            list(read_documents(tmp_path / "file.json"))
        where = f"{tmp_path / 'file.json'}: document 1"
        assert str(caught.value) == str(fault) and str(fault).startswith(where)


def test_all_faults_are_listed_not_only_the_first(tmp_path):
    wrong = {"h": 5, "t": -1, "r": "P47"}, {"h": 0, "t": 0, "r": ""}
    listed = found(tmp_path, document(), document(labels=[*wrong]), "text", {"title": "Bare"})
    assert [(fault.document, fault.field) for fault in listed] == [
        (1, "title"),
        (1, "labels[0].h"),
        (1, "labels[0].t"),
        (1, "labels[1].r"),
        (2, ""),
        (3, "sents"),
        (3, "vertexSet"),
    ]


def test_warnings_and_remarks(tmp_path):
    odd = document(
        vertexSet=[
            [mention(), mention("Velmia")],
            [mention("New Cal", (2, 4))],
            [mention("NewCal", (2, 4))],
        ],
        labels=[
            {"h": 0, "t": 1, "r": "P47", "evidence": [0, 1]},
            {"h": 0, "t": 1, "r": "P47"},
            {"h": 2, "t": 2, "r": "P47"},
        ],
    )
    bare = document(title="Bare", vertexSet=[[mention()]], labels=[])
    unlabelled = document(title="Unlabelled", sents=[["Velm", "", "New", "Cal", ""]])
    del unlabelled["labels"]
    assert [
        (fault.title, fault.field, fault.severity)
        for fault in found(tmp_path, odd, bare, unlabelled)
    ] == [
        ("Doc", "vertexSet[0][1].pos", "info"),  # the same words twice in one entity
        ("Doc", "vertexSet[0][1].name", "warning"),  # Velmia for Velm
        # entities 1 and 2 share a span; white space in a name is no matter
        ("Doc", "vertexSet[2][0].pos", "info"),
        ("Doc", "labels[0].evidence", "warning"),  # there is no sentence 1
        ("Doc", "labels[1]", "warning"),  # stated twice
        ("Doc", "labels[2]", "warning"),  # with itself
        ("Bare", "vertexSet", "info"),
        ("Bare", "labels", "warning"),
        ("Unlabelled", "sents[0][1]", "warning"),  # an empty word
        ("Unlabelled", "labels", "warning"),
    ]


def test_a_file_that_breaks_off_yields_what_came_before(tmp_path):
    path = tmp_path / "cut.json"
    path.write_text(json.dumps([document(labels=[]), document(title="Next")])[:-20])
    first, last = faults(path)
    assert (first.document, first.field) == (0, "labels")
    assert (last.document, last.severity) == (None, "error") and str(last).startswith(
        f"{path}: not valid JSON"
    )
    (missing,) = faults(tmp_path / "none.json")
    assert "no such file" in str(missing)
