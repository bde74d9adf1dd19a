"""ATLOP (Zhou et al. 2021): localized context pooling, grouped bilinear classifier, adaptive
threshold.
"""

from __future__ import annotations

import torch
from torch import Tensor

from backbones.base import Backbone
from backbones.parts.bilinear import GroupedBilinear
from backbones.parts.features import PairFeatures
from backbones.parts.losses import adaptive_threshold
from backbones.parts.official import FEATURES, OfficialHead
from benchmark.data.batches import Batch, Encoded
from benchmark.registry import BACKBONES


@BACKBONES.register("atlop")
class Atlop(Backbone):
    """ATLOP: localized context, grouped bilinear classifier, adaptive-threshold loss.

    The representation that augmenters see is [h'; t'] after tanh, 2 x emb wide: the products of the
    bilinear map go straight to the logits.

    Args:
        emb: width of head and tail features (official: 768).
        block: width of a bilinear group (official: 64).
    """

    bounds = (-1.0, 1.0)
    official = OfficialHead(
        FEATURES | {r"bilinear\.(.+)": r"bilinear.linear.\1"},
        product="bilinear",
        classifier="bilinear",
    )
    reads_attention = True
    check_options = {"emb": 16, "block": 4}

    def __init__(self, encoder_width: int, classes: int, *, emb: int = 768, block: int = 64):
        super().__init__()
        self.width = 2 * emb
        self.features = PairFeatures(encoder_width, emb, heads="mean", epsilon=1e-5)
        self.bilinear = GroupedBilinear(emb, block, classes, bias=True)

    def represent(self, encoded: Encoded, batch: Batch) -> Tensor:
        return torch.cat(self.features(encoded, batch, batch.pairs), 1)

    def classify(self, representations: Tensor) -> Tensor:
        return self.bilinear(*representations.chunk(2, dim=1))

    def pair_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return adaptive_threshold(logits, labels)
