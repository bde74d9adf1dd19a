"""ATLOP (Zhou et al. 2021): localized context pooling, grouped bilinear classifier, adaptive
threshold.
"""

from __future__ import annotations

from torch import Tensor

from backbones.parts.grouped import GroupedPairs
from backbones.parts.losses import adaptive_threshold
from backbones.parts.official import FEATURES, OfficialHead
from benchmark.registry import BACKBONES


@BACKBONES.register("atlop")
class Atlop(GroupedPairs):
    """ATLOP: localized context, grouped bilinear classifier, adaptive-threshold loss.

    Args:
        emb: width of head and tail features (official: 768).
        block: width of a bilinear group (official: 64).
    """

    official = OfficialHead(
        FEATURES | {r"bilinear\.(.+)": r"bilinear.linear.\1"},
        product="bilinear",
        classifier="bilinear",
    )

    def __init__(self, encoder_width: int, classes: int, *, emb: int = 768, block: int = 64):
        super().__init__(encoder_width, classes, emb=emb, block=block)

    def pair_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return adaptive_threshold(logits, labels)
