"""Gaussian noise on the positive pairs' representations: "Gaus Noise" of the paper's ablation
(section 3.4); no official code.
"""

from __future__ import annotations

import torch
from torch import Tensor

from augmenters.base import Augmenter, Pairs
from augmenters.options import number
from benchmark.registry import AUGMENTERS


@AUGMENTERS.register("gaussian")
class GaussianNoise(Augmenter):
    """Gaussian noise on the positive pairs, scaled by their per-dimension spread.

    Args:
        scale: standard deviation of the noise, in units of each dimension's spread.
    """

    def __init__(self, *, scale: float = 0.1):
        self.scale = number("scale", scale, least=0)

    def _augment(self, representations: Tensor, labels: Tensor, *, rng: torch.Generator) -> Pairs:
        noise = torch.randn(representations.shape, generator=rng).to(representations)
        return representations + self.scale * spread(representations) * noise, labels.clone()


def spread(representations: Tensor) -> Tensor:
    """Per-dimension spread [d] of the rows [P,d] of this call.

    The population form of the standard deviation, which does not change when every row is repeated
    m times. It is taken from the
    rows at hand, not from a running mean: the result then depends on the call alone, and a resumed
        run equals an uninterrupted one.
    Rows that are all the same have no spread; the root mean square of the dimension stands in.
    """
    if len(representations) == 0:
        return representations.new_zeros(representations.shape[1])
    deviation, size = representations.std(0, correction=0), representations.square().mean(0).sqrt()
    return torch.where((representations == representations[:1]).all(), size, deviation)
