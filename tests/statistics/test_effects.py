"""Effect sizes, stochastic order and power: closed forms, brute force, statsmodels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.power import TTestPower

from benchmark.statistics.effects import (
    almost_stochastic_order,
    cohens_dz,
    minimum_detectable_effect,
    power_of_t,
    probability_of_superiority,
    smallest_p,
    violation_ratio,
)
from benchmark.statistics.tests import SEED_TESTS

scores = st.lists(st.integers(0, 20), min_size=2, max_size=8).map(
    lambda values: np.array(values, dtype=float)
)


def test_cohens_dz_by_hand():
    assert cohens_dz(np.array([1.0, 2.0, 3.0])) == 2.0
    d = np.random.default_rng(0).normal(1, 2, 12)
    assert cohens_dz(d) == pytest.approx(stats.ttest_1samp(d, 0).statistic / 12**0.5)
    assert cohens_dz(np.array([0.1, 0.1])) is None


def test_probability_of_superiority_by_hand_and_against_mann_whitney():
    # pairs (a, b): 3 > 1, 3 > 2, 2 > 1, 2 = 2: three wins, a tie
    assert probability_of_superiority(np.array([3, 2]), np.array([1, 2])) == 7 / 8
    a, b = np.random.default_rng(0).integers(0, 9, 12), np.random.default_rng(1).integers(2, 11, 7)
    wins = stats.mannwhitneyu(a, b).statistic
    assert probability_of_superiority(a, b) == pytest.approx(wins / (12 * 7))


@given(scores, scores)
def test_the_violation_ratio_is_the_integral_over_quantiles(a, b):
    a, b = np.sort(a), np.sort(b)
    # 840 is a multiple of every number up to 8, so the steps fall between the points
    grid = (np.arange(840) + 0.5) / 840
    quantile = lambda x: x[np.ceil(grid * len(x)).astype(int) - 1]
    gap = quantile(a) - quantile(b)
    expected = (gap[gap < 0] ** 2).sum() / (gap**2).sum() if gap.any() else 0.5
    assert violation_ratio(a, b) == pytest.approx(expected)
    assert violation_ratio(a, b) + violation_ratio(b, a) == pytest.approx(1)


def order(a, b):
    return almost_stochastic_order(a, b, rng=np.random.default_rng(0))


def test_stochastic_order_of_clear_and_unclear_cases():
    low, high = np.arange(10.0), np.arange(10.0) + 20
    assert order(high, low) == 0.0 and order(low, high) == 1.0
    assert order(np.ones(5), np.ones(5)) == pytest.approx(0.5)


def test_eps_min_is_the_bound_of_the_paper():
    a, b = np.random.default_rng(1).normal(0.5, 1, 8), np.random.default_rng(2).normal(0, 1, 6)
    # its own bootstrap in a loop: eps - sqrt((n + m) / nm) * sigma * Phi^-1(.05), sigma of sqrt(nm
    # / (n + m)) * (eps* - eps)
    rng, scale = np.random.default_rng(7), (8 * 6 / 14) ** 0.5
    ratio = lambda a, b: float(violation_ratio(np.sort(a), np.sort(b)))
    drawn = [ratio(rng.choice(a, 8), rng.choice(b, 6)) for _ in range(4_000)]
    sigma = np.std(scale * (np.array(drawn) - ratio(a, b)))
    assert order(a, b) == pytest.approx(ratio(a, b) + 1.645 * sigma / scale, abs=0.03)


@pytest.mark.parametrize("n", [3, 5, 10])
@pytest.mark.parametrize("alpha", [0.05, 0.05 / 18])
def test_power_and_detectable_effect_agree_with_statsmodels(n, alpha):
    oracle = lambda effect: TTestPower().power(effect, n, alpha / 2, alternative="larger")
    for effect in (1.0, 2.0):
        assert power_of_t(n, effect, alpha=alpha) == pytest.approx(oracle(effect), abs=1e-9)
    assert oracle(minimum_detectable_effect(n, alpha=alpha)) == pytest.approx(0.8, abs=1e-6)


def test_power_of_known_cases():
    # 1 SD of the runs is .71 SD of unrelated differences
    assert power_of_t(10, 0.5**0.5) == pytest.approx(0.51, abs=0.01) and power_of_t(4, 60.0) == 1.0
    effect = minimum_detectable_effect(2, alpha=0.05 / 18)
    assert power_of_t(2, effect, alpha=0.05 / 18) == pytest.approx(0.8)


@pytest.mark.parametrize("test", ["permutation", "wilcoxon", "sign"])
@pytest.mark.parametrize("n", [3, 5, 8, 10])
def test_the_smallest_p_of_every_exact_test(n, test):
    best = np.arange(1.0, n + 1)  # all positive, no ties: nothing can be more extreme
    for alternative, p in (("two-sided", 2 / 2**n), ("greater", 1 / 2**n)):
        assert smallest_p(test, n, alternative=alternative) == p
        assert SEED_TESTS[test](best, alternative=alternative).p == pytest.approx(p)


def test_the_smallest_p_at_the_edges():
    assert smallest_p("t", 2) == 0.0 == smallest_p("auto", 10)
    drawn = 1 / 100_000
    assert smallest_p("permutation", 20) == 2 / 2**20 < drawn  # still exact
    assert smallest_p("permutation", 30) == smallest_p("wilcoxon", 30) == drawn
    assert smallest_p("sign", 30) < drawn
