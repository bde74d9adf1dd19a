"""Markers, alignment, facts."""

import logging

import pytest
from samples import ADA, ROME, corpus, document

from backbones.encoders.tiny import Tiny
from benchmark.data.features import featurise
from benchmark.errors import DataError


@pytest.fixture(scope="module")
def tokenizer():
    words = [sentence for row in (ADA, ROME) for sentence in row["sentences"]]
    return Tiny(words, vocabulary=200, width=8, layers=1, heads=2).tokenizer


def features(row, tokenizer, training=True, mention="marker", **options):
    made = corpus([row], **options)
    return featurise(made.train, made, tokenizer, training=training, mention=mention)[0]


def test_markers_surround_every_mention(tokenizer):
    row = features(ADA, tokenizer)
    text = tokenizer.fast.convert_ids_to_tokens(row["tokens"])
    joined = " ".join(text).replace(" ##", "")
    first, second = "* ada lovelace * was born in * london * .", "she met * babbage * there ,"
    assert joined == f"{first} {second} * lovelace * wrote ."
    assert [text[p] for p in row["mention_position"]] == ["*"] * 4
    assert row["mention_entity"] == [0, 0, 1, 2] and row["entities"] == 3
    assert row["length"] == len(text)
    following = [text[p + 1][0] for p in row["mention_position"]]
    assert following == ["a", "l", "l", "b"]  # Ada, Lovelace, London, Babbage


@pytest.mark.parametrize("mention", ["first_piece", "unmarked"])
def test_a_mention_may_be_its_first_wordpiece(tokenizer, mention):
    marked, row = features(ADA, tokenizer), features(ADA, tokenizer, mention=mention)
    text = tokenizer.fast.convert_ids_to_tokens(row["tokens"])
    assert [text[p][0] for p in row["mention_position"]] == ["a", "l", "l", "b"]
    star = tokenizer.fast.convert_tokens_to_ids("*")
    kept = (token for token in marked["tokens"] if token != star or mention == "first_piece")
    assert row["tokens"] == [*kept]
    if mention == "unmarked":
        first = text[row["mention_position"][0] : row["mention_end"][0]]
        assert " ".join(first).replace(" ##", "") == "ada lovelace"


def test_mentions_that_start_together_share_a_marker(tokenizer):
    row = features(document("x", ["Ada Lovelace wrote ."], [[(0, 0, 2)], [(0, 0, 1)]]), tokenizer)
    joined = " ".join(tokenizer.fast.convert_ids_to_tokens(row["tokens"])).replace(" ##", "")
    assert joined == "* ada * lovelace * wrote ."
    assert row["mention_position"] == [0, 0]


def test_facts_become_classes_counted_from_one(tokenizer):
    row = features(ADA, tokenizer)
    assert list(zip(row["fact_head"], row["fact_tail"], row["fact_class"], strict=True)) == [
        (0, 1, 1),
        (0, 2, 2),
        (0, 2, 3),
        (2, 0, 2),
    ]


def test_self_relations_leave_training_with_a_warning(tokenizer, caplog):
    row = document(
        "Self", ["Ada met London ."], [[(0, 0, 1)], [(0, 2, 3)]], [(1, 1, "r1"), (0, 1, "r1")]
    )
    with caplog.at_level(logging.WARNING):
        assert features(row, tokenizer)["fact_head"] == [0]
    assert "'Self'" in caplog.text and "itself" in caplog.text
    assert features(row, tokenizer, training=False)["fact_head"] == [0, 1]


def test_undirected_facts_train_in_both_directions(tokenizer):
    row = features(ROME, tokenizer, undirected=True)
    assert list(zip(row["fact_head"], row["fact_tail"], strict=True)) == [(0, 1), (1, 0)]


@pytest.mark.parametrize("order", [1, -1])
def test_each_direction_of_an_undirected_fact_keeps_its_own_evidence(tokenizer, order):
    facts = [
        {"head": 0, "tail": 1, "relation": "r1", "evidence": [0]},
        {"head": 1, "tail": 0, "relation": "r1", "evidence": [1]},
    ]
    row = features({**ADA, "facts": facts[::order]}, tokenizer, undirected=True)
    names = ("head", "tail", "sentence")
    cited = zip(*(row[f"evidence_{name}"] for name in names), strict=True)
    assert list(cited) == [(0, 1, 0), (1, 0, 1)]


def test_a_relation_outside_the_inventory_is_named(tokenizer):
    with pytest.raises(DataError, match="'Rome'.*'r3'"):
        features(ROME, tokenizer, relations=("r1",))
