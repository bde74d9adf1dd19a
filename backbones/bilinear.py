"""The head of DocRED's baselines (Yao et al. 2019; thunlp/DocRED)."""

import torch

from backbones.parts.bilinear import GroupedBilinear
from backbones.parts.binary import BinaryRelations
from backbones.parts.distances import DistancePairs
from backbones.parts.mentions import entity_means, mention_means
from benchmark.options import OptionModel, Whole
from benchmark.registry import BACKBONES


@BACKBONES.register("bilinear")
class Bilinear(BinaryRelations):
    """DocRED's CNN, LSTM and BiLSTM baselines, on the encoder of that name: a bilinear map of
    entities and distances, threshold tuned on dev.

    An entity is the mean over its mentions. The bilinear map starts with smaller weights than the
    official one (`GroupedBilinear`).
    """

    class Options(OptionModel):
        distance: Whole = 20  # width of an embedded distance

    needs = ("mention_end",)

    def __init__(self, encoder_width, classes, **options):
        super().__init__(**options)
        self.pairs = DistancePairs(self.options.distance)
        side = encoder_width + self.options.distance
        self.width = 2 * side
        self.bilinear = GroupedBilinear(side, side, classes, bias=True)

    def represent(self, encoded, batch):
        entities = entity_means(mention_means(encoded.states, batch), batch)
        return torch.cat(self.pairs(entities, batch), 1)

    def classify(self, representations):
        return self.bilinear(*representations.chunk(2, dim=1))
