"""How large is the difference, and how large would it have to be: effect sizes, stochastic order,
power.

Almost stochastic order: del Barrio, Cuesta-Albertos and Matran 2018; for neural models Dror,
Shlomov and Reichart 2019 (P19-1266).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmark.statistics.intervals import checked_differences, constant
from benchmark.statistics.resampling import FLIPS
from benchmark.statistics.results import check_alternative

FEW_RUNS = (
    5  # below, stochastic order calls one of two equal systems dominant too often (validity.md)
)
EXACT_TESTS = (
    "permutation",
    "wilcoxon",
    "sign",
)  # of `tests.SEED_TESTS`: those whose p cannot be as small as one likes


def cohens_dz(differences: np.ndarray) -> float | None:
    """Cohen's d_z of paired differences [n]: mean / sd (n - 1). None with fewer than two, or when
    they do not vary.
    """
    d = checked_differences(differences)
    if len(d) < 2 or np.isnan(d).any() or constant(d):
        return None
    return float(d.mean() / d.std(ddof=1))


def cliffs_delta(a: np.ndarray, b: np.ndarray) -> float | None:
    """Cliff's delta of scores a [n] and b [m]: P(a > b) - P(a < b) over all n * m pairs. None
    without scores or with NaN.
    """
    a, b = checked_differences(a), checked_differences(b)
    if not len(a) or not len(b) or np.isnan(a).any() or np.isnan(b).any():
        return None
    return float(np.sign(a[:, None] - b).mean())


def probability_of_superiority(a: np.ndarray, b: np.ndarray) -> float | None:
    """P(A > B), ties counting half: that one run of A beats one run of B, whatever their seeds. (1
    + Cliff's delta) / 2.
    """
    delta = cliffs_delta(a, b)
    return None if delta is None else (1 + delta) / 2


@dataclass(frozen=True)
class Dominance:
    """Almost stochastic order of A over B. Not a p-value.

    violation: the share of the squared Wasserstein distance on which A is the worse one; 0 = A
        dominates, 1 = B does, .5 = neither.
    eps_min: its upper confidence bound at `level`; None with fewer than two scores on a side.
    dominant: eps_min <= tau. (Of two equal systems with ten seeds a given one is so called in 4 %
        of cases; at tau = .5 in 18 %.)
    """

    violation: float | None
    eps_min: float | None
    dominant: bool
    tau: float
    level: float
    warnings: tuple[str, ...] = ()


def almost_stochastic_order(
    a: np.ndarray,
    b: np.ndarray,
    *,
    rng: np.random.Generator,
    tau: float = 0.2,
    level: float = 0.95,
    resamples: int = 1_000,
) -> Dominance:
    """Does A almost stochastically dominate B? Scores a [n] and b [m], higher being better; they
    need not be paired.

    eps_min = violation - sqrt((n + m) / nm) * sigma * Phi^-1(1 - level), clipped to [0, 1]; sigma
    by bootstrap, each side drawn for itself (Dror et al. 2019, Section 4). For m comparisons ask
    for level = 1 - alpha / m.

    Raises ValueError for scores that are not [n], NaN or infinite ones, or a tau or level outside
    (0, 1).
    """
    a, b = np.sort(checked_differences(a)), np.sort(checked_differences(b))
    if np.isnan(a).any() or np.isnan(b).any():
        raise ValueError("scores hold NaN: leave undefined runs out, and say so")
    if not 0 < tau < 1 or not 0 < level < 1:
        raise ValueError(f"tau is {tau} and level {level}, both lie between 0 and 1")
    n, m = len(a), len(b)
    if min(n, m) < 2:
        return Dominance(
            None,
            None,
            False,
            tau,
            level,
            (f"{n} and {m} runs: stochastic order takes at least two of each",),
        )
    from scipy.stats import norm

    violation = float(violation_ratio(a, b))
    drawn_a = np.sort(a[rng.integers(n, size=(resamples, n))], axis=1)
    drawn_b = np.sort(b[rng.integers(m, size=(resamples, m))], axis=1)
    scale = np.sqrt(n * m / (n + m))
    sigma = (scale * violation_ratio(drawn_a, drawn_b)).std(ddof=1)
    eps_min = float(np.clip(violation - sigma / scale * norm.ppf(1 - level), 0.0, 1.0))
    equal = a[0] == a[-1] == b[0] == b[-1]
    warnings = ("all scores are equal: neither dominates",) if equal else ()
    if min(n, m) < FEW_RUNS:
        warnings += (
            f"{n} and {m} runs are few: of two equal systems one is called dominant in up to one "
            "case of ten",
        )
    return Dominance(violation, eps_min, eps_min <= tau, tau, level, warnings)


def violation_ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The share of the squared 2-Wasserstein distance where the quantiles of a lie below those of
    b; .5 when there is no distance.

    a: [..., n], b: [..., m], sorted. The quantile functions are steps, so the integral is a finite
        sum. Returns: [...].
    """
    n, m = a.shape[-1], b.shape[-1]
    edges = np.unique(
        np.concatenate([np.arange(1, n + 1) * m, np.arange(1, m + 1) * n])
    )  # in units of 1 / nm
    widths, last = np.diff(edges, prepend=0), edges - 1
    gap = a[..., last // m] - b[..., last // n]
    squares = widths * gap**2
    total = squares.sum(axis=-1)
    against = np.where(gap < 0, squares, 0.0).sum(axis=-1)
    return np.where(total > 0, against / np.where(total > 0, total, 1.0), 0.5)


def power_of_t(
    n: int, effect: float, *, alpha: float = 0.05, alternative: str = "two-sided"
) -> float:
    """Probability that the paired t-test of n normal differences rejects when their true mean is
    `effect` standard deviations.

    Exact, by the noncentral t distribution with n - 1 degrees of freedom. `effect` is a d_z: its
    unit is the spread of the differences, not that of the runs. Raises ValueError for n < 2 or an
    alpha outside (0, 1).
    """
    check_alternative(alternative)
    if n < 2 or not 0 < alpha < 1:
        raise ValueError(
            f"n is {n} and alpha {alpha}: a t-test takes two differences and an alpha between 0 "
            "and 1"
        )
    from scipy.stats import nct, t

    shift = effect * np.sqrt(n) * (-1 if alternative == "less" else 1)
    if alternative != "two-sided":
        return float(nct.sf(t.isf(alpha, n - 1), n - 1, shift))
    bound = t.isf(alpha / 2, n - 1)
    return float(
        nct.sf(bound, n - 1, shift) + nct.sf(bound, n - 1, -shift)
    )  # nct.cdf(-bound, .., shift) is NaN far out


def minimum_detectable_effect(
    n: int, *, power: float = 0.8, alpha: float = 0.05, alternative: str = "two-sided"
) -> float | None:
    """The true mean, in standard deviations of the differences, that n paired seeds find with this
    power; None with fewer than 2.

    For m comparisons under Holm ask for alpha / m, the first threshold. Positive whatever the
    alternative.
    """
    check_alternative(alternative)
    if not alpha < power < 1:
        raise ValueError(f"power is {power}, expected a probability between alpha = {alpha} and 1")
    if n < 2:
        return None
    from scipy.optimize import brentq

    side = "two-sided" if alternative == "two-sided" else "greater"
    missing = lambda effect: power_of_t(n, effect, alpha=alpha, alternative=side) - power
    high = 1.0
    while missing(high) < 0:
        high *= 2
    return float(brentq(missing, 0.0, high))


def smallest_p(test: str, n: int, *, alternative: str = "two-sided") -> float | None:
    """The smallest p that a test across n seeds can give, whatever the scores; None without one (no
    seeds, a t-test of one).

    1 / 2^n one-sided and twice that two-sided for the exact tests; 0 for the t-test, and for
    `auto`, which may take it. The permutation test draws beyond 20 seeds and then stops at 1 /
    (draws + 1).

    Raises ValueError for a test that `tests.SEED_TESTS` does not hold.
    """
    check_alternative(alternative)
    if test in ("t", "auto"):
        return 0.0 if n > 1 else None
    if test not in EXACT_TESTS:
        raise ValueError(
            f"there is no test '{test}' across seeds; there are auto, t, {', '.join(EXACT_TESTS)}"
        )
    if n < 1:
        return None
    p = min(1.0, (2 if alternative == "two-sided" else 1) / 2**n)
    return max(p, 1 / (FLIPS + 1)) if test == "permutation" else p
