"""`compare` on any counts: A and B may change places, and the order of documents is a matter of
their titles alone.
"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.scoring.counts import Counts
from benchmark.statistics.comparison import compare

SOME = settings(max_examples=25, deadline=None, derandomize=True)
NAMES = ("A", "B")


@st.composite
def systems(draw):
    """Counts of A and of B on the same two to eight documents, for one to three seeds."""
    documents, seeds = draw(st.integers(2, 8)), draw(st.integers(1, 3))
    gold = np.array(draw(st.lists(st.integers(0, 6), min_size=documents, max_size=documents)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def table():
        tp = rng.integers(0, gold + 1)
        predicted = tp + rng.integers(0, 4, documents)
        return np.stack([tp, predicted, gold, rng.integers(0, tp + 1)], axis=1)

    def counts():
        groups = {name: table() for name in ("all", "frequent", "tail")}
        titles = tuple(f"d{i}" for i in range(documents))
        return Counts(titles, groups, {}, (), np.zeros((0, 3), int), np.zeros(0, int))

    return tuple({seed: counts() for seed in range(seeds)} for _ in range(2))


def compared(a, b, **options):
    return compare(a, b, names=NAMES, resamples=199, rng=np.random.default_rng(0), **options)


def reordered(counts, order):
    groups = {name: table[order] for name, table in counts.groups.items()}
    titles = tuple(counts.titles[i] for i in order)
    return replace(counts, titles=titles, groups=groups)


@SOME
@given(systems(), st.sampled_from([("two-sided", "two-sided"), ("greater", "less")]))
def test_changing_places_mirrors_everything(pair, alternatives):
    a, b = pair
    one = compared(a, b, alternative=alternatives[0])
    other = compared(b, a, alternative=alternatives[1])
    assert (one.seeds, one.documents) == (other.seeds, other.documents)
    for line, mirror in zip(one.lines, other.lines, strict=True):
        assert (line.a, line.b, line.undefined) == (mirror.b, mirror.a, mirror.undefined)
        if line.undefined:
            continue
        assert line.difference == pytest.approx(-mirror.difference, abs=1e-12)
        assert [r.p for r in line.across_documents] == [r.p for r in mirror.across_documents]
        if line.across_seeds is not None:
            assert line.across_seeds.p == pytest.approx(mirror.across_seeds.p, abs=1e-12)
        assert (line.interval.low is None) == (mirror.interval.low is None)
        if line.interval.low is not None:
            assert (line.interval.low, line.interval.high) == pytest.approx(
                (-mirror.interval.high, -mirror.interval.low), abs=1e-9
            )


@SOME
@given(systems(), st.randoms(use_true_random=False))
def test_documents_are_matched_by_title_whatever_their_order(pair, random):
    a, b = pair
    order = list(range(len(a[0].titles)))
    random.shuffle(order)
    moved = {seed: reordered(counts, order) for seed, counts in b.items()}
    assert compared(a, moved) == compared(a, b)


@SOME
@given(systems())
def test_a_system_against_itself_is_level(pair):
    for line in compared(pair[0], pair[0]).lines:
        if not line.undefined:
            assert line.difference == 0 and all(result.p == 1 for result in line.across_documents)
