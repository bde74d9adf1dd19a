"""Augmenters that bring further documents."""

import json
from collections import Counter

import pytest
from tensors import rng

from augmenters.documents import EXAMPLE, Documents
from augmenters.entity_replacement import EntityReplacement
from benchmark.data.docred import read_documents
from benchmark.data.further import require_faultless
from benchmark.data.synthetic import synthetic
from benchmark.errors import ConfigError, DataError


def names(document):
    """Of each entity, by mention, as they stand in the text."""
    return [
        [
            " ".join(document["sentences"][m["sentence"]][m["start"] : m["end"]])
            for m in entity["mentions"]
        ]
        for entity in document["entities"]
    ]


@pytest.fixture(scope="module")
def train():
    return list(synthetic(train=30, dev=4, test=4).train)


def test_documents_of_a_file():
    found = Documents(path=str(EXAMPLE)).documents([], rng=rng())
    assert found == list(read_documents(EXAMPLE)) and found[0]["title"] == "Marie Curie"


@pytest.mark.parametrize("path", ["", "nowhere.json", None])
def test_there_must_be_a_file(path):
    with pytest.raises(ConfigError, match="'path'.*DocRED"):
        Documents(path=path)


def test_a_faulty_file_is_named(tmp_path):
    file = tmp_path / "mine.json"
    document = json.loads(EXAMPLE.read_text())[0]
    document["vertexSet"][0][0]["pos"] = [0, 77]
    file.write_text(json.dumps([document]))
    with pytest.raises(DataError, match=r"mine.json: document 0 'Marie Curie', vertexSet"):
        Documents(path=str(file))
    file.write_text(json.dumps([json.loads(EXAMPLE.read_text())[0] | {"title": "x"}, document]))
    with pytest.raises(DataError, match=r"mine.json: document 1 'Marie Curie', vertexSet"):
        Documents(path=str(file)).documents([], rng=rng())


@pytest.mark.parametrize("share", [0.2, 1.0])
def test_entities_are_replaced_by_others_of_their_type(train, share):
    found = EntityReplacement(share=share).documents(train, rng=rng())
    require_faultless(found, "tests")
    known = Counter()
    for document in train:
        for entity, of_entity in zip(document["entities"], names(document), strict=True):
            known.update((entity["type"], name) for name in of_entity)
    changed = total = 0
    for old, new in zip(train, found, strict=True):
        assert (new["title"], new["facts"]) == (old["title"], old["facts"])
        for entity, before, after in zip(new["entities"], names(old), names(new), strict=True):
            assert [m["name"] for m in entity["mentions"]] == after
            assert all(known[entity["type"], name] for name in after)
            # mentions with one name keep sharing one name
            assert len(set(zip(before, after, strict=True))) == len(set(before))
            changed, total = changed + (before != after), total + 1
        plain = lambda document: [
            word
            for s, sentence in enumerate(document["sentences"])
            for w, word in enumerate(sentence)
            if not any(
                m["sentence"] == s and m["start"] <= w < m["end"]
                for entity in document["entities"]
                for m in entity["mentions"]
            )
        ]
        assert plain(old) == plain(new)
    assert 0.6 * share < changed / total <= 1.3 * share


def test_a_name_of_another_length_moves_what_stands_behind_it():
    words = ["Ada", "met", "Bob", "Smith", "and", "Ada", "in", "Rome"]
    mention = lambda name, start, end: {"name": name, "sentence": 0, "start": start, "end": end}
    entity = lambda kind, *mentions: {"type": kind, "mentions": list(mentions)}
    document = dict(
        title="one",
        sentences=[words],
        entities=[
            entity("PER", mention("Ada", 0, 1), mention("Ada", 5, 6)),
            entity("BOB", mention("Bob Smith", 2, 4)),
            entity("LOC", mention("Rome", 7, 8)),
        ],
        facts=[],
    )
    other = dict(
        title="two",
        sentences=[["Jean", "Paul", "Sartre", "!"]],
        entities=[entity("PER", mention("Jean Paul Sartre", 0, 3))],
        facts=[],
    )
    texts = set()
    for seed in range(20):
        new, _ = EntityReplacement(share=1.0).documents([document, other], rng=rng(seed))
        require_faultless([new], "tests")
        texts.add(" ".join(new["sentences"][0]))
        assert names(new)[1:] == [["Bob Smith"], ["Rome"]]
    moved = "Jean Paul Sartre met Bob Smith and Jean Paul Sartre in Rome"
    assert texts == {" ".join(words), moved}


def test_overlapping_mentions_keep_their_names():
    document = dict(
        title="one",
        sentences=[["The", "University", "of", "Rome"]],
        entities=[
            dict(
                type="X",
                mentions=[{"name": "University of Rome", "sentence": 0, "start": 1, "end": 4}],
            ),
            {"type": "X", "mentions": [{"name": "Rome", "sentence": 0, "start": 3, "end": 4}]},
        ],
        facts=[],
    )
    (new,) = EntityReplacement(share=1.0).documents([document], rng=rng())
    assert new == document
