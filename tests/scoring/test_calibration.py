"""The tuned threshold and the average precision, against brute force and hand-computed cases."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.errors import DataError
from benchmark.scoring.calibration import (
    LEAST_F1,
    SHRINKAGE,
    Ranking,
    above,
    average_precision,
    average_precisions,
    from_columns,
    rank,
    thresholds_by_relation,
    to_columns,
    tuned_threshold,
)

# margins on a coarse grid, so that many are equal
CANDIDATES = st.lists(
    st.tuples(st.integers(-8, 8).map(lambda n: n / 4), st.booleans()), max_size=25
)


def ranking(candidates, missed=0):
    """`missed` gold facts are no candidates."""
    ordered = sorted(candidates, key=lambda pair: -pair[0])
    margins, hits = (np.array(part) for part in zip(*ordered, strict=True)) if ordered else ([], [])
    hits = np.array(hits, dtype=bool)
    names = np.array(["r"] * len(ordered), dtype=object)
    return Ranking(np.array(margins, dtype=float), hits, names, {"r": int(hits.sum()) + missed})


def f1_at(candidates, gold, threshold):
    chosen = [hit for margin, hit in candidates if margin > threshold]
    return 2 * sum(chosen) / (len(chosen) + gold) if gold else 0.0


@given(CANDIDATES, st.integers(0, 3))
def test_no_threshold_is_better_than_the_tuned_one(candidates, missed):
    made = ranking(candidates, missed)
    gold = made.gold["r"]
    tried = [margin + step for margin, _ in candidates for step in (-1e-3, 1e-3)]
    best = max((f1_at(candidates, gold, t) for t in tried), default=0.0)
    tuned = tuned_threshold(made)
    assert f1_at(candidates, gold, tuned) == pytest.approx(best)


@given(CANDIDATES, st.integers(0, 3))
def test_average_precision_is_the_area_by_brute_force(candidates, missed):
    made = ranking(candidates, missed)
    gold = made.gold["r"]
    if not gold:
        assert average_precision(made) is None
        return
    area, recall = 0.0, 0.0
    for threshold in sorted({margin for margin, _ in candidates}, reverse=True):
        chosen = [hit for margin, hit in candidates if margin >= threshold]
        area += sum(chosen) / len(chosen) * (sum(chosen) / gold - recall)
        recall = sum(chosen) / gold
    assert average_precision(made) == pytest.approx(area)


def test_hand_computed():
    made = ranking([(3.0, True), (1.0, False), (0.5, True), (-1.0, False)], missed=1)
    assert average_precision(made) == pytest.approx((1 + 2 / 3) / 3)
    assert tuned_threshold(made) == -0.25  # 2 of 3 found with 3 predictions
    assert tuned_threshold(ranking([(1.0, False)])) == 0.0
    # F1 is 2/3 with the first two candidates (above 2.25) and with the first five (above -0.25)
    margins, hits = (3.0, 2.5, 2.0, 1.5, 0.5, -1.0), (True, True, False, False, True, False)
    assert tuned_threshold(ranking(zip(margins, hits, strict=True), missed=1)) == -0.25


def two_relations(a, b, missed=0):
    """A ranking of relation "a", of which `missed` facts are no candidates, and of "b"."""
    both = [(margin, hit, name) for name, part in (("a", a), ("b", b)) for margin, hit in part]
    both.sort(key=lambda candidate: -candidate[0])
    margins, hits, names = (np.array([c[i] for c in both]) for i in range(3))
    gold = {"a": sum(hit for _, hit in a) + missed, "b": sum(hit for _, hit in b)}
    return Ranking(margins.astype(float), hits.astype(bool), names.astype(object), gold)


MANY = [(2.0, True)] * 30 + [(1.0, False)] * 30  # 30 facts; the best threshold is 1.5


def test_few_facts_draw_a_threshold_towards_the_one_for_all():
    made = two_relations(MANY, [(2.0, True), (1.0, False)])
    found = thresholds_by_relation(made, ["a", "b", "none"], around=0.5)
    assert found["a"] == pytest.approx(0.5 + 30 / (30 + SHRINKAGE) * (1.5 - 0.5))
    assert found["b"] == pytest.approx(0.5 + 1 / (1 + SHRINKAGE) * (1.5 - 0.5))
    assert found["none"] == 0.5


def test_a_hopeless_relation_is_hardly_predicted():
    """F1 is below LEAST_F1 at every threshold, so the largest margin is drawn towards."""
    made = two_relations([(3.0, False)] * 200 + [(1.0, True)], [], missed=9)
    found = thresholds_by_relation(made, ["a"], around=0.0)["a"]
    assert found == pytest.approx(10 / (10 + SHRINKAGE) * 3.0)


@given(CANDIDATES, st.integers(0, 3), st.floats(-1, 1))
def test_with_many_facts_it_is_the_relations_own_best(candidates, missed, around):
    few = two_relations(candidates, [], missed)
    own = thresholds_by_relation(few, ["a"], around)["a"]
    facts = few.gold["a"]
    best = around + (own - around) * (facts + SHRINKAGE) / facts if facts else own
    f1 = f1_at(candidates, facts, tuned_threshold(few))
    if f1 >= LEAST_F1:
        assert f1_at(candidates, facts, best) == pytest.approx(f1)


def test_a_fact_is_predicted_above_its_threshold():
    candidates = [{"r": "a", "score": 0.5}, {"r": "b", "score": 0.5}, {"r": "a", "score": 1.0}]
    assert above(candidates, 0.5) == candidates[2:]
    assert above(candidates, {"a": 0.5, "b": 0.0}) == candidates[1:]


DOCUMENTS = [
    {"title": "a", "facts": [{"head": 1, "tail": 0, "relation": "common"}] * 2},
    {"title": "b", "facts": [{"head": 0, "tail": 2, "relation": "rare"}]},
]


def fact(title, head, tail, relation, margin):
    return {"title": title, "h_idx": head, "t_idx": tail, "r": relation, "score": margin}


FACTS = [fact("a", 0, 1, "common", 1.0), fact("b", 0, 2, "rare", 0.5), fact("b", 0, 2, "common", 2)]


@pytest.mark.parametrize(("undirected", "hits"), [(False, [0, 0, 1]), (True, [0, 1, 1])])
def test_candidates_are_looked_up_among_gold_facts(undirected, hits):
    made = rank(DOCUMENTS, FACTS, undirected=undirected)
    assert made.margins.tolist() == [2.0, 1.0, 0.5] and made.hits.tolist() == hits
    assert made.gold == {"common": 1, "rare": 1}  # a fact that stands twice is one
    found = average_precisions(made, ["common", "rare", "unused"], ["common"])
    assert found["tail"] == 1.0 and found["frequent"] == (0.5 if undirected else 0.0)
    assert found["all"] == pytest.approx((1 / 2 + 2 / 3) / 2 if undirected else 1 / 6)
    assert set(average_precisions(made, ["common"], None)) == {"all"}


def test_candidates_survive_their_file_and_a_torn_one_is_named():
    columns = to_columns(FACTS, ["common", "rare"])
    assert from_columns(columns, "file") == FACTS and len(above(FACTS, 0.5)) == 2
    columns["score"].pop()
    with pytest.raises(DataError, match="^file: not the candidates of one run"):
        from_columns(columns, "file")
