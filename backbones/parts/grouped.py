"""What ATLOP and its descendants share: localized context, head and tail features, grouped bilinear
classifier (Zhou et al. 2021, Eq. 2 to 5).
"""

from __future__ import annotations

import torch
from torch import Tensor

from backbones.base import Backbone
from backbones.parts.bilinear import GroupedBilinear
from backbones.parts.features import PairFeatures
from benchmark.data.batches import Batch, Encoded


class GroupedPairs(Backbone):
    """Pairs as [h'; t'] after tanh, 2 x emb wide, which is what augmenters see; the products of the
    bilinear map go straight to the logits. Subclasses add a loss.

    Args:
        emb: width of head and tail features.
        block: width of a bilinear group.
        context_width: of a pair's context; None: the encoder's.
        epsilon: added to the normaliser of a pair's attention.
    """

    bounds = (-1.0, 1.0)
    reads_attention = True
    check_options = {"emb": 16, "block": 4}

    def __init__(
        self,
        encoder_width: int,
        classes: int,
        *,
        emb: int,
        block: int,
        context_width: int | None = None,
        epsilon: float = 1e-5,
    ):
        super().__init__()
        self.width, self.block = 2 * emb, block
        self.features = PairFeatures(
            encoder_width, emb, heads="mean", epsilon=epsilon, context_width=context_width
        )
        self.bilinear = GroupedBilinear(emb, block, classes, bias=True)

    def represent(self, encoded: Encoded, batch: Batch) -> Tensor:
        return torch.cat(self.features(encoded, batch, batch.pairs), 1)

    def classify(self, representations: Tensor) -> Tensor:
        return self.bilinear(*representations.chunk(2, dim=1))
