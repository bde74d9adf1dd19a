"""Augmenters that bring further documents."""

import json

import pytest
from tensors import rng

from augmenters.documents import EXAMPLE, Documents
from augmenters.entity_replacement import EntityReplacement
from benchmark.data.docred import faultless, read_documents
from benchmark.data.synthetic import synthetic
from benchmark.errors import ConfigError, DataError


def names(document):
    """Of each entity, by mention, as they stand in the text."""
    text = lambda m: " ".join(document["sentences"][m["sentence"]][m["start"] : m["end"]])
    return [[text(mention) for mention in entity["mentions"]] for entity in document["entities"]]


def plain(document):
    """The words outside mentions."""
    words = [dict(enumerate(sentence)) for sentence in document["sentences"]]
    for entity in document["entities"]:
        for mention in entity["mentions"]:
            for word in range(mention["start"], mention["end"]):
                words[mention["sentence"]].pop(word, None)
    return [list(sentence.values()) for sentence in words]


def entity(kind, *mentions):
    """Of (name, start, end) in the first sentence."""
    keys = ("name", "start", "end")
    found = [{"sentence": 0, **dict(zip(keys, mention, strict=True))} for mention in mentions]
    return {"type": kind, "mentions": found}


def one_sentence(title, text, *entities):
    return dict(title=title, sentences=[text.split()], entities=list(entities), facts=[])


def test_documents_of_a_file():
    found = Documents(path=str(EXAMPLE)).documents([], rng=rng())
    assert found == list(read_documents(EXAMPLE)) and found[0]["title"] == "Marie Curie"


@pytest.mark.parametrize("path", ["", "nowhere.json", None])
def test_there_must_be_a_file(path):
    with pytest.raises(ConfigError, match="'path'.*DocRED"):
        Documents(path=path)


@pytest.mark.parametrize("number", [0, 1])  # the first is read at once
def test_a_faulty_file_is_named(tmp_path, number):
    file = tmp_path / "mine.json"
    good, faulty = (json.loads(EXAMPLE.read_text())[0] for _ in range(2))
    faulty["vertexSet"][0][0]["pos"] = [0, 77]
    file.write_text(json.dumps([good | {"title": "x"}] * number + [faulty]))
    message = rf"mine.json: document {number} 'Marie Curie', vertexSet"
    with pytest.raises(DataError, match=message):
        Documents(path=str(file)).documents([], rng=rng())


@pytest.mark.parametrize("share", [0.2, 1.0])
def test_entities_are_replaced_by_others_of_their_type(share):
    train = list(synthetic(train=30, dev=4, test=4).train)
    found = EntityReplacement(share=share).documents(train, rng=rng())
    list(faultless(found, "tests"))
    known = {
        (entity["type"], name)
        for document in train
        for entity, of_entity in zip(document["entities"], names(document), strict=True)
        for name in of_entity
    }
    changed = []
    for old, new in zip(train, found, strict=True):
        assert (new["title"], new["facts"], plain(new)) == (old["title"], old["facts"], plain(old))
        for entity, before, after in zip(new["entities"], names(old), names(new), strict=True):
            assert [m["name"] for m in entity["mentions"]] == after
            assert all((entity["type"], name) in known for name in after)
            # mentions with one name keep sharing one name
            assert len(set(zip(before, after, strict=True))) == len(set(before))
            changed.append(before != after)
    assert 0.6 * share < sum(changed) / len(changed) <= 1.3 * share


def test_a_name_of_another_length_moves_what_stands_behind_it():
    document = one_sentence(
        "one",
        "Ada met Bob Smith and Ada in Rome",
        entity("PER", ("Ada", 0, 1), ("Ada", 5, 6)),
        entity("BOB", ("Bob Smith", 2, 4)),
        entity("LOC", ("Rome", 7, 8)),
    )
    sartre = entity("PER", ("Jean Paul Sartre", 0, 3))
    other, texts = one_sentence("two", "Jean Paul Sartre !", sartre), set()
    for seed in range(20):
        new, _ = EntityReplacement(share=1.0).documents([document, other], rng=rng(seed))
        list(faultless([new], "tests"))
        texts.add(" ".join(new["sentences"][0]))
        assert names(new)[1:] == [["Bob Smith"], ["Rome"]]
    moved = "Jean Paul Sartre met Bob Smith and Jean Paul Sartre in Rome"
    assert texts == {"Ada met Bob Smith and Ada in Rome", moved}


def test_overlapping_mentions_keep_their_names():
    university, rome = ("University of Rome", 1, 4), ("Rome", 3, 4)
    document = one_sentence(
        "one", "The University of Rome", entity("X", university), entity("X", rome)
    )
    (new,) = EntityReplacement(share=1.0).documents([document], rng=rng())
    assert new == document
