"""The test across documents: by hand, against scipy, and properties that hold for any counts."""

import itertools

import numpy as np
import pytest
from scipy import stats

from benchmark.statistics import resampling
from benchmark.statistics.document_tests import approximate_randomisation
from benchmark.statistics.measures import MEASURES
from benchmark.statistics.results import resampling_error

F1 = MEASURES["f1"]


def rng(seed=0):
    return np.random.default_rng(seed)


def total(totals):
    """A measure that is linear in the counts, for which scipy has the test."""
    return totals[..., 0].astype(float)


def randomised(a, b, measure=F1, **options):
    """Of one pair of models, counts [D, k]."""
    options = {"rng": rng(), "resamples": 999} | options
    return approximate_randomisation(a[None], b[None], measure, **options)[0]


# tp, pred, gold, tp_seen of two models on three documents
A = np.array([[3, 4, 5, 0], [2, 2, 3, 0], [1, 3, 2, 0]])
B = np.array([[1, 4, 5, 0], [2, 3, 3, 0], [0, 2, 2, 0]])


def test_three_documents_by_hand():
    observed = F1(A.sum(axis=0)) - F1(B.sum(axis=0))  # 12 / 19 - 6 / 19
    swapped = []
    for swap in itertools.product((False, True), repeat=3):
        one = np.where(np.array(swap)[:, None], B, A)
        swapped.append(F1(one.sum(axis=0)) - F1((A + B - one).sum(axis=0)))
    exact = np.mean(np.abs(swapped) >= abs(observed) - 1e-12)
    assert exact == 2 / 8  # only none and all swapped: every document speaks for A
    result = randomised(A, B, resamples=40_000)
    assert result.effect == result.statistic == pytest.approx(6 / 19)
    assert result.p == pytest.approx(exact, abs=0.01)  # standard error .002
    greater = randomised(A, B, resamples=40_000, alternative="greater")
    assert greater.p == pytest.approx(1 / 8, abs=0.01)


def test_a_linear_measure_agrees_with_scipy(models):
    a, b = models(rng(3), 2, 40)
    oracle = stats.permutation_test(
        (a[:, 0], b[:, 0]),
        lambda x, y, axis: (x - y).sum(axis),
        permutation_type="samples",
        n_resamples=20_000,
        rng=rng(),
    )
    assert randomised(a, b, total, resamples=20_000).p == pytest.approx(oracle.pvalue, abs=0.02)


@pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)
def test_changing_places_mirrors(measure, models):
    a, b = models(rng(4), 2, 60)
    one, other = randomised(a, b, measure), randomised(b, a, measure)
    assert one.effect == -other.effect and one.p == other.p
    less = randomised(b, a, measure, alternative="less")
    assert randomised(a, b, measure, alternative="greater").p == less.p


def test_a_model_against_itself_and_against_a_far_better_one(models):
    a = models(rng(5), 1, 30)[0]
    assert randomised(a, a).p == 1.0 and randomised(a, a).effect == 0.0
    good, bad = (models(rng(6), 1, 100, recall=recall)[0] for recall in (0.9, 0.1))
    assert randomised(good, bad, resamples=99).p == 1 / 100  # never 0


def test_chunks_bound_memory_and_leave_the_result(models, monkeypatch):
    a, b = models(rng(8), 2, 48)  # whole bytes of coins: the draws do not depend on the chunk
    whole = randomised(a, b)
    monkeypatch.setattr(resampling, "_CHUNK", 48 * 64)
    assert randomised(a, b) == whole


def test_several_pairs_share_their_draws(models):
    a, b = models(rng(9), 3, 40), models(rng(10), 3, 40)
    results = approximate_randomisation(a, b, F1, rng=rng(), resamples=999)
    assert results == tuple(randomised(a[s], b[s]) for s in range(3))


def test_the_error_of_a_resampled_p_is_that_of_many_repetitions():
    hits = np.random.default_rng(5).binomial(99, 0.2, size=2000) / 99
    assert resampling_error(0.2, 99) == pytest.approx(hits.std(), rel=0.05)
    assert resampling_error(0.0, 99) == resampling_error(1.0, 99) == 0.0
