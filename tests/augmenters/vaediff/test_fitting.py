import math

import pytest
import torch
from torch import nn

from augmenters.base import AugmenterError, silent
from augmenters.vaediff.fitting import Averages, Descent, batches, run_epochs


def test_batches_cover_every_row_once_in_nearly_equal_parts():
    parts = batches(101, 10, torch.Generator().manual_seed(0))
    assert sorted(torch.cat(parts).tolist()) == list(range(101))
    assert len(parts) == 11 and {len(part) for part in parts} == {9, 10}


def descent(clip=1.0):
    return Descent(nn.Linear(2, 1), lr=2e-4, lr_min=2e-5, total=10, clip=clip)


def test_learning_rate_is_one_cosine():
    rates = [descent().rate_of(step) for step in range(10)]
    assert rates[0] == 2e-4 and rates[5] == pytest.approx((2e-4 + 2e-5) / 2)
    assert all(late < early for early, late in zip(rates, rates[1:], strict=False))
    assert rates[9] == pytest.approx(2e-5, abs=5e-6)


def test_gradients_are_clipped():
    one = descent(clip=1e-3)
    one.step(100 * nn.functional.linear(torch.ones(1, 2), *one.parameters).sum())
    norm = torch.cat([p.grad.flatten() for p in one.parameters]).norm()
    assert norm.item() == pytest.approx(1e-3, rel=1e-3)


def test_gradients_are_of_the_step_alone():
    one = descent(clip=1e9)
    for _ in range(3):
        one.step(nn.functional.linear(torch.tensor([[1.0, 2.0]]), *one.parameters).sum())
    assert one.parameters[0].grad.tolist() == [[1.0, 2.0]]


def test_averages_are_over_rows_not_over_batches():
    averages = Averages()
    averages.add(loss=torch.tensor([1.0, 1.0, 1.0]))
    averages.add(loss=torch.tensor([5.0]))
    assert averages.read() == {"loss": 2.0}


def test_training_that_diverges_is_named():
    with pytest.raises(AugmenterError, match="loss is nan in epoch 1"):
        run_epochs(2, lambda epoch: {"loss": math.nan}, silent)
