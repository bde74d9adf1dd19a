"""Negative sampling: all positives count, few negatives, and the mean is that of those."""

import pytest
import torch

from backbones.parts.binary import with_few_negatives


@pytest.mark.parametrize(("factor", "least", "kept"), [(2, 1, 6), (0, 5, 7), (9, 1, 20)])
def test_few_negatives(factor, least, kept):
    labels = torch.zeros(20, 3)
    labels[:2, 1] = labels[2:, 0] = 1
    losses = torch.arange(1.0, 21.0)
    found = with_few_negatives(losses, labels, factor, least)
    counted = found > 0
    assert counted[:2].all() and counted.sum() == kept
    torch.testing.assert_close(found.mean(), losses[counted].mean())
