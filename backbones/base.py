"""The contract of a backbone: from an encoded batch to representations of entity pairs, their
logits and a loss.
"""

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

    def at(self, rows: Tensor) -> Pairs:
        return Pairs(self.representations[rows], self.labels[rows])

    def joined_with(self, other: Pairs) -> Pairs:
        return Pairs(*(torch.cat(both) for both in zip(self, other, strict=True)))


class Backbone(nn.Module):
    """A model of entity pairs on top of an encoder.

    Subclasses are registered with `@BACKBONES.register("name")`, take `(encoder_width, classes)`
    and keyword-only hyper- parameters, and define `represent`, `classify` and
    `classification_loss`.

    Attributes:
        needs: optional fields of `Batch` that the backbone reads (benchmark.data.batches.OPTIONAL);
            batches carry only those that are named here.
        width: d, of the representations that augmenters see and `classify` reads.
        bounds: the range of representations (generated ones are clamped to it), or None.
        distill_from: directory of a finished run whose stored logits teach this one, or None.
        diagonal: whether the classification loss counts the pairs of an entity with itself, as NA
            pairs with logits of zero.
        contrast_with: whether `contrastive_loss` is given the "positives" of the batch, or "all"
            its pairs.
        reduction: of the losses of pairs: their "mean" or their "sum".
    """

    needs: tuple[str, ...] = ()
    width: int
    bounds: tuple[float, float] | None = None
    distill_from: str | None = None
    diagonal: bool = False
    contrast_with: str = "positives"
    reduction: str = "mean"

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
        """A loss over the pairs of the batch (see `contrast_with`), generated ones included; none
        by default.
        """
        return 0.0

    def loss(
        self,
        real: Pairs,
        generated: Pairs | None = None,
        *,
        combination: str = "concatenate",
        weight: float = 1.0,
        teacher: Tensor | None = None,
        diagonal: int = 0,
        contrastive: bool = True,
        positive: Tensor | None = None,
    ) -> Tensor:
        """The scalar training loss, in float32 whatever the precision of the step: Eq. (27) and Eq.
        (29) for the paper's baseline.

        Args:
            real: the batch's pairs.
            generated: extra pairs of an augmenter (stage 3), or None.
            combination: "concatenate" real and generated pairs in one mean (Algorithm 1, lines
                31-34), or "two_means": the mean over the generated pairs is added to the mean over
                the real ones (official code, Stage_3/model.py).
            weight: of a generated pair (concatenate) or of their mean (two_means).
            teacher: [P, R] logits that the real pairs' logits are drawn to (mean squared error), or
                None.
            diagonal: how many pairs of an entity with itself count among the real ones, see
                `with_diagonal`.
            contrastive: False leaves the contrastive loss out.
            positive: row numbers of the real pairs that hold a relation, where they are known: a
                GPU is waited for to find them.
        """
        # Algorithm 1, line 32: predictions on real and on generated pairs, by the same classifier
        real_logits, real_labels = with_diagonal(
            self.classify(real.representations).float(), real.labels, diagonal
        )
        if generated is None or not len(generated.labels):
            union = real
            loss = self._reduced(self.classification_loss(real_logits, real_labels))
        else:
            union = real.joined_with(generated)
            logits = torch.cat([real_logits, self.classify(generated.representations).float()])
            labels = torch.cat([real_labels, generated.labels])
            P, Q = len(real_labels), len(generated.labels)
            of_real, of_generated = self.classification_loss(logits, labels).split([P, Q])
            if combination == "two_means":
                loss = self._reduced(of_real) + weight * self._reduced(of_generated)
            else:
                loss = of_real.sum() + weight * of_generated.sum()
                loss = loss / (P + weight * Q) if self.reduction == "mean" else loss
        if teacher is not None:
            loss = loss + nn.functional.mse_loss(
                real_logits, nn.functional.pad(teacher, (0, 0, 0, diagonal))
            )
        if not contrastive:
            return loss
        if self.contrast_with == "all":
            contrasted = union
        elif positive is None:
            contrasted = union.only_positive()
        else:  # generated pairs all hold a relation
            P, Q = len(real.labels), len(union.labels) - len(real.labels)
            contrasted = union.at(
                torch.cat([positive, torch.arange(P, P + Q, device=positive.device)])
            )
        with torch.autocast(real_logits.device.type, enabled=False):
            return loss + self.contrastive_loss(
                Pairs(_at_least_float32(contrasted.representations), contrasted.labels)
            )

    def _reduced(self, losses: Tensor) -> Tensor:
        """The mean of [P] losses, or their sum; 0 for a batch without a single pair."""
        return losses.sum() / (max(len(losses), 1) if self.reduction == "mean" else 1)

    def slow_parameters(self) -> list[nn.Parameter]:
        """Parameters of the head that train at the encoder's learning rate; none by default."""
        return []

    @torch.no_grad()
    def predict(self, logits: Tensor, *, max_labels: int) -> tuple[Tensor, Tensor]:
        """Relations above the threshold, at most `max_labels` a pair (get_label of the ATLOP
        lineage).

        Returns:
            [F, 2] (pair, class) of the predicted facts, and their margins over the threshold [F].
        """
        margin = logits[:, 1:] - logits[:, :1]
        # the cap counts the threshold among the candidates, as the official code does: a relation
        # above it ranks the same without it
        floor = logits.topk(min(max_labels, logits.shape[1]), dim=1).values[:, -1:]
        facts = ((margin > 0) & (logits[:, 1:] >= floor)).nonzero()
        return facts + torch.tensor([0, 1], device=facts.device), margin[facts[:, 0], facts[:, 1]]


def _at_least_float32(tensor: Tensor) -> Tensor:
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def with_diagonal(logits: Tensor, labels: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Logits and labels [P, R] with `count` more rows: the pairs of an entity with itself, which
    the official code keeps.

    It multiplies their logits by 0 and labels them NA (Stage_1/model.py; KD-DocRE's model.py): all
    of them are alike, and constant.
    """
    if not count:
        return logits, labels
    na = nn.functional.one_hot(
        torch.zeros(count, dtype=torch.long, device=labels.device), labels.shape[1]
    )
    return torch.cat([logits, torch.zeros_like(na, dtype=logits.dtype)]), torch.cat(
        [labels, na.to(labels)]
    )
