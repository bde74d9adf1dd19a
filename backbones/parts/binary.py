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

    def move_threshold(self, margin: float) -> None:
        """Predict facts whose margin is above `margin`, until it is moved again."""
        self.threshold += margin


def with_few_negatives(losses: Tensor, labels: Tensor, factor: int, least: int) -> Tensor:
    """[P] losses of which pairs without a relation count only for `factor` times as many as there
    are pairs with one, and for at least `least`, drawn at random. The mean of the result is the
    mean over the pairs that count.
    """
    negative = labels[:, 0] > 0
    positives = (~negative).sum()
    wanted = (factor * positives).clamp(min=least)
    draws = torch.rand(len(losses), device=losses.device).masked_fill(~negative, 2)
    kept = ~negative | (draws.argsort().argsort() < wanted)  # by the rank of their draws
    return losses * kept * (len(losses) / kept.sum().clamp(min=1))
