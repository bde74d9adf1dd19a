"""Tests across seeds: by hand, against scipy and statsmodels, and what they say of degenerate
input.
"""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.descriptivestats import sign_test as statsmodels_sign_test
from statsmodels.stats.weightstats import DescrStatsW

from benchmark.statistics.tests import SEED_TESTS, auto, paired_t, sign_flip, sign_test, wilcoxon

ALTERNATIVES = ("two-sided", "greater", "less")
NORMAL = np.array([0.4, 1.1, -0.3, 0.8, 1.6, 0.2, 0.9, -0.1, 0.7, 1.2])
SKEWED = np.array([0.1, 0.2, 0.1, 0.3, 0.2, 0.1, 0.2, 9.0, 0.3, 0.1])

FEW = settings(max_examples=25, deadline=None)
differences = st.lists(
    st.floats(-5, 5).map(lambda value: round(value, 2)), min_size=3, max_size=9
).map(np.array)


def test_sign_flip_of_three_by_hand():
    # sums of +-1 +-2 +-4: 7, 5, 3, 1, -1, -3, -5, -7; observed: 1 + 2 + 4 = 7
    assert sign_flip(np.array([1.0, 2.0, 4.0])).p == 2 / 8
    assert sign_flip(np.array([1.0, 2.0, 4.0]), alternative="greater").p == 1 / 8
    assert sign_flip(np.array([1.0, 2.0, 4.0]), alternative="less").p == 1.0
    # observed: -1 + 2 + 4 = 5: at least as large are 7 and 5
    assert sign_flip(np.array([-1.0, 2.0, 4.0]), alternative="greater").p == 2 / 8
    assert sign_flip(np.array([-1.0, 2.0, 4.0])).p == 4 / 8


def test_sign_flip_counts_ties_that_differ_by_rounding():
    d = np.array(
        [0.1, 0.2, -0.3]
    )  # 0.1 + 0.2 - 0.3 is 5.6e-17; in theory it ties with 0, so every pattern is as extreme
    assert sign_flip(d).p == 1.0
    # 0.1 + 0.2 + 0.3 and its mirror are the only extremes of all positive differences
    assert sign_flip(np.abs(d)).p == 0.25


@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_sign_flip_agrees_with_scipy(alternative):
    options = {"permutation_type": "samples", "n_resamples": np.inf, "alternative": alternative}
    expected = stats.permutation_test((NORMAL,), lambda x, axis: x.mean(axis), **options)
    assert sign_flip(NORMAL, alternative=alternative).p == pytest.approx(expected.pvalue, abs=1e-12)


def test_sign_flip_is_drawn_beyond_twenty_and_close_to_the_t_test_there():
    d = np.random.default_rng(1).normal(0.4, 1, size=25)
    result = sign_flip(d, rng=np.random.default_rng(0))
    assert "draws" in result.name and result.p == sign_flip(d, rng=np.random.default_rng(0)).p
    assert result.p == pytest.approx(paired_t(d).p, abs=0.01)
    assert sign_flip(np.full(25, 1.0), rng=np.random.default_rng(0)).p == 1 / 100_000  # never 0


@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_paired_t_agrees_with_statsmodels(alternative):
    result, oracle = paired_t(NORMAL, alternative=alternative), DescrStatsW(NORMAL)
    name = {"two-sided": "two-sided", "greater": "larger", "less": "smaller"}[alternative]
    assert (result.statistic, result.p) == pytest.approx(oracle.ttest_mean(0, name)[:2])
    assert (result.interval.low, result.interval.high) == pytest.approx(oracle.tconfint_mean())
    assert result.effect == pytest.approx(0.65) and result.interval.level == 0.95


@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_wilcoxon_without_ties_agrees_with_scipy(alternative):
    d = np.array([0.4, 1.1, -0.3, 0.8, 1.6, 0.2, 0.9, -0.1])
    result = wilcoxon(d, alternative=alternative)
    exact = stats.wilcoxon(d, alternative=alternative, method="exact")
    assert result.p == pytest.approx(exact.pvalue) and result.warnings == ()
    assert result.statistic == 8 * 9 / 2 - (3 + 1)  # all ranks but those of -0.3 and -0.1
    means = [(x + y) / 2 for x, y in itertools.combinations_with_replacement(d, 2)]
    assert result.effect == pytest.approx(np.median(means))
    assert result.name == "exact Wilcoxon signed-rank test"


