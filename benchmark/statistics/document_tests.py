"""Tests across documents, on the counts of two trained models: do these two differ on the
population of documents?

Misread as a claim about the method they were trained with, such a test is wrong in 17 of 100 cases
when runs vary as much as test sets do (docs/statistics/validity.md); pooling seeds as if they were
documents does not help. F1 is no mean of document values,
so documents are resampled and F1 is computed from the sums: never a t-test on the F1 of documents
    (Dror et al. 2018, P18-1128).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmark.statistics.intervals import RESAMPLES, checked_counts, percentile_interval
from benchmark.statistics.resampling import (
    Score,
    as_extreme,
    draw_documents,
    scores_under,
    swapped_differences,
)
from benchmark.statistics.results import Result, check_alternative

_TIE = 1e-12  # differences of scores that are closer differ by rounding


def approximate_randomisation(
    a: np.ndarray,
    b: np.ndarray,
    measure: Score,
    *,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
    alternative: str = "two-sided",
) -> Result:
    """Approximate randomisation test: under the hypothesis the two models' outputs on a document
    are exchangeable.

    Args:
        a, b: counts [D, k] of the two models on the same documents, row by row.
        measure: summed counts [..., k] -> score [...], see `measures.MEASURES`.

    p = (1 + hits) / (1 + resamples), where a resample hits when its difference is at least as
    extreme as the observed one; one that leaves the score undefined hits as well. `effect` and
    `statistic` are the difference of scores.

    Raises ValueError as all tests across documents: shapes that differ or are not [D, k], no
    document, no resample.
    """
    return approximate_randomisation_each(
        _one(a), _one(b), measure, rng=rng, resamples=resamples, alternative=alternative
    )[0]


def approximate_randomisation_each(
    a: np.ndarray,
    b: np.ndarray,
    measure: Score,
    *,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
    alternative: str = "two-sided",
) -> tuple[Result, ...]:
    """`approximate_randomisation` of S pairs of models, a and b [S, D, k], with the same swaps for
    all of them.
    """
    a, b = checked_counts(a, b)
    _check_resamples(resamples, alternative)
    observed = measure(a.sum(axis=1)) - measure(b.sum(axis=1))
    null = swapped_differences(a, b, measure, rng=rng, resamples=resamples)
    name = f"approximate randomisation over documents ({resamples:,} resamples)"
    return tuple(
        _document_result(name, observed[s], null[:, s], a.shape[1], alternative)
        for s in range(len(a))
    )


def paired_bootstrap(
    a: np.ndarray,
    b: np.ndarray,
    measure: Score,
    *,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
    alternative: str = "two-sided",
    level: float = 0.95,
) -> Result:
    """Paired bootstrap test of Berg-Kirkpatrick et al. 2012, with the percentile interval of the
    same draws.

    Bootstrap differences scatter around the observed one, not around 0, so they are shifted by it:
    one-sided, a resample hits when its difference is at least twice the observed. Arguments, p and
    errors as `approximate_randomisation`.
    """
    each = paired_bootstrap_each(
        _one(a),
        _one(b),
        measure,
        rng=rng,
        resamples=resamples,
        alternative=alternative,
        level=level,
    )
    return each[0]


def paired_bootstrap_each(
    a: np.ndarray,
    b: np.ndarray,
    measure: Score,
    *,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
    alternative: str = "two-sided",
    level: float = 0.95,
) -> tuple[Result, ...]:
    """`paired_bootstrap` of S pairs of models, a and b [S, D, k], with the same draws of documents
    for all of them.
    """
    a, b = checked_counts(a, b)
    _check_resamples(resamples, alternative)
    weights = draw_documents(rng, a.shape[1], resamples)
    drawn = scores_under(weights, a, measure) - scores_under(weights, b, measure)  # [R, S]
    observed = measure(a.sum(axis=1)) - measure(b.sum(axis=1))
    return tuple(
        paired_bootstrap_from_scores(
            drawn[:, s], observed[s], documents=a.shape[1], alternative=alternative, level=level
        )
        for s in range(len(a))
    )


def paired_bootstrap_from_scores(
    drawn: np.ndarray,
    observed: float,
    *,
    documents: int,
    alternative: str = "two-sided",
    level: float = 0.95,
) -> Result:
    """`paired_bootstrap` from score differences resampled before ([resamples], by `scores_under`),
    to share their draws.
    """
    _check_resamples(len(drawn), alternative)
    name = f"paired bootstrap over documents ({len(drawn):,} resamples)"
    result = _document_result(name, observed, drawn - observed, documents, alternative)
    interval = percentile_interval(
        "paired bootstrap over documents", observed, drawn, level, documents=documents
    )
    return replace(result, interval=None if interval.low is None else interval)


def _one(counts: np.ndarray) -> np.ndarray:
    if np.ndim(counts) != 2:
        raise ValueError(
            f"counts of one model are [documents, k], got the shape {np.shape(counts)}"
        )
    return np.asarray(counts)[None]


def _check_resamples(resamples: int, alternative: str) -> None:
    check_alternative(alternative)
    if resamples < 1:
        raise ValueError(f"resamples is {resamples}, expected at least 1 (9,999 by default)")


def _document_result(
    name: str, observed: float, null: np.ndarray, documents: int, alternative: str
) -> Result:
    if np.isnan(observed):
        why = ("the score of A or B is undefined",)
        return Result(name, None, None, documents, "documents", alternative, None, warnings=why)
    hits = as_extreme(null, observed, alternative, _TIE).sum()
    p = float((1 + hits) / (1 + len(null)))
    undefined = int(np.isnan(null).sum())
    warnings = (
        f"the score is undefined in {undefined:,} of {len(null):,} resamples, which count against "
        "a difference",
    )
    return Result(
        name,
        float(observed),
        p,
        documents,
        "documents",
        alternative,
        float(observed),
        warnings=warnings if undefined else (),
    )
