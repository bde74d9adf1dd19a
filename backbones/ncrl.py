"""NCRL (Zhou and Lee 2022): ATLOP with the none class ranking loss."""

from __future__ import annotations

from torch import Tensor

from backbones.parts.grouped import GroupedPairs
from backbones.parts.losses import none_class_ranking
from benchmark.options import number
from benchmark.registry import BACKBONES


@BACKBONES.register("ncrl")
class Ncrl(GroupedPairs):
    """NCRL: ATLOP with the none class ranking loss.

    Args:
        emb: width of head and tail features.
        block: width of a bilinear group.
        margin: gamma; negatives further than it below the threshold have no gradient. The official
            file holds 0, its older state, which was trained with, 0.05.
    """

    def __init__(
        self,
        encoder_width: int,
        classes: int,
        *,
        emb: int = 768,
        block: int = 64,
        margin: float = 0.05,
    ):
        super().__init__(encoder_width, classes, emb=emb, block=block)
        self.margin = number("margin", margin, least=0)

    def pair_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return none_class_ranking(logits, labels, margin=self.margin)
