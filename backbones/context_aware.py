"""Context-Aware (Sorokin and Gurevych 2017, as in thunlp/DocRED): each pair attends to all pairs of
its document.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from backbones.parts.bilinear import GroupedBilinear
from backbones.parts.binary import BinaryRelations
from backbones.parts.distances import DistancePairs
from backbones.parts.mentions import entity_means, mention_means
from benchmark.data.batches import Batch, Encoded
from benchmark.options import whole
from benchmark.registry import BACKBONES


@BACKBONES.register("context_aware")
class ContextAware(BinaryRelations):
    """Context-Aware: attention over a document's pairs, on the encoder `bilstm`; threshold tuned on
    dev.

    Of the official attention's two terms one adds the same number to all scores of a pair, which
    changes nothing, and is left out.

    Args:
        emb: width of a pair before attention (official: 128).
        distance: width of an embedded distance (official: 20).
    """

    needs = ("mention_end",)
    check_options = {"emb": 8}

    def __init__(self, encoder_width: int, classes: int, *, emb: int = 128, distance: int = 20):
        super().__init__()
        self.pairs = DistancePairs(whole("distance", distance))
        side = encoder_width + distance
        self.width = 2 * whole("emb", emb)
        self.bilinear = GroupedBilinear(side, side, emb, bias=True)
        self.scale = nn.Parameter(torch.empty(emb).uniform_(emb**-0.5, 1))
        self.classifier = nn.Linear(2 * emb, classes)

    def represent(self, encoded: Encoded, batch: Batch) -> Tensor:
        entities = entity_means(mention_means(encoded.states, batch), batch)
        pairs = self.bilinear(*self.pairs(entities, batch))
        return torch.cat([pairs, self.attend(pairs, batch)], 1)

    def attend(self, pairs: Tensor, batch: Batch) -> Tensor:
        """[P, emb]: the mean of a document's pairs, weighted by attention."""
        counts = batch.entities * (batch.entities - 1)
        document = batch.pairs[:, 0]
        place = (
            torch.arange(len(pairs), device=pairs.device) - (counts.cumsum(0) - counts)[document]
        )
        most = batch.largest * (batch.largest - 1)
        table = pairs.new_zeros(len(counts), most, pairs.shape[1])
        table = table.index_put((document, place), pairs)
        real = torch.arange(most, device=pairs.device) < counts[:, None]
        seen = (real | (counts == 0)[:, None])[:, None, :]  # an empty row would give NaN
        found = scaled_dot_product_attention(table * self.scale, table, table, seen, scale=1.0)
        return found[document, place]

    def classify(self, representations: Tensor) -> Tensor:
        return self.classifier(representations)
