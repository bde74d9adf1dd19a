"""Confidence intervals of a difference A - B, all at the level of 95 %.

What an interval covers matters more than its width (docs/statistics/validity.md): the t interval
covers new seeds on these documents, the crossed bootstrap new seeds and new documents.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from benchmark.statistics.resampling import Score, draw_documents, scores_under
from benchmark.statistics.results import Interval

LEVEL = 0.95
RESAMPLES = 9_999
FEW_SEEDS = 10  # with fewer, a bootstrap sees too little of their spread (validity.md)
FEW_DOCUMENTS = 20  # the same for documents
_ROUNDING = 1e-10  # equal differences of scores differ by less, relative to their size


def paired_t_interval(differences: np.ndarray) -> Interval:
    """The mean of paired differences [n] with its t interval: mean -+ t(n - 1) * sd / sqrt(n).

    There is no interval with fewer than two differences, with a NaN, or when they do not vary: no
    spread in a few seeds does not show that there is none.

    Raises:
        ValueError: differences that are not [n], or infinite ones.
    """
    name, d = "paired t interval across seeds", checked_differences(differences)
    none = lambda why, of=None: Interval(name, of, None, None, LEVEL, len(d), warnings=(why,))
    if np.isnan(d).any():
        return none(undefined_differences(d))
    estimate = float(d.mean()) if len(d) else None
    if len(d) < 2:
        return none(f"no interval from {len(d)} seeds: it takes two", estimate)
    if constant(d):
        return none("no interval: the differences do not vary", estimate)
    from scipy.stats import t

    half = float(t.ppf((1 + LEVEL) / 2, len(d) - 1) * d.std(ddof=1) / np.sqrt(len(d)))
    return Interval(name, estimate, estimate - half, estimate + half, LEVEL, len(d))


def crossed_interval(
    a: np.ndarray,
    b: np.ndarray,
    measure: Score,
    *,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> Interval:
    """Crossed bootstrap of the mean over seeds of score(A) - score(B): the headline interval.

    Each resample draws documents, shared by both systems and all seeds, and seeds, in pairs (the
    pigeonhole bootstrap of Owen 2007, which is mildly conservative).

    a, b: counts [S, D, k]; row s of both belongs to the same seed.

    Raises:
        ValueError: other shapes, or shapes that differ.
    """
    a, b = checked_counts(a, b)
    weights = draw_documents(rng, a.shape[1], resamples)
    drawn = scores_under(weights, a, measure) - scores_under(weights, b, measure)
    observed = measure(a.sum(axis=1)) - measure(b.sum(axis=1))
    return crossed_from_scores(drawn, observed, documents=a.shape[1], rng=rng)


def crossed_from_scores(
    drawn: np.ndarray, observed: np.ndarray, *, documents: int, rng: np.random.Generator
) -> Interval:
    """`crossed_interval` from score differences whose draws of documents are shared.

    drawn: [resamples, S], score(A) - score(B) per pair of seeds, from two `scores_under`.
    observed: [S], the same on the documents as they are.
    """
    resamples, seeds = drawn.shape
    picked = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples)  # [R, S]
    # a seed that was not drawn may be undefined
    means = np.where(picked > 0, picked * drawn, 0.0).sum(axis=1) / seeds
    several = "crossed bootstrap over seeds and documents"
    name = "bootstrap over documents" if seeds == 1 else several
    n = {"seeds": seeds, "documents": documents}
    interval = percentile_interval(name, observed.mean(), means, **n)
    return replace(interval, warnings=(*interval.warnings, *_few(seeds, documents)))


def percentile_interval(name: str, estimate: float, drawn: np.ndarray, **n: int) -> Interval:
    """The middle 95 % of resampled differences `drawn` [resamples] around `estimate`.

    Resamples that leave the score undefined (NaN) are left out, with a warning.

    n: seeds=, documents=.
    """
    interval = Interval(name, None, None, None, LEVEL, **n)
    if np.isnan(estimate):
        return replace(interval, warnings=("the score of A or B is undefined",))
    interval, undefined = replace(interval, estimate=float(estimate)), np.isnan(drawn)
    if undefined.any():
        share = f"{undefined.sum():,} of {len(drawn):,} resamples"
        warning = f"the score is undefined in {share}, which were left out"
        interval = replace(interval, warnings=(warning,))
    if undefined.all():
        return interval
    low, high = np.quantile(drawn[~undefined], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return replace(interval, low=float(low), high=float(high))


def checked_differences(differences: np.ndarray) -> np.ndarray:
    """`differences` as floats [n]; NaN stands for a missing one.

    Raises ValueError for another number of axes or infinite values.
    """
    d = np.asarray(differences, dtype=np.float64)
    if d.ndim != 1:
        raise ValueError(f"paired differences are an array [n], got the shape {d.shape}")
    if np.isinf(d).any():
        raise ValueError("paired differences hold an infinite value")
    return d


def checked_counts(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays. Raises ValueError unless both are [S, D, k] of one shape, and not empty."""
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape:
        raise ValueError(
            f"counts of A and B must be paired: their shapes are {a.shape} and {b.shape}"
        )
    if a.ndim != 3 or a.size == 0:
        raise ValueError(f"counts are [seeds, documents, k] and not empty, got the shape {a.shape}")
    return a, b


def constant(differences: np.ndarray) -> bool:
    """Whether all differences are the same, up to rounding."""
    return bool(np.ptp(differences) <= _ROUNDING * np.abs(differences).max(initial=0.0))


def undefined_differences(differences: np.ndarray) -> str:
    """The warning for NaN among paired differences: nothing is averaged over what is missing."""
    return (
        f"{int(np.isnan(differences).sum())} of {len(differences)} differences are undefined: "
        "nothing is computed from the rest"
    )


def _few(seeds: int, documents: int) -> Iterator[str]:
    if seeds == 1:
        yield "one seed: the interval holds for these two trained models, not for the method"
    elif seeds < FEW_SEEDS:
        yield (
            f"{seeds} seeds show too little of how much seeds vary: the interval is likely too "
            "narrow"
        )
    if documents < FEW_DOCUMENTS:
        number = "one document shows" if documents == 1 else f"{documents} documents show"
        yield f"{number} too little of how much documents vary: the interval is likely too narrow"
