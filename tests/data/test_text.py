"""Text with entities marked by hand: what it becomes, and what is said of its faults."""

import pytest

from benchmark.data.docred import read_documents
from benchmark.data.text import read_marked
from benchmark.errors import DataError
from benchmark.reports.render.documents import documents_page

CURIE = r"""[Marie Curie|1] was born in [Warsaw|2|LOC]. [She|1] won the \[second\] [Nobel Prize|3].
---
[Ada|1] lives in [Rome|2]."""


def marked(tmp_path, text):
    path = tmp_path / "own.txt"
    path.write_text(text, encoding="utf-8")
    return read_marked(path)


def test_a_marked_text_becomes_documents(tmp_path):
    first, second = marked(tmp_path, CURIE)
    assert first["title"] == "own 1" and second["title"] == "own 2"
    assert first["sents"] == [
        ["Marie", "Curie", "was", "born", "in", "Warsaw", "."],
        ["She", "won", "the", "[", "second", "]", "Nobel", "Prize", "."],
    ]
    curie, warsaw, prize = first["vertexSet"]
    assert [(m["name"], m["sent_id"], m["pos"]) for m in curie] == [
        ("Marie Curie", 0, [0, 2]),
        ("She", 1, [0, 1]),
    ]
    assert warsaw == [{"name": "Warsaw", "sent_id": 0, "pos": [5, 6], "type": "LOC"}]
    assert prize[0]["pos"] == [6, 8] and prize[0]["type"] == "MISC"
    for document in (first, second):
        for entity in document["vertexSet"]:
            for mention in entity:
                start, end = mention["pos"]
                words = document["sents"][mention["sent_id"]][start:end]
                assert " ".join(words) == mention["name"]


def test_a_backslash_before_another_character_stays(tmp_path):
    (document,) = marked(tmp_path, r"[Ada|1] keeps C:\new and \\ and \| in [Velm|2].")
    words = ["Ada", "keeps", "C", ":", "\\", "new", "and", "\\", "and", "|", "in", "Velm", "."]
    assert document["sents"] == [words]


def test_a_name_is_one_line(tmp_path):
    (document,) = marked(tmp_path, "[Marie\n  Curie|1] left [Warsaw|2].")
    assert document["vertexSet"][0][0]["name"] == "Marie Curie"


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("[Ada|1] lives in [Rome|2", 1, r"the bracket \[ belongs to no entity"),
        ("One.\n[Ada|1] in [[Rome]|2]", 2, r"the bracket \[ belongs to no entity"),
        ("[Ada|1] lives] in [Rome|2]", 1, r"the bracket \] belongs to no entity"),
        ("[Ada] lives in [Rome|2]", 1, r"the bracket \[ belongs to no entity"),
        ("[Ada|1] lives in [Rome|3]", 1, "no entity 2, but has a later one"),
        ("[Ada|x] lives in [Rome|2]", 1, r"'\[Ada\|x\]' is no entity"),
        ("[Ada|0] lives in [Rome|2]", 1, "one needs words and a number from 1"),
        ("[|1] lives", 1, "is no entity"),
        ("[Ada|1|PER]\nand [she|1] and [her|1|LOC]", 2, "entity 1 is LOC here and PER before"),
        ("[Ada|1].\n---\nNothing is marked.", 3, "has no entity"),
        ("  \n---\n ", None, "holds no text"),
    ],
)
def test_a_fault_is_named_with_its_line(tmp_path, text, line, what):
    with pytest.raises(DataError, match=what) as caught:
        marked(tmp_path, text)
    assert str(tmp_path / "own.txt") in str(caught.value)
    if line:
        assert f"line {line}:" in str(caught.value) and "[name|number]" in str(caught.value)


def test_the_page_colours_entities_and_escapes_the_text(tmp_path):
    import json

    (tmp_path / "own.json").write_text(
        json.dumps(marked(tmp_path, "[<b>Ada|1] lives in [Rome|2] & sings."))
    )
    rows = list(read_documents(tmp_path / "own.json", labelled=False))
    fact = {"title": "own 1", "h_idx": 0, "t_idx": 1, "head": "<b>Ada", "tail": "Rome"}
    text = documents_page(rows, [fact | {"relation": "residence", "score": 1.25}])
    assert '<mark class="e1">Rome<sub>2</sub></mark>' in text
    assert "<b>" not in text and "&amp;" in text and "residence" in text and "1.25" in text
    assert "No relation was found." in documents_page(rows, [])
