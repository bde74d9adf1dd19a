"""Relations as independent binary decisions: binary cross-entropy, one threshold tuned on dev."""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from backbones.base import Backbone


class BinaryRelations(Backbone):
    """A backbone whose relations are predicted where their logits lie above one threshold, which is
    tuned on dev before every dev score and stored with the weights. Class 0 is learned like any
    other and never predicted.
    """

    tunes_threshold = True
    threshold: Tensor

    def __init__(self, **options):
        super().__init__(**options)
        self.register_buffer("threshold", torch.zeros(()))

    def pair_loss(self, logits, labels):
        """[P]: the mean over all classes."""
        return binary_cross_entropy_with_logits(logits, labels, reduction="none").mean(1)

    def margins(self, logits):
        return logits[:, 1:] - self.threshold

    def predict(self, logits, *, max_labels):
        """All relations above the threshold, as in the official code of such systems: what is
        decided one by one has no limit.
        """
        return super().predict(logits, max_labels=logits.shape[1])

    def move_threshold(self, margin: float) -> None:
        """Predict facts whose margin is above `margin`, until it is moved again."""
        self.threshold += margin


def few_negatives(labels: Tensor, factor: int, least: int) -> Tensor:
    """[P] bool: all pairs with a relation, and of those without as many as `factor` times that, at
    least `least`, drawn at random.
    """
    negative = labels[:, 0] > 0
    wanted = (factor * (~negative).sum()).clamp(min=least)
    draws = torch.rand(len(labels), device=labels.device).masked_fill(~negative, 2)
    return ~negative | (draws.argsort().argsort() < wanted)  # by the rank of their draws
