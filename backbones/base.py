"""The contract of a backbone: from an encoded batch to representations of entity pairs, their logits and a loss."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from benchmark.data.batches import Batch, Encoded


class Pairs(NamedTuple):
    """Entity pairs, real or generated."""

    representations: Tensor  # [P, d]
    labels: Tensor  # [P, R] multi-hot; column 0 where no relation holds

    @property
    def positive(self) -> Tensor:
        """[P] bool: at least one relation holds."""
        return self.labels[:, 0] == 0

    def only_positive(self) -> Pairs:
        return Pairs(self.representations[self.positive], self.labels[self.positive])

    def joined_with(self, other: Pairs) -> Pairs:
        return Pairs(*(torch.cat(both) for both in zip(self, other, strict=True)))


class Backbone(nn.Module):
    """A model of entity pairs on top of an encoder.

    Subclasses are registered with `@BACKBONES.register("name")`, take `(encoder_width, classes)` and keyword-only hyper-
    parameters, and define `represent`, `classify` and `classification_loss`.

    Attributes:
        width: d, of the representations that augmenters see and `classify` reads.
        bounds: the range of representations (generated ones are clamped to it), or None.
        distill_from: directory of a finished run whose stored logits teach this one, or None.
    """

    width: int
    bounds: tuple[float, float] | None = None
    distill_from: str | None = None

    def represent(self, encoded: Encoded, batch: Batch) -> Tensor:
        """[P, d] representations of the batch's pairs."""
        raise NotImplementedError

    def classify(self, representations: Tensor) -> Tensor:
        """[P, R] logits."""
        raise NotImplementedError

    def classification_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """[P] loss of each pair."""
        raise NotImplementedError

    def contrastive_loss(self, pairs: Pairs) -> Tensor | float:
        """A loss over the positive pairs of the batch, generated ones included; none by default."""
        return 0.0

    def loss(
        self,
        real: Pairs,
        generated: Pairs | None = None,
        *,
        combination: str = "concatenate",
        weight: float = 1.0,
        teacher: Tensor | None = None,
    ) -> Tensor:
        """The scalar training loss, in float32 whatever the precision of the step.

        Args:
            real: the batch's pairs.
            generated: extra pairs of an augmenter (stage 3), or None.
            combination: "concatenate" real and generated pairs in one mean (Algorithm 1, l. 33-34), or "two_means": the mean
                over the generated pairs is added to the mean over the real ones (official code).
            weight: of a generated pair (concatenate) or of their mean (two_means).
            teacher: [P, R] logits that the real pairs' logits are drawn to (mean squared error), or None.
        """
        real_logits = self.classify(real.representations).float()
        if generated is None or not len(generated.labels):
            union = real
            loss = _mean(self.classification_loss(real_logits, real.labels))
        else:
            union = real.joined_with(generated)
            logits = torch.cat([real_logits, self.classify(generated.representations).float()])
            P, Q = len(real.labels), len(generated.labels)
            of_real, of_generated = self.classification_loss(logits, union.labels).split([P, Q])
            if combination == "two_means":
                loss = _mean(of_real) + weight * _mean(of_generated)
            else:
                loss = (of_real.sum() + weight * of_generated.sum()) / (P + weight * Q)
        if teacher is not None:
            loss = loss + nn.functional.mse_loss(real_logits, teacher)
        positive = union.only_positive()
        with torch.autocast(real_logits.device.type, enabled=False):
            return loss + self.contrastive_loss(Pairs(_at_least_float32(positive.representations), positive.labels))

    def slow_parameters(self) -> list[nn.Parameter]:
        """Parameters of the head that train at the encoder's learning rate; none by default."""
        return []

    @torch.no_grad()
    def predict(self, logits: Tensor, *, max_labels: int) -> tuple[Tensor, Tensor]:
        """Relations above the threshold, at most `max_labels` a pair (get_label of the ATLOP lineage).

        Returns:
            [F, 2] (pair, class) of the predicted facts, and their margins over the threshold [F].
        """
        margin = logits[:, 1:] - logits[:, :1]
        # the cap counts the threshold among the candidates, as the official code does: a relation above it ranks the same
        # without it
        floor = logits.topk(min(max_labels, logits.shape[1]), dim=1).values[:, -1:]
        facts = ((margin > 0) & (logits[:, 1:] >= floor)).nonzero()
        return facts + torch.tensor([0, 1], device=facts.device), margin[facts[:, 0], facts[:, 1]]


def _at_least_float32(tensor: Tensor) -> Tensor:
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _mean(losses: Tensor) -> Tensor:
    """The mean, and 0 for a batch without a single pair."""
    return losses.sum() / max(len(losses), 1)
