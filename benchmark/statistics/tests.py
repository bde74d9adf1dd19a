"""Tests across seeds, on paired differences [n]: would procedure A do better than procedure B,
trained again?

This, and not a test across documents (`document_tests.py`), is a claim about a method. Which test
when: the decision tree of Dror et al. 2018 (P18-1128). There is one value per seed, so a normal
distribution is possible. All are two-sided by default.

What is degenerate is answered, never by NaN: no seeds, or an undefined difference, no p; all
differences zero, p = 1. Every function raises ValueError for differences that are not [n], infinite
ones, and an unknown alternative.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from benchmark.statistics.intervals import (
    checked_differences,
    constant,
    paired_t_interval,
    undefined_differences,
)
from benchmark.statistics.resampling import (
    EXACT_UP_TO,
    FLIPS,
    as_extreme,
    drawn_sign_flip_sums,
    sign_flip_sums,
)
from benchmark.statistics.results import Result, check_alternative

NORMALITY_ALPHA = 0.05  # of the Shapiro-Wilk test of `auto`
_MANY = 30  # differences, from which on Shapiro-Wilk has some power
# what is closer, relative to its scale, is a tie: differences of fractions carry rounding errors
_ROUNDING = 1e-10


def sign_flip(
    differences: np.ndarray,
    *,
    alternative: str = "two-sided",
    rng: np.random.Generator | None = None,
) -> Result:
    """Sign-flip permutation test of the mean: exact, over all 2^n patterns, to n = 20; drawn with
    `rng` beyond.

    Valid when the differences are symmetric around 0 under the hypothesis, which exchangeable pairs
    are. `effect` and `statistic` are the mean difference. Its p is never below 2 / 2^n (two-sided).

    Raises ValueError for more than 20 differences without rng.
    """
    d = _checked(differences, alternative)
    exact = len(d) <= EXACT_UP_TO
    name = (
        "exact sign-flip permutation test"
        if exact
        else f"sign-flip permutation test ({FLIPS:,} draws)"
    )
    if (early := _untestable(name, d, alternative)) is not None:
        return early
    mean = float(d.mean())
    return Result(
        name,
        mean,
        _sign_flip_p(d, alternative, rng),
        len(d),
        "seeds",
        alternative,
        mean,
        warnings=_single(d),
    )


def paired_t(
    differences: np.ndarray,
    *,
    alternative: str = "two-sided",
    rng: np.random.Generator | None = None,
    level: float = 0.95,
) -> Result:
    """Paired t-test with the t interval of the mean difference (two-sided at `level` whatever the
    alternative).

    No p with one difference, nor with equal differences other than 0: a spread of 0 in a few seeds
    is no evidence of none. `rng` is there so that all tests across seeds are called alike; nothing
    is drawn.
    """
    name, d = "paired t-test", _checked(differences, alternative)
    if (early := _untestable(name, d, alternative)) is not None:
        return early
    interval = paired_t_interval(d, level=level)
    if interval.low is None:
        warnings = _single(d) or (
            "the differences do not vary: their spread, and with it the t-test, is undefined",
        )
        return Result(
            name, None, None, len(d), "seeds", alternative, float(d.mean()), warnings=warnings
        )
    from scipy.stats import ttest_1samp

    test = ttest_1samp(d, 0.0, alternative=alternative)
    return Result(
        name,
        float(test.statistic),
        float(test.pvalue),
        len(d),
        "seeds",
        alternative,
        float(d.mean()),
        interval,
    )


def wilcoxon(
    differences: np.ndarray,
    *,
    alternative: str = "two-sided",
    rng: np.random.Generator | None = None,
) -> Result:
    """Exact Wilcoxon signed-rank test. Zeros are left out (Wilcoxon's rule) and ties share their
    mean rank; warnings say so.

    With ties the null distribution is enumerated over the signs of these ranks (drawn beyond 20).
    `statistic`: the sum of the ranks of positive differences; `effect`: the Hodges-Lehmann
    estimate, the median of all pairwise means.
    """
    name, d = "exact Wilcoxon signed-rank test", _checked(differences, alternative)
    if (early := _untestable(name, d, alternative)) is not None:
        return early
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
    return Result(
        name,
        float(ranks[kept > 0].sum()),
        p,
        len(d),
        "seeds",
        alternative,
        effect,
        warnings=warnings + _single(d),
    )


def sign_test(
    differences: np.ndarray,
    *,
    alternative: str = "two-sided",
    rng: np.random.Generator | None = None,
) -> Result:
    """Sign test: exact binomial test of the number of positive differences among those that are not
    0 (`statistic`).

    `effect` is the median difference. Nothing is drawn.
    """
    name, d = "sign test", _checked(differences, alternative)
    if (early := _untestable(name, d, alternative)) is not None:
        return early
    from scipy.stats import binomtest

    kept, warnings = _without_zeros(d)
    wins = int((kept > 0).sum())
    p = float(binomtest(wins, len(kept), alternative=alternative).pvalue)
    return Result(
        name,
        wins,
        p,
        len(d),
        "seeds",
        alternative,
        float(np.median(d)),
        warnings=warnings + _single(d),
    )


def auto(
    differences: np.ndarray,
    *,
    alternative: str = "two-sided",
    rng: np.random.Generator | None = None,
) -> Result:
    """The decision tree of Dror et al. 2018: the t-test if the differences pass for normal
    (Shapiro-Wilk), else permutation.

    `why` says which test was taken and for what reason; `name` is that test's.
    """
    d = _checked(differences, alternative)
    if np.isnan(d).any() or len(d) < 3 or constant(d):
        untold = (
            "of fewer than three differences"
            if len(d) < 3
            else "of differences that do not vary or are undefined"
        )
        why = (
            f"Shapiro-Wilk cannot tell the normality {untold}: the permutation test, which does "
            "not assume it, was taken."
        )
        return replace(sign_flip(d, alternative=alternative, rng=rng), why=why)
    from scipy.stats import shapiro

    w, p = (float(value) for value in shapiro(d))
    found = f"normality of the {len(d)} differences (W = {w:.3f}, p = {p:.3f})"
    if p < NORMALITY_ALPHA:
        why = (
            f"Shapiro-Wilk rejects {found}: the permutation test, which does not assume it, was "
            "taken."
        )
        return replace(sign_flip(d, alternative=alternative, rng=rng), why=why)
    weak = (
        f"'not rejected' is weak evidence of normality at n = {len(d)}: Shapiro-Wilk misses most "
        "departures from it",
    )
    why = f"Shapiro-Wilk does not reject {found}: the paired t-test was taken."
    return replace(
        paired_t(d, alternative=alternative), why=why, warnings=weak if len(d) < _MANY else ()
    )


SEED_TESTS: dict[str, Callable[..., Result]] = {
    "auto": auto,
    "permutation": sign_flip,
    "t": paired_t,
    "wilcoxon": wilcoxon,
    "sign": sign_test,
}


def _checked(differences: np.ndarray, alternative: str) -> np.ndarray:
    check_alternative(alternative)
    return checked_differences(differences)


def _untestable(name: str, d: np.ndarray, alternative: str) -> Result | None:
    """What every test across seeds says of no differences, undefined ones, and nothing but
    zeros.
    """
    if not len(d):
        return Result(
            name, None, None, 0, "seeds", alternative, None, warnings=("there are no paired seeds",)
        )
    if np.isnan(d).any():
        return Result(
            name,
            None,
            None,
            len(d),
            "seeds",
            alternative,
            None,
            warnings=(undefined_differences(d),),
        )
    if not d.any():
        return Result(
            name,
            0.0,
            1.0,
            len(d),
            "seeds",
            alternative,
            0.0,
            warnings=("all differences are zero",),
        )
    return None


def _single(d: np.ndarray) -> tuple[str, ...]:
    return ("one seed cannot tell a difference from chance",) if len(d) == 1 else ()


def _without_zeros(d: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    kept = d[np.abs(d) > _ROUNDING * np.abs(d).max()]
    dropped = len(d) - len(kept)
    return kept, (
        f"{dropped} of {len(d)} differences are zero and were left out",
    ) if dropped else ()


def _sign_flip_p(d: np.ndarray, alternative: str, rng: np.random.Generator | None) -> float:
    tie = _ROUNDING * np.abs(d).sum()
    if len(d) <= EXACT_UP_TO:
        return float(as_extreme(sign_flip_sums(d), d.sum(), alternative, tie).mean())
    if rng is None:
        raise ValueError(
            f"{len(d)} differences: beyond {EXACT_UP_TO} the sign flips are drawn, which needs rng"
        )
    return float(
        (1 + as_extreme(drawn_sign_flip_sums(d, rng), d.sum(), alternative, tie).sum())
        / (1 + FLIPS)
    )
