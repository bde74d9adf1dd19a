"""What ATLOP and its descendants share: localized context, head and tail features, grouped bilinear
classifier (Zhou et al. 2021, Eq. 2 to 5).
"""

from typing import ClassVar

import torch

from backbones.base import Backbone
from backbones.parts.bilinear import GroupedBilinear
from backbones.parts.features import PairFeatures


class GroupedPairs(Backbone):
    """Pairs as [h'; t'] after tanh, 2 x emb wide, which is what augmenters see; the products of the
    bilinear map go straight to the logits. Subclasses add a loss, and `Options` with emb, the width
    of head and tail features, and block, that of a bilinear group.

    Attributes:
        epsilon: added to the normaliser of a pair's attention.
    """

    bounds = (-1.0, 1.0)
    reads_attention = True
    check_options = {"emb": 16, "block": 4}
    epsilon: ClassVar[float] = 1e-5

    def __init__(self, encoder_width, classes, **options):
        super().__init__(**options)
        emb, context = self.options.emb, self.context_width(encoder_width)
        self.width = 2 * emb
        self.features = PairFeatures(
            encoder_width, emb, heads="mean", epsilon=self.epsilon, context_width=context
        )
        self.bilinear = GroupedBilinear(emb, self.options.block, classes, bias=True)

    def context_width(self, encoder_width: int) -> int:
        """Of a pair's context: the encoder's, unless the backbone refines it."""
        return encoder_width

    def represent(self, encoded, batch):
        return torch.cat(self.features(encoded, batch, batch.pairs), 1)

    def classify(self, representations):
        return self.bilinear(*representations.chunk(2, dim=1))
