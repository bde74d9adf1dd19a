"""Drawing again: sign flips of differences, swaps and bootstrap draws of documents, in chunks of
bounded memory.

Scores are functions of sums over documents, so that all resamples at once are one matrix product
[resamples, D] x [D, counts]. Draws of documents can be made once and shared by all runs on the same
documents (`draw_documents`, `scores_under`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

Score = Callable[
    [np.ndarray], np.ndarray
]  # totals [..., k] -> scores [...]; benchmark.statistics.measures.MEASURES holds some

EXACT_UP_TO = 20  # differences: 2^20 sign patterns take 8 MB
FLIPS = 99_999  # drawn sign patterns beyond
_CHUNK = 2**21  # numbers in a temporary array: 8 to 16 MB


def sign_flip_sums(differences: np.ndarray) -> np.ndarray:
    """The sums of `differences` [n] under all 2^n sign patterns, [2^n].

    scipy.stats.permutation_test does the same in a Python loop over the patterns: 80 ms at n = 14,
    where this takes 0.1 ms, and some 7 s at n = 20.
    """
    sums = np.zeros(1)
    for difference in differences:
        sums = np.concatenate([sums + difference, sums - difference])
    return sums


def drawn_sign_flip_sums(
    differences: np.ndarray, rng: np.random.Generator, draws: int = FLIPS
) -> np.ndarray:
    """The sums of `differences` [n] under `draws` random sign patterns, [draws]."""
    parts = [
        (1.0 - 2.0 * _bits(rng, rows, len(differences))) @ differences
        for rows in _chunks(draws, len(differences))
    ]
    return np.concatenate(parts)


def draw_documents(rng: np.random.Generator, documents: int, resamples: int) -> np.ndarray:
    """How often each document is drawn in each bootstrap resample: [resamples, documents] of uint8,
    rows summing to `documents`.
    """
    weights = np.empty(
        (resamples, documents), dtype=np.uint8
    )  # more than 255 draws of one of 256 or more never happen
    start = 0
    for rows in _chunks(resamples, documents):
        drawn = (
            rng.integers(documents, size=(rows, documents)) + documents * np.arange(rows)[:, None]
        )
        weights[start : start + rows] = np.bincount(
            drawn.ravel(), minlength=rows * documents
        ).reshape(rows, documents)
        start += rows
    return weights


def scores_under(weights: np.ndarray, counts: np.ndarray, measure: Score) -> np.ndarray:
    """Scores of resampled documents.

    Args:
        weights: [resamples, D], how often each document counts (`draw_documents`).
        counts: [..., D, k], per-document counts of any number of runs on the same D documents.
        measure: totals [..., k] -> [...].

    Returns: [resamples, ...]; NaN where a resample leaves the score undefined.
    """
    columns, shape = _columns(counts)
    parts, start = [], 0
    for rows in _chunks(len(weights), max(counts.shape[-2], columns.shape[1])):
        totals = weights[start : start + rows].astype(columns.dtype) @ columns
        parts.append(measure(totals.astype(np.float64).reshape(rows, *shape)))
        start += rows
    return np.concatenate(parts)


def swapped_differences(
    a: np.ndarray, b: np.ndarray, measure: Score, *, rng: np.random.Generator, resamples: int
) -> np.ndarray:
    """Differences of scores, A - B, when each document's two rows of counts change sides with
    probability 1/2.

    a, b: [..., D, k]. Returns: [resamples, ...]; the swaps are shared by all leading axes.
    """
    steps, shape = _columns(np.asarray(b) - np.asarray(a))
    total_a, total_b = a.sum(axis=-2), b.sum(axis=-2)
    parts = []
    for rows in _chunks(resamples, max(a.shape[-2], steps.shape[1])):
        moved = (_bits(rng, rows, a.shape[-2]).astype(steps.dtype) @ steps).reshape(rows, *shape)
        parts.append(measure(total_a + moved) - measure(total_b - moved))
    return np.concatenate(parts)


def as_extreme(null: np.ndarray, observed: float, alternative: str, tie: float) -> np.ndarray:
    """Which values of a null distribution are at least as extreme as the observed one; what is
    within `tie` of it is a tie.

    NaN, a resample without a score, counts as extreme: it must not speak for a difference.
    """
    if alternative == "greater":
        return ~(null < observed - tie)
    if alternative == "less":
        return ~(null > observed + tie)
    return ~(np.abs(null) < abs(observed) - tie)


def _columns(counts: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
    """[..., D, k] as a matrix [D, everything else] and the shape of everything else.

    Sums of whole numbers below 2^24 are exact in single precision, at half the cost.
    """
    counts = np.asarray(counts)
    moved = np.moveaxis(counts, -2, 0)
    exact = (
        np.issubdtype(counts.dtype, np.integer)
        and np.abs(counts).max(initial=0) * counts.shape[-2] < 2**24
    )
    return moved.reshape(counts.shape[-2], -1).astype(
        np.float32 if exact else np.float64
    ), moved.shape[1:]


def _bits(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Fair coins, [rows, columns] of 0 and 1."""
    packed = np.frombuffer(rng.bytes(rows * -(-columns // 8)), dtype=np.uint8).reshape(rows, -1)
    return np.unpackbits(packed, axis=1, count=columns)


def _chunks(rows: int, columns: int) -> Iterator[int]:
    """Numbers of rows that sum to `rows`, each with at most _CHUNK numbers."""
    step = max(1, _CHUNK // max(1, columns))
    for start in range(0, rows, step):
        yield min(step, rows - start)
