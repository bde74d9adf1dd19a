"""Counting and scoring against hand-made documents, and against a brute-force set implementation on
random ones.
"""

import itertools
import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.errors import DataError
from benchmark.scoring.counts import BUCKETS, Counts, count, score, score_relations, train_facts

RELATIONS = ("P1", "P2", "P3")


def document(title, entities, facts):
    """entities: one list of (name, sentence) mentions each; facts: (head, tail, relation)."""
    return {
        "title": title,
        "entities": [
            {"mentions": [{"name": name, "sentence": sentence} for name, sentence in mentions]}
            for mentions in entities
        ],
        "facts": [{"head": h, "tail": t, "relation": r} for h, t, r in facts],
    }


def predicted(*facts):
    return [{"title": title, "h_idx": h, "t_idx": t, "r": r} for title, h, t, r in facts]


ENTITIES = [[("Ada", 0), ("Ada Lovelace", 2)], [("London", 0)], [("Byron", 1)]]
GOLD = [
    document(
        "a", ENTITIES, [(0, 1, "P1"), (0, 2, "P2"), (2, 1, "P1"), (0, 1, "P1")]
    ),  # the first fact stands twice
    document("b", ENTITIES, []),
    document("c", [[("Paris", 0)]], [(0, 0, "P3")]),  # one entity, a self-relation
]
PEOPLE = [[("X", 0), ("Ada Lovelace", 0)], [("London", 1)]]
TRAIN = [document("t", PEOPLE, [(0, 1, "P1"), (0, 1, "P1"), (1, 0, "P2")])]
PREDICTIONS = predicted(
    ("a", 0, 1, "P1"),  # right, intra-sentence, a training fact by (Ada Lovelace, London)
    ("a", 0, 1, "P1"),  # exact duplicate
    ("a", 0, 2, "P2"),  # right, inter-sentence
    ("a", 1, 0, "P2"),  # wrong, intra
    ("b", 2, 1, "P1"),  # wrong: b has no facts; inter
)


KNOWN = {"relations": RELATIONS, "frequent": {"P1"}, "train_documents": TRAIN}


def counted(predictions=PREDICTIONS, gold=GOLD, **options):
    return count(gold, predictions, **KNOWN | options)


