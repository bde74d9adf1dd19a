"""Tests across seeds, on paired differences [n]: would method A beat method B if trained again?

This, and not a test across documents (`document_tests.py`), is a claim about a method. Which test
when: the decision tree of Dror et al. 2018 (P18-1128). There is one value per seed, so a normal
distribution is possible.

All tests take two or more `differences`, `alternative` ("two-sided", "greater": A > B, or "less")
and `rng`, which only drawn sign flips use, and return a `Result`. If all differences are zero,
p = 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any

import numpy as np

from benchmark.statistics.intervals import constant, paired_t_interval
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
_ROUNDING = 1e-10  # differences that are closer, relative to their scale, are a tie

_Rng = np.random.Generator | None


def _across_seeds(name: str) -> Callable[[Callable[..., dict[str, Any]]], Callable[..., Result]]:
    """Make a test of a function that is called with differences that are not all zero.

    It returns the fields of its Result that are its own.
    """

    def made(test: Callable[[np.ndarray, str, _Rng], dict[str, Any]]) -> Callable[..., Result]:
        @wraps(test)
        def complete(
            differences: np.ndarray, *, alternative: str = "two-sided", rng: _Rng = None
        ) -> Result:
            none = (name, 0.0, 1.0, len(differences), "seeds", alternative, 0.0)
            if not differences.any():
                return Result(*none, warnings=("all differences are zero",))
            return replace(Result(*none), **test(differences, alternative, rng))

        return complete

    return made


@_across_seeds("exact sign-flip permutation test")
def sign_flip(d: np.ndarray, alternative: str, rng: _Rng) -> dict[str, Any]:
    """Sign-flip permutation test of the mean: exact to n = 20, drawn with `rng` beyond.

    Valid when the differences are symmetric around 0 under the hypothesis, which exchangeable pairs
    are. `effect` and `statistic` are the mean difference. A two-sided p is never below 2 / 2^n.
    """
    mean, p = float(d.mean()), _sign_flip_p(d, alternative, rng)
    drawn = {
        "name": f"sign-flip permutation test ({FLIPS:,} draws)",
        "p_error": resampling_error(p, FLIPS),
    }
    return {"statistic": mean, "p": p, "effect": mean} | (drawn if len(d) > EXACT_UP_TO else {})


@_across_seeds("paired t-test")
def paired_t(d: np.ndarray, alternative: str, rng: _Rng) -> dict[str, Any]:
    """Paired t-test with the two-sided t interval of the mean difference.

    No p with equal differences other than 0: a spread of 0 in a few seeds does not show that there
    is none.
    """
    interval, effect = paired_t_interval(d), float(d.mean())
    if interval is None:
        equal = "the differences do not vary: their spread, and with it the t-test, is undefined"
        return {"statistic": None, "p": None, "effect": effect, "warnings": (equal,)}
    from scipy.stats import ttest_1samp

    test = ttest_1samp(d, 0.0, alternative=alternative)
    numbers = {"statistic": float(test.statistic), "p": float(test.pvalue)}
    return numbers | {"effect": effect, "interval": interval}


@_across_seeds("exact Wilcoxon signed-rank test")
def wilcoxon(d: np.ndarray, alternative: str, rng: _Rng) -> dict[str, Any]:
    """Exact Wilcoxon signed-rank test.

    Zeros are left out (Wilcoxon's rule) and ties share their mean rank; warnings say so. With ties
    the null distribution is enumerated over the signs of these ranks (drawn beyond 20).
    `statistic`: the sum of the ranks of positive differences; `effect`: the Hodges-Lehmann
    estimate, the median of all pairwise means.
    """
    from scipy import stats

    kept, warnings = _without_zeros(d)
    sizes = np.round(np.abs(kept) / np.abs(kept).max(), 10)
    ranks = stats.rankdata(sizes)
    if len(np.unique(ranks)) < len(ranks):
        warnings += (
            "some differences are equally large and share a rank; p is exact over the signs of "
            "these ranks",
        )
        p = _sign_flip_p(np.sign(kept) * ranks, alternative, rng)
    else:
        p = float(stats.wilcoxon(kept, alternative=alternative, method="exact").pvalue)
    first, second = np.triu_indices(len(d))
    effect = float(np.median((d[first] + d[second]) / 2))
    statistic = float(ranks[kept > 0].sum())
    return {"statistic": statistic, "p": p, "effect": effect, "warnings": warnings}


@_across_seeds("sign test")
def sign_test(d: np.ndarray, alternative: str, rng: _Rng) -> dict[str, Any]:
    """Sign test: exact binomial test of the number of positive differences (`statistic`).

    Zeros are left out. `effect` is the median difference.
    """
    from scipy.stats import binomtest

    kept, warnings = _without_zeros(d)
    wins = int((kept > 0).sum())
    p = float(binomtest(wins, len(kept), alternative=alternative).pvalue)
    return {"statistic": wins, "p": p, "effect": float(np.median(d)), "warnings": warnings}


def auto(d: np.ndarray, *, alternative: str = "two-sided", rng: _Rng = None) -> Result:
    """The decision tree of Dror et al. 2018: the t-test if the differences pass for normal.

    Otherwise the permutation test, which does not assume it. The test of normality is
    Shapiro-Wilk. `why` gives the reason for the choice.
    """
    permutation = "the permutation test, which does not assume it, was taken"
    if len(d) < 3 or constant(d):
        untold = "differences that do not vary or are undefined"
        untold = "fewer than three differences" if len(d) < 3 else untold
        why = f"Shapiro-Wilk cannot tell the normality of {untold}: {permutation}."
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


def _without_zeros(d: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    kept = d[np.abs(d) > _ROUNDING * np.abs(d).max()]
    if len(kept) == len(d):
        return kept, ()
    dropped = f"{len(d) - len(kept)} of {len(d)} differences are zero and were left out"
    return kept, (dropped,)


def _sign_flip_p(d: np.ndarray, alternative: str, rng: _Rng) -> float:
    tie = _ROUNDING * np.abs(d).sum()
    if len(d) <= EXACT_UP_TO:
        return float(as_extreme(sign_flip_sums(d), d.sum(), alternative, tie).mean())
    hits = as_extreme(drawn_sign_flip_sums(d, rng), d.sum(), alternative, tie).sum()
    return float((1 + hits) / (1 + FLIPS))
