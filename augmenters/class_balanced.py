"""The control for weighting: rare pairs count more in the loss."""

import torch
from torch import Tensor

from augmenters.base import Augmenter
from benchmark.options import OptionModel, Share
from benchmark.registry import AUGMENTERS


@AUGMENTERS.register("class_balanced")
class ClassBalanced(Augmenter):
    """Weights by the effective number of examples (Cui et al. 2019, Eq. 2).

    Relation r weighs (1 - beta) / (1 - beta^n_r), n_r its training pairs. A positive pair weighs
    the mean over its relations, scaled so that the mean over all positive training pairs is 1. A
    pair without a relation weighs 1.
    """

    class Options(OptionModel):
        beta: Share = 0.99  # 0 weighs all alike; towards 1 the weight becomes 1 / n_r

    control = True

    def _prepare(self, label_sets, *, rng, progress):
        counts, beta = label_sets.sum(0).clamp(min=1).double(), self.options.beta
        self.weights = ((1 - beta) / (1 - beta**counts)).float()
        if len(label_sets):
            self.weights = self.weights / self._of_pairs(label_sets).mean()

    def _weigh(self, labels):
        return torch.where(labels[:, 0] > 0, 1.0, self._of_pairs(labels))

    def _of_pairs(self, labels: Tensor) -> Tensor:
        held = labels[:, 1:]
        weights = self.weights[1:].to(labels)
        return (held @ weights) / held.sum(1).clamp(min=1)
