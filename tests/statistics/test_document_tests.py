"""Tests across documents: enumerated by hand for a few documents, against scipy, and properties
that hold whatever the counts.
"""

import itertools
import time

import numpy as np
import pytest
from scipy import stats

from benchmark.statistics import resampling
from benchmark.statistics.document_tests import (
    approximate_randomisation,
    approximate_randomisation_each,
    paired_bootstrap,
    paired_bootstrap_each,
)
from benchmark.statistics.intervals import document_interval
from benchmark.statistics.measures import MEASURES

F1 = MEASURES["f1"]
BOTH = (approximate_randomisation, paired_bootstrap)


def rng(seed=0):
    return np.random.default_rng(seed)


def total(totals):
    """A measure that is linear in the counts, for which scipy has the test."""
    return totals[..., 0].astype(float)


# tp, pred, gold, tp_seen of two models on three documents
A = np.array([[3, 4, 5, 0], [2, 2, 3, 0], [1, 3, 2, 0]])
B = np.array([[1, 4, 5, 0], [2, 3, 3, 0], [0, 2, 2, 0]])


def f1(counts):
    tp, predicted, gold = counts[:, :3].sum(axis=0)
    return 2 * tp / (predicted + gold)


def test_approximate_randomisation_of_three_documents_by_hand():
    observed = f1(A) - f1(B)  # 12 / 19 - 6 / 19
    swapped = []
    for swap in itertools.product((False, True), repeat=3):
        one = np.where(np.array(swap)[:, None], B, A)
        swapped.append(f1(one) - f1(A + B - one))
    exact = np.mean(np.abs(swapped) >= abs(observed) - 1e-12)
    assert exact == 2 / 8  # only none and all swapped: every document speaks for A
    result = approximate_randomisation(A, B, F1, rng=rng(), resamples=40_000)
    assert result.effect == result.statistic == pytest.approx(6 / 19)
    assert result.p == pytest.approx(exact, abs=0.01)  # standard error .002
    assert approximate_randomisation(
        A, B, F1, rng=rng(), resamples=40_000, alternative="greater"
    ).p == pytest.approx(1 / 8, abs=0.01)


def test_paired_bootstrap_of_three_documents_by_hand():
    observed = f1(A) - f1(B)
    drawn = np.array(
        [f1(A[list(rows)]) - f1(B[list(rows)]) for rows in itertools.product(range(3), repeat=3)]
    )
    two_sided = np.mean(np.abs(drawn - observed) >= observed - 1e-12)
    one_sided = np.mean(drawn >= 2 * observed - 1e-12)  # Berg-Kirkpatrick et al. 2012
    options = {"rng": rng(), "resamples": 40_000}
    result = paired_bootstrap(A, B, F1, level=0.8, **options)
    assert result.p == pytest.approx(two_sided, abs=0.01)
    assert paired_bootstrap(A, B, F1, alternative="greater", **options).p == pytest.approx(
        one_sided, abs=0.01
    )
    assert (result.interval.low, result.interval.high) == pytest.approx(
        np.quantile(drawn, [0.1, 0.9]), abs=0.01
    )


def test_a_linear_measure_agrees_with_scipy(models):
    a, b = models(rng(3), 2, 40)
    oracle = stats.permutation_test(
        (a[:, 0], b[:, 0]),
        lambda x, y, axis: (x - y).sum(axis),
        permutation_type="samples",
        n_resamples=20_000,
        rng=rng(),
    )
    assert approximate_randomisation(a, b, total, rng=rng(), resamples=20_000).p == pytest.approx(
        oracle.pvalue, abs=0.02
    )
    oracle = stats.bootstrap(
        ((a[:, 0] - b[:, 0]).astype(float),),
        np.sum,
        method="percentile",
        n_resamples=20_000,
        rng=rng(),
    ).confidence_interval
    interval = paired_bootstrap(a, b, total, rng=rng(), resamples=20_000).interval
    assert (interval.low, interval.high) == pytest.approx((oracle.low, oracle.high), abs=1.5)


@pytest.mark.parametrize("test", BOTH)
@pytest.mark.parametrize("name", MEASURES)
def test_changing_places_mirrors(test, name, models):
    a, b = models(rng(4), 2, 60)
    one, other = (
        test(a, b, MEASURES[name], rng=rng(), resamples=999),
        test(b, a, MEASURES[name], rng=rng(), resamples=999),
    )
    assert one.effect == -other.effect and one.p == other.p
    assert (
        test(a, b, MEASURES[name], rng=rng(), resamples=999, alternative="greater").p
        == test(b, a, MEASURES[name], rng=rng(), resamples=999, alternative="less").p
    )