@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_wilcoxon_with_ties_and_zeros_is_exact(alternative):
    d = np.array([1.0, 1.0, 2.0, -3.0, 0.0, 4.0, -1.0])
    # without the zero, ranks of |d|: 1, 1, 1 share 2; then 4, 5, 6; all 2^6 signs are enumerated
    ranks = np.array([2, 2, 4, 5, 6, 2])
    null = np.array([np.array(signs) @ ranks for signs in itertools.product((0, 1), repeat=6)])
    above, below = (null >= 2 + 2 + 4 + 6).mean(), (null <= 14).mean()
    expected = {"greater": above, "less": below, "two-sided": min(1, 2 * min(above, below))}
    result = wilcoxon(d, alternative=alternative)
    assert result.p == pytest.approx(expected[alternative]) and result.statistic == 14
    zero, tied = result.warnings
    assert "1 of 7 differences are zero" in zero and "equally large" in tied


def test_wilcoxon_sees_ties_through_rounding():
    tied = wilcoxon(np.array([0.3 - 0.1, 0.2, 0.5, -0.7]))  # 0.3 - 0.1 is 0.19999999999999998
    assert any("equally large" in text for text in tied.warnings)


@pytest.mark.parametrize("d", [NORMAL, np.array([1.0, -2.0, 0.0, 3.0, 0.5]), -NORMAL])
def test_sign_test_agrees_with_statsmodels(d):
    assert sign_test(d).p == pytest.approx(statsmodels_sign_test(d)[1])


def test_sign_test_by_hand():
    # 4 of 5 positive: (1 + 5) / 32 for four or more
    result = sign_test(np.array([1.0, 2.0, 3.0, -4.0, 5.0, 0.0]), alternative="greater")
    assert (result.statistic, result.p, result.effect) == (4, pytest.approx(6 / 32), 1.5)
    assert "1 of 6 differences are zero" in result.warnings[0]


def test_auto_takes_the_t_test_when_normality_is_not_rejected():
    result = auto(NORMAL)
    assert (result.name, result.p) == ("paired t-test", paired_t(NORMAL).p)
    assert "does not reject" in result.why and "paired t-test" in result.why
    assert any("weak evidence" in text and "n = 10" in text for text in result.warnings)
    assert f"W = {stats.shapiro(NORMAL).statistic:.3f}" in result.why


def test_auto_takes_the_permutation_test_when_normality_is_rejected_or_cannot_be_looked_at():
    assert auto(SKEWED).p == sign_flip(SKEWED).p != paired_t(SKEWED).p
    assert "rejects" in auto(SKEWED).why and "permutation" in auto(SKEWED).name
    for untold in (np.array([1.0, 2.0]), np.full(5, 0.1)):
        assert auto(untold).p == sign_flip(untold).p and "cannot" in auto(untold).why


@FEW
@given(differences, st.floats(0.01, 100), st.sampled_from(ALTERNATIVES))
def test_every_test_mirrors_knows_no_unit_and_gives_a_probability_or_says_why(d, unit, alternative):
    mirror = {"two-sided": "two-sided", "greater": "less", "less": "greater"}[alternative]
    for test in SEED_TESTS.values():
        result, other = test(d, alternative=alternative), test(-unit * d, alternative=mirror)
        assert result.effect == pytest.approx(-other.effect / unit) and result.n == len(d)
        if result.p is None:
            assert result.warnings and other.p is None
        else:
            assert 0 <= result.p <= 1 and result.p == pytest.approx(other.p, abs=1e-9)


def test_equal_differences_have_no_t_test_but_a_permutation_test():
    for value, p in ((0.0, 1.0), (0.1, 2 / 16)):
        d = np.full(4, value) + np.array([0, value * 1e-16, 0, 0])
        result = paired_t(d)
        assert result.p is None and result.interval is None and "do not vary" in result.warnings[0]
        assert sign_flip(d).p == auto(d).p == wilcoxon(d).p == sign_test(d).p == p
