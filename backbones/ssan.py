"""SSAN (Xu et al. 2021)."""

import torch
from torch import nn
from torch.nn.functional import dropout

from backbones.parts.bilinear import GroupedBilinear
from backbones.parts.binary import BinaryRelations
from backbones.parts.distances import DistancePairs
from backbones.parts.mentions import entity_token_means
from backbones.parts.structure import Structure, add_structure
from benchmark.options import OptionModel, Probability, Whole
from benchmark.registry import BACKBONES


@BACKBONES.register("ssan")
class Ssan(BinaryRelations):
    """SSAN: entity structure in every layer of a BERT or RoBERTa, with `mention: unmarked`;
    threshold tuned on dev.

    The loss is a mean over pairs (official: over those of a document, then over documents). The
    bilinear map starts with smaller weights than the official one (`GroupedBilinear`).
    """

    class Options(OptionModel):
        structure: Structure = "biaffine"  # of the attention's bias
        emb: Whole = 128  # width of an entity
        distance: Whole = 20  # width of an embedded distance
        rate: Probability = 0.1  # of dropout of the pairs

    needs = ("mention_end",)
    check_options = {"emb": 8}

    def __init__(self, encoder_width, classes, **options):
        super().__init__(**options)
        emb, distance = self.options.emb, self.options.distance
        self.reduce = nn.Linear(encoder_width, emb)
        self.pairs = DistancePairs(distance)
        self.width = 2 * (emb + distance)
        self.bilinear = GroupedBilinear(emb + distance, emb + distance, classes, bias=True)

    def prepare_encoder(self, encoder):
        add_structure(encoder, self.options.structure)

    def represent(self, encoded, batch):
        entities = entity_token_means(self.reduce(encoded.states).relu(), batch)
        pairs = torch.cat(self.pairs(entities, batch), 1)
        return dropout(pairs, self.options.rate, self.training)

    def classify(self, representations):
        return self.bilinear(*representations.chunk(2, dim=1))
