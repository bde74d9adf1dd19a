"""SSAN (Xu et al. 2021): an encoder whose attention knows the structure of entities, and a bilinear
head.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from backbones.parts.bilinear import GroupedBilinear
from backbones.parts.binary import BinaryRelations
from backbones.parts.distances import DistancePairs
from backbones.parts.mentions import entity_token_means
from backbones.parts.structure import STRUCTURE, add_structure
from benchmark.data.batches import Batch, Encoded
from benchmark.options import number, one_of, whole
from benchmark.registry import BACKBONES


@BACKBONES.register("ssan")
class Ssan(BinaryRelations):
    """SSAN: entity structure in every layer of a BERT or RoBERTa, with `mention: unmarked`;
    threshold tuned on dev.

    Args:
        structure: of the attention's bias: "biaffine" (official), "decomp", or "none".
        emb: width of an entity (official: 128).
        distance: width of an embedded distance (official: 20).
        rate: of dropout of the pairs (official: 0.1).
    """

    needs = ("mention_end",)
    check_options = {"emb": 8}

    def __init__(
        self,
        encoder_width: int,
        classes: int,
        *,
        structure: str = "biaffine",
        emb: int = 128,
        distance: int = 20,
        rate: float = 0.1,
    ):
        super().__init__()
        self.structure = one_of("structure", structure, STRUCTURE)
        self.rate = number("rate", rate, least=0)
        self.reduce = nn.Linear(encoder_width, whole("emb", emb))
        self.pairs = DistancePairs(whole("distance", distance))
        self.width = 2 * (emb + distance)
        self.bilinear = GroupedBilinear(emb + distance, emb + distance, classes, bias=True)

    def prepare_encoder(self, encoder) -> None:
        add_structure(encoder, self.structure)

    def represent(self, encoded: Encoded, batch: Batch) -> Tensor:
        entities = entity_token_means(self.reduce(encoded.states).relu(), batch)
        pairs = torch.cat(self.pairs(entities, batch), 1)
        return dropout(pairs, self.rate, self.training)

    def classify(self, representations: Tensor) -> Tensor:
        return self.bilinear(*representations.chunk(2, dim=1))
