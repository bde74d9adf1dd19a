"""The test across documents, on the counts of trained models: do these two models differ?

It speaks of the population of documents. Read as a claim about the methods it is wrong in 15 of 100
cases when runs vary as much as test sets do (docs/statistics/validity.md); pooling seeds as if they
were documents does not help. F1 is no mean of document values, so documents are resampled and F1 is
computed from their sums: never a t-test on the F1 of documents (Dror et al. 2018, P18-1128).
"""

from __future__ import annotations

import numpy as np

from benchmark.statistics.intervals import RESAMPLES
from benchmark.statistics.resampling import Score, as_extreme, swapped_differences
from benchmark.statistics.results import Result, resampling_error

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

    a, b: counts [S, D, k] of the models on the same documents, row by row.
    measure: summed counts [..., k] -> score [...], see `measures.MEASURES`; defined for all.
    """
    observed = measure(a.sum(axis=1)) - measure(b.sum(axis=1))
    null = swapped_differences(a, b, measure, rng=rng, resamples=resamples)
    name = f"approximate randomisation over documents ({resamples:,} resamples)"
    results = []
    for s, effect in enumerate(observed.tolist()):
        hits = as_extreme(null[:, s], effect, alternative, _TIE).sum()
        p = float((1 + hits) / (1 + resamples))
        error = resampling_error(p, resamples)
        results.append(Result(name, effect, p, a.shape[1], effect, p_error=error))
    return tuple(results)