@pytest.mark.parametrize("test", BOTH)
def test_a_model_against_itself(test, models):
    a = models(rng(5), 1, 30)[0]
    result = test(a, a, F1, rng=rng(), resamples=500)
    assert result.p == 1.0 and result.effect == 0.0


@pytest.mark.parametrize("test", BOTH)
def test_p_is_never_zero(test, models):
    a, b = models(rng(6), 1, 100, recall=0.9)[0], models(rng(6), 1, 100, recall=0.1)[0]
    assert test(a, b, F1, rng=rng(), resamples=99).p == 1 / 100


def test_documents_without_counts_change_nothing(models):
    a, b = models(rng(7), 2, 50)
    more = np.zeros((25, 4), dtype=int)
    for test in BOTH:
        one = test(a, b, F1, rng=rng(), resamples=9_999)
        other = test(
            np.concatenate([a, more]), np.concatenate([b, more]), F1, rng=rng(), resamples=9_999
        )
        assert other.effect == one.effect and other.p == pytest.approx(one.p, abs=0.03)


@pytest.mark.parametrize("test", BOTH)
def test_chunks_bound_memory_and_leave_the_result(test, models, monkeypatch):
    a, b = models(
        rng(8), 2, 48
    )  # whole bytes of coins, so that the stream of draws is the same whatever the chunk
    whole = test(a, b, F1, rng=rng(), resamples=500)
    monkeypatch.setattr(resampling, "_CHUNK", 48 * 64)
    assert test(a, b, F1, rng=rng(), resamples=500) == whole


@pytest.mark.parametrize(
    ("each", "one"),
    [
        (approximate_randomisation_each, approximate_randomisation),
        (paired_bootstrap_each, paired_bootstrap),
    ],
)
def test_several_pairs_share_their_draws(each, one, models):
    a, b = models(rng(9), 3, 40), models(rng(10), 3, 40)
    results = each(a, b, F1, rng=rng(), resamples=500)
    assert results == tuple(one(a[s], b[s], F1, rng=rng(), resamples=500) for s in range(3))


def test_whole_numbers_too_large_for_single_precision_are_summed_exactly():
    a = np.array([[2**24 + 1, 2**25, 2**25, 0], [1, 2, 2, 0]])
    b = a - np.array([[1, 0, 0, 0], [0, 0, 0, 0]])
    assert (
        document_interval(a, b, total, rng=rng(), resamples=200).high == 2.0
    )  # the first document drawn twice


def test_an_undefined_score_is_answered_in_words():
    nothing = np.zeros((5, 4), dtype=int)  # no gold facts: F1 is undefined
    for test in BOTH:
        result = test(nothing, nothing, F1, rng=rng(), resamples=99)
        assert result.p is None and result.effect is None and "undefined" in result.warnings[0]


def test_resamples_without_a_score_count_against_a_difference():
    a, b = np.zeros((4, 4), dtype=int), np.zeros((4, 4), dtype=int)
    a[0], b[0] = (
        (2, 2, 2, 0),
        (1, 2, 2, 0),
    )  # the one document with gold facts is not drawn in (3/4)^4 = 32 % of resamples
    result = paired_bootstrap(a, b, F1, rng=rng(), resamples=9_999, alternative="greater")
    assert result.p == pytest.approx(0.75**4, abs=0.02) and "resamples" in result.warnings[0]
    assert result.interval.low == 0.5 and "left out" in result.interval.warnings[0]


@pytest.mark.parametrize("test", BOTH)
def test_misuse_is_refused(test):
    with pytest.raises(ValueError, match="paired"):
        test(A, B[:2], F1, rng=rng())
    with pytest.raises(ValueError, match="documents, k"):
        test(A[None], B[None], F1, rng=rng())
    with pytest.raises(ValueError, match="not empty"):
        test(A[:0], B[:0], F1, rng=rng())
    with pytest.raises(ValueError, match="at least 1"):
        test(A, B, F1, rng=rng(), resamples=0)
    with pytest.raises(ValueError, match="alternative"):
        test(A, B, F1, rng=rng(), alternative="both")


@pytest.mark.parametrize("test", BOTH)
def test_ten_thousand_resamples_of_a_thousand_documents_take_about_a_second(test, models):
    a, b = models(rng(11), 2, 1_000)
    start = time.process_time()
    test(a, b, F1, rng=rng())
    assert time.process_time() - start < 3  # 0.02 and 0.2 s on the developer's machine
