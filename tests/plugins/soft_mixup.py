"""Mixup with soft labels (Zhang et al. 2018)."""

import torch

from augmenters.base import Augmenter
from benchmark.registry import AUGMENTERS


@AUGMENTERS.register("soft_mixup")
class SoftMixup(Augmenter):
    """Convex combinations of two pairs and of their labels."""

    differentiable = True
    soft_labels = True

    def __init__(self, *, share: float = 0.3):
        self.share = share

    def _augment(self, representations, labels, *, rng):
        other = torch.randperm(len(representations), generator=rng).to(representations.device)
        mixed = torch.lerp(representations, representations[other], self.share)
        return mixed, torch.lerp(labels, labels[other], self.share)
