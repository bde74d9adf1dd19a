"""Effect sizes, stochastic order and power: how large a difference is, and how large it must be.

Almost stochastic order: del Barrio, Cuesta-Albertos and Matran 2018; for neural models Dror,
Shlomov and Reichart 2019 (P19-1266).
"""

from __future__ import annotations

import numpy as np

from benchmark.statistics.intervals import LEVEL, constant
from benchmark.statistics.resampling import EXACT_UP_TO, FLIPS

_ORDER_RESAMPLES = 1_000
BETTER = 0.2  # eps_min at which A is called better (docs/statistics/validity.md)


def cohens_dz(differences: np.ndarray) -> float | None:
    """Cohen's d_z of paired differences [n]: mean / sd (n - 1); None when they do not vary."""
    return None if constant(differences) else float(differences.mean() / differences.std(ddof=1))


def probability_of_superiority(a: np.ndarray, b: np.ndarray) -> float:
    """P(A > B), ties counting half: that one run of A beats one run of B, whatever their seeds.

    a: [n], b: [m]. It is (1 + Cliff's delta) / 2.
    """
    return (1 + float(np.sign(a[:, None] - b).mean())) / 2


def almost_stochastic_order(a: np.ndarray, b: np.ndarray, *, rng: np.random.Generator) -> float:
    """eps_min of A over B: how far A is from dominating B almost stochastically. Not a p-value.

    0 = A dominates, 1 = B does; A is called better at eps_min <= BETTER.
    Scores a [n] and b [m], two or more each, need not be paired. With the violation ratio eps,

        eps_min = eps - sqrt((n + m) / nm) * sigma * Phi^-1(.05), clipped to [0, 1]

    and sigma by bootstrap, each side drawn for itself (Dror et al. 2019, Section 4).
    """
    from scipy.stats import norm

    a, b, n, m = np.sort(a), np.sort(b), len(a), len(b)
    drawn_a = np.sort(a[rng.integers(n, size=(_ORDER_RESAMPLES, n))], axis=1)
    drawn_b = np.sort(b[rng.integers(m, size=(_ORDER_RESAMPLES, m))], axis=1)
    scale = np.sqrt(n * m / (n + m))
    sigma = (scale * violation_ratio(drawn_a, drawn_b)).std(ddof=1)
    bound = float(violation_ratio(a, b)) - sigma / scale * norm.ppf(1 - LEVEL)
    return float(np.clip(bound, 0.0, 1.0))


def violation_ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The share of the squared 2-Wasserstein distance where a's quantiles lie below b's.

    It is .5 when there is no distance. The quantile functions are steps, so the integral is a
    finite sum.

    a: [..., n], b: [..., m], sorted. Returns: [...].
    """
    n, m = a.shape[-1], b.shape[-1]
    edges = np.unique([*np.arange(1, n + 1) * m, *np.arange(1, m + 1) * n])  # in units of 1 / nm
    widths, last = np.diff(edges, prepend=0), edges - 1
    gap = a[..., last // m] - b[..., last // n]
    squares = widths * gap**2
    total = squares.sum(axis=-1)
    against = np.where(gap < 0, squares, 0.0).sum(axis=-1)
    return np.where(total > 0, against / np.where(total > 0, total, 1.0), 0.5)


def power_of_t(n: int, effect: float, *, alpha: float = 0.05) -> float:
    """Probability that the two-sided paired t-test of n normal differences finds the right side.

    `effect` is their true mean in standard deviations of the differences, a d_z. Exact, by the
    noncentral t distribution with n - 1 degrees of freedom.
    """
    from scipy.stats import nct, t

    return float(nct.sf(t.isf(alpha / 2, n - 1), n - 1, effect * np.sqrt(n)))


def minimum_detectable_effect(n: int, *, power: float = 0.8, alpha: float = 0.05) -> float:
    """The true mean, in standard deviations of the differences, that n > 1 paired seeds detect.

    For m comparisons under Holm, pass alpha / m, the first threshold; for a one-sided test, pass
    twice the level.
    """
    from scipy.optimize import brentq

    missing = lambda effect: power_of_t(n, effect, alpha=alpha) - power
    high = 1.0
    while missing(high) < 0:
        high *= 2
    return float(brentq(missing, 0.0, high))


def smallest_p(test: str, n: int, *, alternative: str = "two-sided") -> float:
    """The smallest p that a test of `tests.SEED_TESTS` across n > 1 seeds can give.

    1 / 2^n one-sided and twice that two-sided; 0 for the t-test, and for `auto`, which may take it.
    The permutation test and Wilcoxon's draw beyond 20 seeds and then stop at 1 / (draws + 1).
    """
    if test in ("t", "auto"):
        return 0.0
    if test != "sign" and n > EXACT_UP_TO:
        return 1 / (FLIPS + 1)
    return (2 if alternative == "two-sided" else 1) / 2**n
