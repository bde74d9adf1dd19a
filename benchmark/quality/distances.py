"""Distances between two sets of rows, and how far the rows of a set spread.

Squared MMD with an RBF kernel, unbiased, so it may fall below 0: Gretton et al., A Kernel
Two-Sample Test (JMLR 2012). Frechet distance of two Gaussians: Heusel et al., GANs Trained by a Two
Time-Scale Update Rule (2017). None: too few rows to define it.

Shapes: N, M rows, d width, R classes.
"""

from __future__ import annotations

import torch
from torch import Tensor

CHUNK = 1024  # rows of a distance matrix held at a time
NEIGHBOUR_ROWS = 500  # rows whose nearest neighbour is looked for


def median_distance(rows: Tensor) -> float | None:
    """Median distance between two of the first CHUNK rows [N,d]; None unless it is above 0."""
    square = _squares(rows[:CHUNK], rows[:CHUNK])
    apart = square[torch.ones_like(square, dtype=torch.bool).triu(1)]
    return (float(apart.median().sqrt()) if len(apart) else 0.0) or None


def mean_kernel(x: Tensor, y: Tensor | None, bandwidth: float | None) -> float | None:
    """Mean of exp(-|x - y|^2 / (2 bandwidth^2)) over a row of x [N,d] and one of y [M,d].

    y None: over two different rows of x.
    """
    few = min(len(x), len(y)) < 1 if y is not None else len(x) < 2
    if few or bandwidth is None:
        return None
    other, total = x if y is None else y, 0.0
    for start in range(0, len(x), CHUNK):
        kernel = torch.exp(_squares(x[start : start + CHUNK], other) / (-2 * bandwidth**2))
        if y is None:
            kernel.diagonal(start).zero_()
        total += float(kernel.sum(1).cpu().double().sum())
    return total / (len(x) * (len(x) - 1) if y is None else len(x) * len(y))


def mmd(
    x: Tensor, y: Tensor, bandwidth: float | None, y_kernel: float | None = None
) -> float | None:
    """Unbiased squared MMD of rows x [N,d] and y [M,d]; y_kernel: `mean_kernel` of y, if known."""
    y_kernel = mean_kernel(y, None, bandwidth) if y_kernel is None else y_kernel
    x_kernel, cross = mean_kernel(x, None, bandwidth), mean_kernel(x, y, bandwidth)
    return None if None in (x_kernel, y_kernel, cross) else x_kernel + y_kernel - 2 * cross


def principal_components(rows: Tensor, count: int) -> tuple[Tensor, float]:
    """Basis [d,k] of the first k = min(count, d) components of rows [N,d]; their variance share."""
    centred = rows - rows.mean(0)
    values, vectors = torch.linalg.eigh((centred.T @ centred).cpu())  # ascending
    values = values.clamp(min=0)
    total = float(values.sum())
    share = float(values[-count:].sum()) / total if total else 0.0
    return vectors[:, -count:].flip(1).to(rows), share


def frechet(x: Tensor, y: Tensor) -> float | None:
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)), with the means m and the covariances S of rows
    x [N,k] and y [M,k].
    """
    if min(len(x), len(y)) < 2:
        return None
    means = [rows.cpu().double().mean(0) for rows in (x, y)]
    centred = [rows.cpu().double() - mean for rows, mean in zip((x, y), means, strict=True)]
    one, other = (rows.T @ rows / (len(rows) - 1) for rows in centred)
    values, vectors = torch.linalg.eigh(one)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    # S1 S2 has the same eigenvalues
    shared = torch.linalg.eigvalsh(root @ other @ root).clamp(min=0).sqrt().sum()
    apart = (means[0] - means[1]).square().sum()
    return max(float(apart + one.trace() + other.trace() - 2 * shared), 0.0)


def nearest(rows: Tensor, train: Tensor) -> float | None:
    """Median distance of the first NEIGHBOUR_ROWS rows [N,d] to their nearest row of train [M,d].

    The distance to the row found is that of the difference itself, so it is exactly 0 for a copy.
    """
    if not len(rows) or not len(train):
        return None
    parts = rows[:NEIGHBOUR_ROWS].split(CHUNK // 4)
    differences = torch.cat([part - train[_squares(part, train).argmin(1)] for part in parts])
    return float(differences.norm(dim=1).median())


def _squares(x: Tensor, y: Tensor) -> Tensor:
    """Squared distances [N,M]; taking the mean off first loses less to cancellation."""
    mean = y.mean(0)
    x, y = x - mean, y - mean
    return (x.square().sum(1)[:, None] + y.square().sum(1) - 2 * (x @ y.T)).clamp(min=0)


def spread(rows: Tensor) -> float | None:
    """Standard deviation of the rows [N,d], averaged over the dimensions."""
    return float(rows.std(0).mean()) if len(rows) > 1 else None


def within_spread(rows: Tensor, labels: Tensor) -> float | None:
    """`spread` around the mean of each row's label set; None if no label set has two rows."""
    residual, sets = _residual(rows, labels)
    free = len(rows) - sets
    return float((residual.square().sum(0) / free).sqrt().mean()) if free > 0 else None


def between_share(rows: Tensor, labels: Tensor) -> float | None:
    """Share of the rows' [N,d] variance between the means of their label sets [N,R].

    Epsilon squared: corrected for chance, so about 0, and possibly below, for rows that have
    nothing to do with their labels.
    """
    residual, sets = _residual(rows, labels)
    if sets < 2 or len(rows) <= sets:
        return None
    total, within = float((rows - rows.mean(0)).square().sum()), float(residual.square().sum())
    return (total - within - (sets - 1) * within / (len(rows) - sets)) / total if total else None


def _residual(rows: Tensor, labels: Tensor) -> tuple[Tensor, int]:
    """Rows [N,d] less the mean of their label set; the number of label sets."""
    if not len(rows):
        return rows, 0
    ids = torch.unique(labels.bool(), dim=0, return_inverse=True)[1]
    sets = int(ids.max()) + 1
    sums = rows.new_zeros(sets, rows.shape[1]).index_add_(0, ids, rows)
    return rows - (sums / torch.bincount(ids, minlength=sets)[:, None])[ids], sets


def ratio(value: float | None, unit: float | None) -> float | None:
    """value / unit; None where either is undefined or the unit is 0."""
    return None if value is None or not unit else value / unit