def test_counts_of_the_hand_made_documents():
    counts = counted()
    assert counts.titles == ("a", "b", "c")
    # columns: tp, pred, gold, tp_seen
    assert counts.groups["all"].tolist() == [[2, 3, 3, 1], [0, 1, 0, 0], [0, 0, 1, 0]]
    assert counts.groups["frequent"].tolist() == [[1, 1, 2, 1], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert counts.groups["tail"].tolist() == [[1, 2, 1, 0], [0, 0, 0, 0], [0, 0, 1, 0]]
    assert counts.groups["intra"].tolist() == [[1, 2, 1, 1], [0, 0, 0, 0], [0, 0, 1, 0]]
    assert counts.groups["inter"].tolist() == [[1, 1, 2, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert counts.train_frequency.tolist() == [1, 1, 0]
    assert counts.buckets["0"].tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0]]
    assert counts.by_relation.tolist() == [[1, 2, 2], [1, 2, 1], [0, 0, 1]]


def test_scores_of_the_hand_made_documents():
    scores = score(counted())
    # 2 right of 4 predicted, 4 gold: P = R = F1 = 1/2. One right one was seen: Ign P = 1 / (3 +
    # 1e-5), R stays 1/2
    assert scores["precision"] == scores["recall"] == scores["f1"] == 0.5
    ign = 1 / (3 + 1e-5)
    assert scores["ign_f1"] == pytest.approx(2 * ign * 0.5 / (ign + 0.5), abs=1e-15)
    assert scores["freq_f1"] == 0.5 and scores["ltail_f1"] == 0.5
    # P1: tp 1, pred 2, gold 2 -> 1/2; P2: tp 1, pred 2, gold 1 -> 2/3; P3: nothing predicted -> 0
    assert scores["macro_f1"] == pytest.approx((1 / 2 + 2 / 3 + 0) / 3)
    empty = dict.fromkeys(("11-50", "51-200", "201+"))
    assert scores["bucket_f1"] == {"0": 0.0, "1-10": pytest.approx(4 / 7)} | empty
    of_p2 = {"precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3)}
    assert score_relations(counted())["P2"] == of_p2 | {"gold": 1, "train_frequency": 1}


def test_one_and_no_prediction():
    # the official scorer takes a single prediction for none
    assert score(counted(PREDICTIONS[:1]))["precision"] == 1
    scores = score(counted([]))
    assert scores["f1"] == scores["recall"] == scores["ign_f1"] == scores["macro_f1"] == 0
    assert scores["precision"] is None


def test_a_giant_name_of_a_relation_takes_no_more_room_than_itself():
    giant, relations = "x" * 10**6, tuple(map(str, range(500)))
    predictions = predicted(("a", 0, 1, giant))
    tracemalloc.start()
    counts = counted(predictions, [document("a", ENTITIES, [])], relations=(giant, *relations))
    assert tracemalloc.get_traced_memory()[1] < 10**8
    tracemalloc.stop()
    assert counts.groups["tail"][:, 1].tolist() == [1]


def test_groups_without_gold_are_undefined_not_zero():
    scores = score(counted([], GOLD[2:], frequent=None))
    assert scores["inter_f1"] is scores["freq_f1"] is scores["ltail_f1"] is None
    assert scores["f1"] == 0
    scores = score(counted(PREDICTIONS[-1:], GOLD[1:2]))
    assert scores["f1"] is scores["macro_f1"] is None and scores["precision"] == 0
    assert score(counted([], []))["f1"] is None


def test_undirected_pairs_are_unordered():
    # gold (0, 1, P1) met by (1, 0, P1); both orders of one prediction count once; the name pair is
    # seen in either order
    train = [document("t", [[("London", 0)], [("Ada", 1)]], [(0, 1, "P1"), (1, 0, "P1")])]
    counts = counted(
        predicted(("a", 1, 0, "P1"), ("a", 0, 1, "P1")), undirected=True, train_documents=train
    )
    assert counts.groups["all"].sum(axis=0).tolist() == [1, 1, 4, 1]
    assert counts.train_frequency.tolist() == [1, 0, 0]


def test_train_facts_keep_no_name_that_nobody_asks_for():
    facts, all_facts = train_facts(TRAIN, asked_by=iter(GOLD)), train_facts(TRAIN)
    # X is in no gold document
    pairs = {("Ada Lovelace", "London", "P1"), ("London", "Ada Lovelace", "P2")}
    assert facts.names == pairs < all_facts.names and facts.frequency == all_facts.frequency
    for made in (facts, all_facts):
        assert counted(train_documents=made).to_json() == counted().to_json()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"title": "z"}, r"my.json: prediction 1: none of the 3 documents has the title 'z'"),
        ({"h_idx": 3}, r"my.json: prediction 1: document 'a': h_idx is 3, .*3 entities"),
        ({"t_idx": -1}, r"t_idx is -1"),
        ({"t_idx": "1"}, r"t_idx is '1'"),
        ({"h_idx": 1.0}, r"h_idx is 1.0"),
        ({"h_idx": True}, r"h_idx is True"),
        ({"r": "NA"}, r"document 'a': r is 'NA', none of the dataset's 3 relations"),
        ({"r": ["P1"]}, r"r is \['P1'\]"),
    ],
)
def test_a_faulty_prediction_is_named(change, message):
    with pytest.raises(DataError, match=message):
        counted([PREDICTIONS[0], PREDICTIONS[0] | change], source="my.json")


@pytest.mark.parametrize("item", [{"title": "a"}, ["a", 0, 1, "P1"], None])
def test_a_prediction_of_another_shape_is_named(item):
    message = "prediction 0: expected an object with title, h_idx, t_idx and r"
    with pytest.raises(DataError, match=message):
        counted([item])


def test_faulty_gold_is_named_with_its_document():
    with pytest.raises(DataError, match="gold: document 'd': h_idx is 5"):
        counted([], [document("d", ENTITIES, [(5, 0, "P1")])])
    with pytest.raises(DataError, match="two documents have the title 'a'"):
        counted([], GOLD + GOLD[:1])


def test_counts_round_trip_through_json():
    counts = counted()
    again = Counts.from_json(json.loads(json.dumps(counts.to_json())))
    assert again.to_json() == counts.to_json() and score(again) == score(counts)


def test_torn_counts_are_named():
    values = counted().to_json()
    values["groups"]["all"].pop()
    for torn in (values, {"titles": []}):
        with pytest.raises(DataError, match="counts_dev.json"):
            Counts.from_json(torn, source="counts_dev.json")


