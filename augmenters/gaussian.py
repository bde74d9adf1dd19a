"""Gaussian noise: "Gaus Noise" of the paper's ablation (section 3.4); no official code."""

import torch
from torch import Tensor

from augmenters.base import Augmenter
from benchmark.options import Least, checked
from benchmark.registry import AUGMENTERS


@AUGMENTERS.register("gaussian")
class GaussianNoise(Augmenter):
    """Gaussian noise on the positive pairs, scaled by their per-dimension spread.

    Args:
        scale: standard deviation of the noise, in units of each dimension's spread.
        detach: stop the gradient at the noisy pairs; the encoder does not learn from them then.
    """

    def __init__(self, *, scale: float = 0.1, detach: bool = False):
        self.scale = checked("scale", scale, Least)
        self.differentiable = not checked("detach", detach, bool)

    def _augment(self, representations, labels, *, rng):
        noise = torch.randn(representations.shape, generator=rng).to(representations)
        noise = self.scale * spread(representations.detach()) * noise
        return representations + noise, labels.clone()


def spread(representations: Tensor) -> Tensor:
    """Per-dimension spread [d] of the pairs [P,d] of this call.

    The standard deviation's population form does not change when every pair is repeated. It is
    taken from the pairs at hand, not from a running mean, so that a resumed run equals an
    uninterrupted one. Pairs that are all the same have no spread; the root mean square of the
    dimension stands in.
    """
    if len(representations) == 0:
        return representations.new_zeros(representations.shape[1])
    deviation, size = representations.std(0, correction=0), representations.square().mean(0).sqrt()
    return torch.where((representations == representations[:1]).all(), size, deviation)
