"""What documents and pseudo-documents say, merged: against brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.scoring.calibration import PER_ENTITY
from benchmark.scoring.merging import ACCEPTED, Scores, merged, most_likely

# scores on a coarse grid, so that many are equal or 0
SCORED = st.lists(st.tuples(st.integers(0, 12), st.integers(-6, 6).map(lambda n: n / 2)))


def scores(listed):
    facts, values = zip(*listed, strict=True) if listed else ((), ())
    return Scores(np.array(facts, dtype=np.int64), np.array(values, dtype=float))


@given(SCORED, SCORED)
def test_merging_by_brute_force(documents, pseudo):
    best = [{f: max(v for g, v in part if g == f) for f, _ in part} for part in (documents, pseudo)]
    expected = {}
    for fact in sorted(best[0] | best[1]):
        values = [part[fact] for part in best if fact in part]
        if len(values) == 2 and min(values) > 0:
            expected[fact] = ACCEPTED
        else:
            expected[fact] = sum(values) - (10 if len(values) == 1 else 0)
    found = merged(scores(documents), scores(pseudo))
    assert dict(zip(*map(np.ndarray.tolist, found), strict=True)) == expected


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from([ACCEPTED, *range(-20, 20)]))),
    st.lists(st.integers(0, 2), min_size=4, max_size=4),
)
def test_the_candidates_of_each_document(facts, entities):
    """Which of two equal scores stays is not said, so the scores are compared."""
    listed = np.array(facts, dtype=float).reshape(-1, 2)
    document, values = listed[:, 0].astype(int), listed[:, 1]
    kept = most_likely(values, document, np.array(entities))
    assert kept.tolist() == sorted(set(kept.tolist()))
    for number, n in enumerate(entities):
        of_document = sorted((v for d, v in facts if d == number), reverse=True)
        rest = [value for value in of_document if value != ACCEPTED][: PER_ENTITY * n]
        expected = [value for value in of_document if value == ACCEPTED] + rest
        assert sorted(values[kept][document[kept] == number], reverse=True) == expected


@pytest.mark.parametrize(
    ("first", "second", "value"),
    [
        (2.0, 1.0, ACCEPTED),
        (2.0, -0.5, 1.5),
        (2.0, 0.0, 2.0),  # on the threshold is not above it
        (-1.0, -2.0, -3.0),
        (3.0, None, -7.0),
        (None, 3.0, -7.0),
    ],
)
def test_hand_computed(first, second, value):
    one, other = (scores([] if v is None else [(7, v)]) for v in (first, second))
    found = merged(one, other)
    assert found.facts.tolist() == [7] and found.values.tolist() == [value]
