"""Tests across seeds, on paired differences [n]: would method A beat method B if trained again?

This, and not a test across documents (`document_tests.py`), is a claim about a method. Which test
when: the decision tree of Dror et al. 2018 (P18-1128). There is one value per seed, so a normal
distribution is possible.

All tests take two or more differences, `alternative` ("two-sided", "greater": A > B, or "less")
and `rng`, which only drawn sign flips use.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from benchmark.statistics.intervals import ROUNDING, constant, paired_t_interval
from benchmark.statistics.resampling import (
    EXACT_UP_TO,
    FLIPS,
    as_extreme,
    drawn_sign_flip_sums,
    sign_flip_sums,
)
from benchmark.statistics.results import Result, resampling_error

NORMALITY_ALPHA = 0.05  # of the Shapiro-Wilk test of `auto`
_MANY = 30  # differences, from which on Shapiro-Wilk has some power

_Rng = np.random.Generator | None


def sign_flip(d: np.ndarray, *, alternative: str = "two-sided", rng: _Rng = None) -> Result:
    """Sign-flip permutation test of the mean: exact to n = 20, drawn with `rng` beyond.

    Valid when the differences are symmetric around 0 under the hypothesis, as those of exchangeable
    pairs are. `effect` and `statistic` are the mean difference. A two-sided p is at least 2 / 2^n.
    """
    mean, tie = float(d.mean()), ROUNDING * np.abs(d).sum()
    if len(d) <= EXACT_UP_TO:
        p = float(as_extreme(sign_flip_sums(d), d.sum(), alternative, tie).mean())
        return Result("exact sign-flip permutation test", mean, p, len(d), mean)
    hits = as_extreme(drawn_sign_flip_sums(d, rng), d.sum(), alternative, tie).sum()
    p = float((1 + hits) / (1 + FLIPS))
    name, error = f"sign-flip permutation test ({FLIPS:,} draws)", resampling_error(p, FLIPS)
    return Result(name, mean, p, len(d), mean, p_error=error)


def paired_t(d: np.ndarray, *, alternative: str = "two-sided", rng: _Rng = None) -> Result:
    """Paired t-test with the two-sided t interval of the mean difference.

    No p with equal differences: in a few seeds they do not prove a spread of 0.
    """
    name, n, effect = "paired t-test", len(d), float(d.mean())
    interval = paired_t_interval(d)
    if interval is None:
        equal = "the differences do not vary: their spread, and with it the t-test, is undefined"
        return Result(name, None, None, n, effect, warnings=(equal,))
    from scipy.stats import ttest_1samp

    test = ttest_1samp(d, 0.0, alternative=alternative)
    return Result(name, float(test.statistic), float(test.pvalue), n, effect, interval)


def wilcoxon(d: np.ndarray, *, alternative: str = "two-sided", rng: _Rng = None) -> Result:
    """Wilcoxon signed-rank test: the sign-flip test of the signed ranks, so exact with ties too.

    Zeros are left out (Wilcoxon's rule), ties share their mean rank; warnings say so. `statistic`:
    the sum of the ranks of positive differences; `effect`: the Hodges-Lehmann estimate, the median
    of all pairwise means.
    """
    from scipy.stats import rankdata

    kept, warnings = _not_zero(d)
    ranks, signed = rankdata(np.round(np.abs(d[kept]) / np.abs(d).max(), 10)), np.zeros(len(d))
    signed[kept] = np.sign(d[kept]) * ranks
    if len(set(ranks)) < len(ranks):
        warnings += ("some differences are equally large and share a rank",)
    tested = sign_flip(signed, alternative=alternative, rng=rng)
    name = tested.name.replace("sign-flip permutation", "Wilcoxon signed-rank")
    first, second = np.triu_indices(len(d))
    statistic, effect = signed[signed > 0].sum(), np.median((d[first] + d[second]) / 2)
    numbers = {"statistic": float(statistic), "effect": float(effect), "warnings": warnings}
    return replace(tested, name=name, **numbers)


def sign_test(d: np.ndarray, *, alternative: str = "two-sided", rng: _Rng = None) -> Result:
    """Sign test: exact binomial test of the number of positive differences (`statistic`).

    Zeros are left out, with a warning. `effect` is the median difference.
    """
    from scipy.stats import binomtest

    kept, warnings = _not_zero(d)
    wins, of = int((d[kept] > 0).sum()), int(kept.sum())
    p = float(binomtest(wins, of, alternative=alternative).pvalue) if of else 1.0
    return Result("sign test", wins, p, len(d), float(np.median(d)), warnings=warnings)


def auto(d: np.ndarray, *, alternative: str = "two-sided", rng: _Rng = None) -> Result:
    """The decision tree of Dror et al. 2018: the t-test if the differences pass for normal.

    Otherwise the permutation test, which does not assume normality. Shapiro-Wilk tests for it.
    `why` gives the reason for the choice.
    """
    permutation = "the permutation test, which does not assume it, was taken"
    if len(d) < 3 or constant(d):
        untold = "differences that do not vary or are undefined"
        untold = "fewer than three differences" if len(d) < 3 else untold
        why = f"Shapiro-Wilk cannot test the normality of {untold}: {permutation}."
        return replace(sign_flip(d, alternative=alternative, rng=rng), why=why)
    from scipy.stats import shapiro

    w, p = (float(value) for value in shapiro(d))
    found = f"normality of the {len(d)} differences (W = {w:.3f}, p = {p:.3f})"
    if p < NORMALITY_ALPHA:
        why = f"Shapiro-Wilk rejects {found}: {permutation}."
        return replace(sign_flip(d, alternative=alternative, rng=rng), why=why)
    weak = (
        f"'not rejected' is weak evidence of normality at n = {len(d)}: Shapiro-Wilk misses most "
        "departures from it",
    )
    why = f"Shapiro-Wilk does not reject {found}: the paired t-test was taken."
    result = paired_t(d, alternative=alternative)
    return replace(result, why=why, warnings=weak if len(d) < _MANY else ())


SEED_TESTS: dict[str, Callable[..., Result]] = {
    "auto": auto,
    "permutation": sign_flip,
    "t": paired_t,
    "wilcoxon": wilcoxon,
    "sign": sign_test,
}


def _not_zero(d: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Which differences are not zero, [n], and a warning if some are."""
    kept = np.abs(d) > ROUNDING * np.abs(d).max()
    told = f"{len(d) - kept.sum()} of {len(d)} differences are zero and were left out"
    return kept, () if kept.all() else (told,)
