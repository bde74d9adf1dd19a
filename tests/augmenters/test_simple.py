"""`none`, `copies` and `gaussian`."""

import pytest
import torch
from tensors import rng

from augmenters.copies import Copies
from augmenters.gaussian import GaussianNoise, spread
from augmenters.none import NoAugmentation
from benchmark.errors import ConfigError

ROWS = torch.tensor([[0.0, 10.0, 5.0], [2.0, 30.0, 5.0]])
LABELS = torch.eye(3)[1:]


def test_none_returns_nothing():
    rows, labels = NoAugmentation().augment(ROWS, LABELS, rng=rng())
    assert rows.shape == (0, 3) and labels.shape == (0, 3)


def test_copies_are_the_rows():
    rows, labels = Copies().augment(ROWS, LABELS, rng=rng())
    assert torch.equal(rows, ROWS) and torch.equal(labels, LABELS)


def test_gaussian_of_scale_zero_is_copies():
    assert torch.equal(GaussianNoise(scale=0.0).augment(ROWS, LABELS, rng=rng())[0], ROWS)


def test_noise_is_scaled_by_each_dimensions_spread():
    # columns (0, 2), (10, 30), (5, 5): population deviations 1, 10, 0
    assert spread(ROWS).tolist() == [1, 10, 0]
    many, labels = ROWS.repeat(20_000, 1), LABELS.repeat(20_000, 1)
    noise = GaussianNoise(scale=0.5).augment(many, labels, rng=rng())[0] - many
    assert noise.std(0).tolist() == pytest.approx([0.5, 5.0, 0.0], rel=0.02)
    assert noise.mean(0).tolist() == pytest.approx([0, 0, 0], abs=0.1)


def test_rows_without_spread_take_their_own_size():
    torch.testing.assert_close(spread(torch.tensor([[3.0, -4.0]])), torch.tensor([3.0, 4.0]))
    torch.testing.assert_close(
        spread(torch.tensor([[0.3, -4.0]]).repeat(3, 1)), torch.tensor([0.3, 4.0])
    )


@pytest.mark.parametrize("scale", [-1, float("nan"), "0.1", True])
def test_scale_must_be_a_number(scale):
    with pytest.raises(ConfigError, match="option 'scale'"):
        GaussianNoise(scale=scale)
