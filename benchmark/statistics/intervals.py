"""Confidence intervals of a difference A - B, all at the level of 95 %.

What an interval covers matters more than its width (docs/statistics/validity.md): the t interval
covers new seeds on these documents, the crossed bootstrap new seeds and new documents.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmark.statistics.resampling import Score, draw_documents, scores_under
from benchmark.statistics.results import Interval

LEVEL = 0.95
RESAMPLES = 9_999
FEW_SEEDS = 10  # up to so many, a bootstrap sees too little of their spread (validity.md)
FEW_DOCUMENTS = 20  # fewer show too little
ROUNDING = 1e-10  # equal differences of scores differ by less, relative to their size


def paired_t_interval(differences: np.ndarray) -> Interval | None:
    """The mean of paired differences [n] with its t interval: mean -+ t(n - 1) * sd / sqrt(n).

    None when they do not vary: equal values in a few seeds do not prove a spread of 0.
    """
    if constant(differences):
        return None
    from scipy.stats import t

    n, mean = len(differences), float(differences.mean())
    half = float(t.ppf((1 + LEVEL) / 2, n - 1) * differences.std(ddof=1) / np.sqrt(n))
    return Interval("paired t interval across seeds", mean, mean - half, mean + half, LEVEL, n)


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
    """
    weights = draw_documents(rng, a.shape[1], resamples)
    drawn = scores_under(weights, a, measure) - scores_under(weights, b, measure)
    observed = measure(a.sum(axis=1)) - measure(b.sum(axis=1))
    return crossed_from_scores(drawn, observed, documents=a.shape[1], rng=rng)


def crossed_from_scores(
    drawn: np.ndarray, observed: np.ndarray, *, documents: int, rng: np.random.Generator
) -> Interval:
    """`crossed_interval` from score differences whose draws of documents are shared.

    Resamples that leave the score undefined (NaN) are left out, with a warning.

    drawn: [resamples, S], score(A) - score(B) per pair of seeds, from two `scores_under`.
    observed: [S], the same on the documents as they are.
    """
    resamples, seeds = drawn.shape
    picked = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples)  # [R, S]
    # a seed that was not drawn may be undefined
    means = np.where(picked > 0, picked * drawn, 0.0).sum(axis=1) / seeds
    defined, warnings = means[~np.isnan(means)], [*_few(seeds, documents)]
    if left_out := resamples - len(defined):
        share = f"{left_out:,} of {resamples:,} resamples"
        warnings.insert(0, f"the score is undefined in {share}, which were left out")
    low = high = None
    if defined.size:
        low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    several = "crossed bootstrap over seeds and documents"
    name = "bootstrap over documents" if seeds == 1 else several
    estimate = float(observed.mean())
    return Interval(name, estimate, low, high, LEVEL, seeds, documents, tuple(warnings))


def constant(differences: np.ndarray) -> bool:
    """Whether all differences are the same, up to rounding."""
    return bool(np.ptp(differences) <= ROUNDING * np.abs(differences).max(initial=0.0))


def _few(seeds: int, documents: int) -> Iterator[str]:
    if seeds == 1:
        yield "the interval holds for these two trained models, not for the method"
    elif seeds <= FEW_SEEDS:
        yield (
            f"{FEW_SEEDS} seeds or fewer show too little of how much seeds vary: the interval is "
            "likely too narrow"
        )
    if documents < FEW_DOCUMENTS:
        number = "one document shows" if documents == 1 else f"{documents} documents show"
        yield f"{number} too little of how much documents vary: the interval is likely too narrow"
