"""Resampling: sign flips of differences, and swaps and bootstrap draws of documents.

Scores are functions of sums over documents, so all resamples at once are one matrix product
[resamples, D] x [D, counts]. It is made in chunks of bounded memory. All runs on the same documents
can share their draws (`draw_documents`, `scores_under`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

Score = Callable[[np.ndarray], np.ndarray]
"""Totals [..., k] -> scores [...], such as those of `measures.MEASURES`."""

EXACT_UP_TO = 20  # differences: 2^20 sign patterns take 8 MB
FLIPS = 99_999  # drawn sign patterns beyond
_CHUNK = 2**21  # numbers in a temporary array: 8 to 16 MB


def sign_flip_sums(differences: np.ndarray) -> np.ndarray:
    """The sums of `differences` [n] under all 2^n sign patterns, [2^n].

    scipy.stats.permutation_test loops over the patterns in Python: 7 s at n = 20.
    """
    sums = np.zeros(1)
    for difference in differences:
        sums = np.concatenate([sums + difference, sums - difference])
    return sums


def drawn_sign_flip_sums(differences: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The sums of `differences` [n] under FLIPS random sign patterns, [FLIPS]."""
    n = len(differences)
    flips = (1.0 - 2.0 * _bits(rng, rows, n) for rows in _chunks(FLIPS, n))
    return np.concatenate([signs @ differences for signs in flips])


def draw_documents(rng: np.random.Generator, documents: int, resamples: int) -> np.ndarray:
    """How often each bootstrap resample draws each document, [resamples, documents] of uint8.

    Rows sum to `documents`. No document is ever drawn more than 255 times in practice.
    """
    parts = []
    for rows in _chunks(resamples, documents):
        offsets = documents * np.arange(rows)[:, None]
        drawn = rng.integers(documents, size=(rows, documents)) + offsets
        counted = np.bincount(drawn.ravel(), minlength=rows * documents)
        parts.append(counted.astype(np.uint8).reshape(rows, documents))
    return np.concatenate(parts)


def scores_under(weights: np.ndarray, counts: np.ndarray, measure: Score) -> np.ndarray:
    """Scores of resampled documents, [resamples, ...]; NaN where a score is undefined.

    weights: [resamples, D], how often each document counts (`draw_documents`).
    counts: [..., D, k], per-document counts of any number of runs on the same D documents.
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
    """Differences of scores when each document's counts of A and B change sides by a fair coin.

    a, b: [..., D, k]. Returns: [resamples, ...]; all leading axes share the swaps.
    """
    steps, shape = _columns(np.asarray(b) - np.asarray(a))
    total_a, total_b = a.sum(axis=-2), b.sum(axis=-2)
    parts = []
    for rows in _chunks(resamples, max(a.shape[-2], steps.shape[1])):
        moved = (_bits(rng, rows, a.shape[-2]).astype(steps.dtype) @ steps).reshape(rows, *shape)
        parts.append(measure(total_a + moved) - measure(total_b - moved))
    return np.concatenate(parts)


def as_extreme(null: np.ndarray, observed: float, alternative: str, tie: float) -> np.ndarray:
    """Which values of a null distribution are as extreme as the observed one, within `tie`."""
    if alternative == "greater":
        return null >= observed - tie
    if alternative == "less":
        return null <= observed + tie
    return np.abs(null) >= abs(observed) - tie


def _columns(counts: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
    """[..., D, k] as a matrix [D, everything else] and the shape of everything else.

    Sums of whole numbers below 2^24 are exact in single precision, at half the cost.
    """
    counts = np.asarray(counts)
    moved, documents = np.moveaxis(counts, -2, 0), counts.shape[-2]
    whole = np.issubdtype(counts.dtype, np.integer)
    exact = whole and np.abs(counts).max(initial=0) * documents < 2**24
    columns = moved.reshape(documents, -1).astype(np.float32 if exact else np.float64)
    return columns, moved.shape[1:]


def _bits(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Fair coins, [rows, columns] of 0 and 1."""
    packed = np.frombuffer(rng.bytes(rows * -(-columns // 8)), dtype=np.uint8).reshape(rows, -1)
    return np.unpackbits(packed, axis=1, count=columns)


def _chunks(rows: int, columns: int) -> Iterator[int]:
    """Numbers of rows that sum to `rows`, each with at most _CHUNK numbers."""
    step = max(1, _CHUNK // max(1, columns))
    for start in range(0, rows, step):
        yield min(step, rows - start)
