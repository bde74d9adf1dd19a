"""The training loss of a step: real and generated pairs, the teacher, the auxiliary loss.

Eq. (27) and Eq. (29) for the paper's baseline; Algorithm 1, lines 31-34, with generated pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from backbones.base import Backbone
from benchmark.data.batches import Batch, Encoded
from benchmark.data.pairs import Pairs
from benchmark.training.gathering import agreed


@dataclass(frozen=True)
class Mixing:
    """What the loss of a step is made of.

    combination: "concatenate" real and generated pairs in one mean (Algorithm 1, lines 31-34), or
        "two_means": the mean over generated pairs is added to that over real ones (official code,
        Stage_3/model.py).
    weight: of a generated pair (concatenate) or of their mean (two_means).
    auxiliary: whether the backbone's auxiliary loss counts.
    taught: whether the teacher counts.
    """

    combination: str = "concatenate"
    weight: float = 1.0
    auxiliary: bool = True
    taught: bool = True


def training_loss(
    backbone: Backbone,
    real: Pairs,
    generated: Pairs | None,
    encoded: Encoded,
    batch: Batch,
    *,
    mixing: Mixing = Mixing(),
    teacher: Tensor | None = None,
    perturb: Callable[[Tensor, Tensor], Tensor] | None = None,
    adjust: Callable[[Tensor, Tensor], Tensor] | None = None,
    weigh: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """The scalar loss of a step, in float32 whatever the precision of the step.

    Args:
        real: all pairs of the batch.
        generated: extra pairs of an augmenter, or None.
        encoded, batch: what the real pairs came from, for the auxiliary loss.
        teacher: [P, R] logits that the real pairs' logits are drawn to (mean squared error).
        perturb: an augmenter's change of the real pairs' representations [P, d], given their
            labels; the auxiliary loss sees them unchanged.
        adjust: an augmenter's change of the real pairs' logits [P, R], given their labels.
        weigh: an augmenter's weights [P] of the real pairs' losses, given their labels.
    """
    drawn, everything = agreed(backbone.drawn_pairs(real.labels)), real
    if drawn is not None:
        real, teacher = real.at(drawn), teacher if teacher is None else teacher[drawn]
    # Algorithm 1, line 32: predictions on real and on generated pairs, by the same classifier
    seen = real.representations if perturb is None else perturb(*real)
    logits = backbone.classify(seen).float()
    adjusted = logits if adjust is None else adjust(logits, real.labels)
    if generated is None or not len(generated.labels):
        losses = backbone.pair_loss(adjusted, real.labels)
        loss = _mean(losses if weigh is None else losses * weigh(real.labels))
    else:
        everything = everything.joined_with(generated)
        of_generated = backbone.classify(generated.representations).float()
        labels = torch.cat([real.labels, generated.labels])
        losses = backbone.pair_loss(torch.cat([adjusted, of_generated]), labels)
        P, Q = len(real.labels), len(generated.labels)
        real_losses, generated_losses = losses.split([P, Q])
        if mixing.combination == "two_means":
            loss = _mean(real_losses) + mixing.weight * _mean(generated_losses)
        else:
            loss = real_losses.sum() + mixing.weight * generated_losses.sum()
            loss = loss / (P + mixing.weight * Q)
    if teacher is not None and mixing.taught:
        loss = loss + nn.functional.mse_loss(logits, teacher)
    if not mixing.auxiliary:
        # DDP waits for every parameter's gradient; with a gradient of 0, the optimiser does the
        # same in one process and in several
        return loss + 0 * sum(parameter.sum() for parameter in backbone.parameters())
    with torch.autocast(logits.device.type, enabled=False):
        found = everything.representations
        dtype = torch.promote_types(found.dtype, torch.float32)
        wide = replace(everything, representations=found.to(dtype))
        return backbone.combine(loss, backbone.auxiliary_loss(wide, encoded, batch))


def _mean(losses: Tensor) -> Tensor:
    """The mean of [P] losses; 0 for a batch without a single pair."""
    return losses.sum() / max(len(losses), 1)
