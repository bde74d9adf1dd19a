"""The test across documents, on the counts of trained models: do these two models differ?

It speaks of the population of documents. Read as a claim about the methods it is wrong in 15 of 100
cases when runs vary as much as test sets do (docs/statistics/validity.md); pooling seeds as if they
were documents does not help. F1 is no mean of document values, so documents are resampled and F1 is
computed from their sums: never a t-test on the F1 of documents (Dror et al. 2018, P18-1128).
"""

from __future__ import annotations

import numpy as np

from benchmark.statistics.intervals import RESAMPLES, checked_counts
from benchmark.statistics.resampling import Score, as_extreme, swapped_differences
from benchmark.statistics.results import Result, check_alternative, resampling_error

_TIE = 1e-12  # differences of scores that are closer differ by rounding


def approximate_randomisation(
    a: np.ndarray,
    b: np.ndarray,
    measure: Score,
    *,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
    alternative: str = "two-sided",
) -> tuple[Result, ...]:
    """Approximate randomisation tests of S pairs of models, with the same swaps for all pairs.

    Under the hypothesis, two models' outputs on a document are exchangeable. p = (1 + hits) / (1 +
    resamples), where a resample hits if its difference is at least as extreme as the observed one.
    `effect` and `statistic` are the difference of scores.

    Args:
        a, b: counts [S, D, k] of the models on the same documents, row by row.
        measure: summed counts [..., k] -> score [...], see `measures.MEASURES`.

    Raises:
        ValueError: other shapes, no document or no resample.
    """
    check_alternative(alternative)
    if resamples < 1:
        raise ValueError(f"resamples is {resamples}, expected at least 1 (9,999 by default)")
    a, b = checked_counts(a, b)
    observed = measure(a.sum(axis=1)) - measure(b.sum(axis=1))
    null = swapped_differences(a, b, measure, rng=rng, resamples=resamples)
    return tuple(
        _result(observed[s], null[:, s], a.shape[1], alternative) for s in range(len(observed))
    )


def _result(observed: float, null: np.ndarray, documents: int, alternative: str) -> Result:
    name = f"approximate randomisation over documents ({len(null):,} resamples)"
    if np.isnan(observed):
        why = ("the score of A or B is undefined",)
        return Result(name, None, None, documents, "documents", alternative, None, warnings=why)
    p = float((1 + as_extreme(null, observed, alternative, _TIE).sum()) / (1 + len(null)))
    effect, error = float(observed), resampling_error(p, len(null))
    return Result(name, effect, p, documents, "documents", alternative, effect, p_error=error)