# ---- the same by sets, slowly


def brute_force(documents, predictions, train, frequent, undirected):
    """F1s by literal set arithmetic over (title, relation, head, tail)."""

    def key(title, h, t, r):
        return (title, r, *sorted((h, t))) if undirected else (title, r, h, t)

    by_title = {row["title"]: row["entities"] for row in documents}
    names = set()
    for row in train:
        for fact in row["facts"]:
            for m in row["entities"][fact["head"]]["mentions"]:
                for n in row["entities"][fact["tail"]]["mentions"]:
                    pairs = [(m, n), (n, m)] if undirected else [(m, n)]
                    names |= {(a["name"], b["name"], fact["relation"]) for a, b in pairs}
    gold = {
        key(row["title"], f["head"], f["tail"], f["relation"])
        for row in documents
        for f in row["facts"]
    }
    guess = {key(p["title"], p["h_idx"], p["t_idx"], p["r"]) for p in predictions}

    def mentions(fact):
        title, _, *pair = fact
        return itertools.product(*(by_title[title][entity]["mentions"] for entity in pair))

    def distance(fact):
        return min(abs(m["sentence"] - n["sentence"]) for m, n in mentions(fact))

    def seen(fact):
        return any((m["name"], n["name"], fact[1]) in names for m, n in mentions(fact))

    def f1(keep, ignore=False):
        g, p = {f for f in gold if keep(f)}, {f for f in guess if keep(f)}
        if not g:
            return None
        hits, ignored = len(g & p), sum(map(seen, g & p)) if ignore else 0
        precision = (hits - ignored) / (len(p) - ignored + 1e-5 * ignore) if p else 0
        recall = hits / len(g)
        return 2 * precision * recall / (precision + recall) if precision + recall else 0

    per_relation = [f1(lambda f, r=r: f[1] == r) for r in RELATIONS]
    with_gold = [value for value in per_relation if value is not None]
    return {
        "f1": f1(lambda f: True),
        "ign_f1": f1(lambda f: True, ignore=True),
        "freq_f1": f1(lambda f: f[1] in frequent),
        "ltail_f1": f1(lambda f: f[1] not in frequent),
        "intra_f1": f1(lambda f: distance(f) == 0),
        "inter_f1": f1(lambda f: distance(f) >= 1),
        "macro_f1": sum(with_gold) / len(with_gold) if with_gold else None,
    }


@st.composite
def documents(draw, titles):
    rows = []
    for title in titles:
        mention = st.tuples(st.sampled_from("uvwxyz"), st.integers(0, 3))
        entities = draw(st.lists(st.lists(mention, min_size=1, max_size=3), max_size=4))
        index = st.integers(0, max(len(entities) - 1, 0))
        fact = st.tuples(index, index, st.sampled_from(RELATIONS))
        facts = draw(st.lists(fact, max_size=6)) if entities else []
        rows.append(document(title, entities, facts))
    return rows


@st.composite
def cases(draw):
    gold, train = draw(documents("abc")), draw(documents("tu"))
    predictions = []
    for row in gold:
        if row["entities"]:
            index = st.integers(0, len(row["entities"]) - 1)
            wrong = draw(st.lists(st.tuples(index, index, st.sampled_from(RELATIONS)), max_size=4))
            known = [(f["head"], f["tail"], f["relation"]) for f in row["facts"]]
            facts = wrong + (draw(st.lists(st.sampled_from(known), max_size=4)) if known else [])
            predictions += predicted(*[(row["title"], *fact) for fact in facts])
    return gold, predictions, train, draw(st.sets(st.sampled_from(RELATIONS))), draw(st.booleans())


@settings(max_examples=200, deadline=None)
@given(cases())
def test_agrees_with_sets(case):
    gold, predictions, train, frequent, undirected = case
    options = {"frequent": frequent, "train_documents": train, "undirected": undirected}
    counts = counted(predictions, gold, **options)
    scores = score(counts)
    for key, value in brute_force(*case).items():
        assert scores[key] == (None if value is None else pytest.approx(value, abs=1e-12)), key
    # every fact is in one bucket, frequent or tail, intra or inter
    for parts in (list(BUCKETS), ["frequent", "tail"], ["intra", "inter"]):
        parts = sum((counts.groups | counts.buckets)[part] for part in parts)
        np.testing.assert_array_equal(parts, counts.groups["all"])
