"""Distances and spreads in closed form and by brute force."""

import math

import pytest
import torch

from benchmark.quality import distances
from benchmark.quality.distances import (
    between_share,
    frechet,
    mean_kernel,
    median_distance,
    mmd,
    nearest,
    principal_components,
    spread,
    within_spread,
)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def rows_with(mean, covariance):
    """Four rows with exactly these moments."""
    mean, covariance = (torch.tensor(part, dtype=torch.float64) for part in (mean, covariance))
    root = torch.linalg.cholesky(1.5 * covariance)  # 2 x root x root' / (4 - 1)
    return mean + torch.cat([root.T, -root.T])


def test_frechet_of_known_moments():
    """Commuting covariances: |difference of the means|^2 + sum of (s1 - s2)^2. For 2 x 2 matrices
    that do not commute, tr (S1 S2)^(1/2) = sqrt(tr S1 S2 + 2 sqrt(det S1 S2)).
    """
    first = rows_with([0.0, 0], [[1.0, 0], [0, 4]])
    assert frechet(first, rows_with([3.0, 4], [[9.0, 0], [0, 4]])) == pytest.approx(25 + 4)
    assert frechet(first, first) == pytest.approx(0, abs=1e-12)
    first, second = rows_with([0.0, 0], [[2.0, 1], [1, 2]]), rows_with([0.0, 0], [[3.0, 0], [0, 1]])
    shared = math.sqrt(2 * 3 + 2 * 1 + 2 * math.sqrt(3 * 3))
    assert frechet(first, second) == pytest.approx(4 + 4 - 2 * shared)


def test_frechet_of_samples_nears_that_of_their_distributions():
    x, y = normal(20_000, 3), 2 * normal(20_000, 3, seed=1) + 1
    assert frechet(x, y) == pytest.approx(3 * 1 + 3 * (2 - 1) ** 2, rel=0.05)
    assert frechet(x, x) == pytest.approx(0, abs=1e-9)
    assert frechet(x[:1], y) is None
    assert frechet(torch.ones(4, 3), torch.zeros(5, 3)) == pytest.approx(3)  # without any spread


def test_mmd_of_three_points_by_hand():
    """x = 0, 1; y = 3; and y = 3, 3: k(a, b) = exp(-(a - b)^2 / 2)."""
    x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0], [3.0]])
    expected = math.exp(-0.5) + 1 - 2 * (math.exp(-4.5) + math.exp(-2)) / 2
    assert mmd(x, y, 1.0) == pytest.approx(expected)
    assert mmd(x, y[:1], 1.0) is None and mmd(x, y, None) is None
    wider = math.exp(-1 / 8) + 1 - (math.exp(-9 / 8) + math.exp(-4 / 8))
    assert mmd(x, y, 2.0) == pytest.approx(wider)


def test_mmd_is_unbiased_and_tells_distributions_apart():
    x, y, z = normal(1500, 5), normal(1500, 5, seed=1), normal(1500, 5, seed=2) + 0.5
    bandwidth = median_distance(y)
    assert abs(mmd(x, y, bandwidth)) < 1e-3
    assert mmd(x, z, bandwidth) > 0.01
    small = [mmd(normal(8, 5, seed=10 + i), normal(8, 5, seed=1000 + i), 3.0) for i in range(300)]
    assert abs(sum(small) / 300) < 0.005  # the biased estimator's mean here is about 0.1


def test_kernels_do_not_depend_on_the_chunks(monkeypatch):
    x, y = normal(50, 4), normal(30, 4, seed=1)
    found = lambda: (mean_kernel(x, None, 1.5), mean_kernel(x, y, 1.5), nearest(x, y))
    whole = found()
    monkeypatch.setattr(distances, "CHUNK", 16)
    assert found() == pytest.approx(whole, rel=1e-6)
    brute = torch.exp(-torch.cdist(x, x).square() / 4.5)
    assert whole[0] == pytest.approx(float(brute.sum() - brute.trace()) / (50 * 49), rel=1e-5)


def test_median_distance():
    assert median_distance(torch.tensor([[0.0], [1.0], [3.0]])) == pytest.approx(2)  # of 1, 3 and 2
    assert median_distance(torch.ones(4, 2)) is None and median_distance(torch.ones(1, 2)) is None


def test_nearest_training_row():
    train = torch.tensor([[0.0, 0.0], [10.0, 0.0]])
    rows = torch.tensor([[0.0, 3.0], [11.0, 0.0], [5.0, 12.0]])
    assert nearest(rows, train) == pytest.approx(3)  # the median of 3, 1 and 13
    assert nearest(train, train) == 0 and nearest(train[:0], train) is None
    rows = normal(300, 40) + 100  # |x|^2 + |y|^2 - 2 xy cancels to noise here
    assert nearest(rows[:50], rows) == 0
    assert nearest(rows[:50] + 0.25, rows) == pytest.approx(0.25 * math.sqrt(40), rel=1e-4)


def test_principal_components_are_those_of_the_singular_value_decomposition():
    scales = torch.tensor([5.0, 3.0, 1.0, 0.5, 0.1, 0.1])
    rows = normal(40, 6) * scales @ torch.linalg.qr(normal(6, 6, seed=1))[0] + 7
    basis, share = principal_components(rows, 2)
    _, values, vectors = torch.linalg.svd(rows - rows.mean(0))
    torch.testing.assert_close((basis.T @ vectors[:2].T).abs(), torch.eye(2), atol=1e-4, rtol=0)
    values = values.square()
    assert share == pytest.approx(float(values[:2].sum() / values.sum()), rel=1e-5)
    assert principal_components(rows, 32)[0].shape == (6, 6)


LABELS = torch.tensor([[0, 1, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]])


def test_spreads_by_hand():
    rows = torch.tensor([[0.0, 1.0], [2.0, 1.0], [10.0, 1.0], [12.0, 1.0]])
    assert spread(rows) == pytest.approx(math.sqrt((36 + 16 + 16 + 36) / 3) / 2)
    # four residuals of 1, two degrees of freedom
    assert within_spread(rows, LABELS) == pytest.approx(math.sqrt(4 / 2) / 2)
    total, within = 104, 4
    assert between_share(rows, LABELS) == pytest.approx((total - within - within / 2) / total)
    assert spread(rows[:1]) is None and within_spread(rows[[0, 2]], LABELS[[0, 2]]) is None
    assert between_share(rows[:2], LABELS[:2]) is between_share(rows[:0], LABELS[:0]) is None


def test_rows_that_ignore_their_labels_have_no_variance_between_them():
    labels = torch.eye(40)[torch.arange(400) % 40]
    assert abs(between_share(normal(400, 50), labels)) < 0.02  # uncorrected it would be 39/399
    assert between_share(normal(40, 50, seed=2)[torch.arange(400) % 40], labels) == pytest.approx(1)
