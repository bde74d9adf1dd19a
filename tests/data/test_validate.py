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


NAN = float("nan")


def second(changed):
    return {"vertexSet": [[mention()], [changed]]}


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"title": 7}, "title", "expected a text; got 7"),
        ({"title": " "}, "title", "is empty"),
        ({"title": "\ud800"}, "title", "not valid Unicode"),
        ({"sents": "Velm"}, "sents", "expected a list of sentences"),
        (
            {"sents": [["Velm", "borders", "New", "Cal", "."], "x"]},
            "sents[1]",
            "expected a list of words",
        ),
        ({"sents": [["Velm", 3, "New", "Cal", "."]]}, "sents[0][1]", "expected a text; got 3"),
        ({"sents": [[], []], "vertexSet": [], "labels": []}, "sents", "the document is empty"),
        ({"vertexSet": {}}, "vertexSet", "expected a list of entities"),
        ({"vertexSet": [[mention()], []]}, "vertexSet[1]", "has no mention"),
        ({"vertexSet": [[mention()], mention()]}, "vertexSet[1]", "expected a list of mentions"),
        ({"vertexSet": [[mention()], ["Cal"]]}, "vertexSet[1][0]", "expected an object"),
        (second(mention(name=None)), "vertexSet[1][0].name", "expected a text; got None"),
        (second(mention(type=3)), "vertexSet[1][0].type", "expected a text; got 3"),
        (second(mention(sent_id=1)), "vertexSet[1][0].sent_id", "sentence 1 does not exist"),
        (second(mention(sent_id=-1)), "vertexSet[1][0].sent_id", "sentence -1 does not exist"),
        (second(mention(sent_id=NAN)), "vertexSet[1][0].sent_id", "expected an integer.*nan"),
        (second(mention(sent_id=True)), "vertexSet[1][0].sent_id", "expected an integer"),
        (second(mention(pos=(3,))), "vertexSet[1][0].pos", "expected two integers"),
        (second(mention(pos=(3.0, 4.0))), "vertexSet[1][0].pos", "expected two integers"),
        (second(mention(pos=(4, 6))), "vertexSet[1][0].pos", "lies outside sentence 0"),
        (second(mention(pos=(2, 2))), "vertexSet[1][0].pos", "0 <= start < end <= 5"),
        (second(mention(pos=(-1, 1))), "vertexSet[1][0].pos", "lies outside"),
        (second(mention(pos=(0, 10**30))), "vertexSet[1][0].pos", "lies outside"),
        ({"labels": {}}, "labels", "expected a list of facts"),
        ({"labels": ["P47"]}, "labels[0]", "expected an object"),
        (
            {"labels": [{"h": 0, "t": 2, "r": "P47"}]},
            "labels[0].t",
            r"entity 2 does not exist.*2 entities \(0 to 1\)",
        ),
        ({"labels": [{"h": "0", "t": 1, "r": "P47"}]}, "labels[0].h", "expected an integer"),
        ({"labels": [{"h": 0, "t": 1, "r": 47}]}, "labels[0].r", "expected a text"),
        ({"labels": [{"h": 0, "t": 1, "r": "Na"}]}, "labels[0].r", "is no relation"),
        (
            {"labels": [{"h": 0, "t": 1, "r": "P46"}]},
            "labels[0].r",
            "unknown relation 'P46'.*did you mean 'P47'",
        ),
        ({"labels": [{"h": 0, "t": 1, "rel": "P47"}]}, "labels[0].r", "missing"),
    ],
)
def test_every_error_stands_where_it_is_and_loading_stops_at_it(tmp_path, changes, field, message):
    listed = found(tmp_path, document(title="Sound"), document(**changes), relations=["P47"])
    (fault,) = [fault for fault in listed if fault.severity == "error"]
    assert (fault.document, fault.field, fault.severity) == (1, field, "error")
    assert re.search(message, fault.message)
    # the inventory is a matter of the corpus, not of the file
    if "unknown relation" not in message:
        with pytest.raises(DataError) as caught:
            list(read_documents(tmp_path / "file.json"))
        assert str(caught.value) == str(fault)


def test_missing_keys_hint_at_a_misspelt_one(tmp_path):
    misspelt = document()
    misspelt["vertexset"] = misspelt.pop("vertexSet")
    del misspelt["title"]
    assert {
        fault.field: fault.message.split("(")[-1]
        for fault in found(tmp_path, misspelt)
        if fault.severity == "error"
    } == {
        "title": "missing; expected a text that is unique within the file",
        "vertexSet": "there is 'vertexset')",
    }


def test_all_faults_are_listed_not_only_the_first(tmp_path):
    bad = document(title="Doc", labels=[{"h": 5, "t": -1, "r": "P47"}, {"h": 0, "t": 0, "r": ""}])
    fields = [(fault.document, fault.field) for fault in found(tmp_path, document(), bad, "text")]
    assert fields == [
        (1, "title"),
        (1, "labels[0].h"),
        (1, "labels[0].t"),
        (1, "labels[1].r"),
        (2, ""),
    ]


def test_warnings_and_remarks(tmp_path):
    odd = document(
        vertexSet=[
            [mention(), mention("Velmia")],
            [mention("New Cal", (2, 4))],
            [mention("NewCal", (2, 4))],
        ],
        labels=[
            {"h": 0, "t": 1, "r": "P47"},
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
        f"{path}: not valid JSON at line 1"
    )
    (missing,) = faults(tmp_path / "none.json")
    assert "no such file" in str(missing)
