"""The head of DocRED's baselines (Yao et al. 2019; thunlp/DocRED): entities as means over their
mentions, embedded distances, one bilinear map.
"""

from typing import Any

import torch
from torch import Tensor

from backbones.parts.bilinear import GroupedBilinear
from backbones.parts.binary import BinaryRelations
from backbones.parts.distances import DistancePairs
from backbones.parts.mentions import entity_means, mention_means
from benchmark.data.batches import Batch, Encoded
from benchmark.options import OptionModel, Whole
from benchmark.registry import BACKBONES


@BACKBONES.register("bilinear")
class Bilinear(BinaryRelations):
    """DocRED's CNN, LSTM and BiLSTM baselines, on the encoder of that name: a bilinear map of
    entities and distances, threshold tuned on dev.
    """

    class Options(OptionModel):
        distance: Whole = 20  # width of an embedded distance

    needs = ("mention_end",)

    def __init__(self, encoder_width: int, classes: int, **options: Any):
        super().__init__(**options)
        self.pairs = DistancePairs(self.options.distance)
        side = encoder_width + self.options.distance
        self.width = 2 * side
        self.bilinear = GroupedBilinear(side, side, classes, bias=True)

    def represent(self, encoded: Encoded, batch: Batch) -> Tensor:
        entities = entity_means(mention_means(encoded.states, batch), batch)
        return torch.cat(self.pairs(entities, batch), 1)

    def classify(self, representations: Tensor) -> Tensor:
        return self.bilinear(*representations.chunk(2, dim=1))
