"""Context-Aware (Sorokin and Gurevych 2017, as in thunlp/DocRED)."""

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from backbones.parts import segments
from backbones.parts.bilinear import GroupedBilinear
from backbones.parts.binary import BinaryRelations
from backbones.parts.distances import DistancePairs
from backbones.parts.mentions import entity_means, mention_means
from benchmark.data.batches import Batch
from benchmark.options import OptionModel, Whole
from benchmark.registry import BACKBONES


@BACKBONES.register("context_aware")
class ContextAware(BinaryRelations):
    """Context-Aware: attention over a document's pairs, on the encoder `bilstm`; threshold tuned on
    dev.

    The official attention has two terms. The one that adds the same number to all scores of a pair
    changes nothing and is left out. The bilinear map starts with smaller weights than the official
    one (`GroupedBilinear`).
    """

    class Options(OptionModel):
        emb: Whole = 128  # width of a pair before attention
        distance: Whole = 20  # width of an embedded distance

    needs = ("mention_end",)
    check_options = {"emb": 8}

    def __init__(self, encoder_width, classes, **options):
        super().__init__(**options)
        emb, distance = self.options.emb, self.options.distance
        self.pairs = DistancePairs(distance)
        side = encoder_width + distance
        self.width = 2 * emb
        self.bilinear = GroupedBilinear(side, side, emb, bias=True)
        self.scale = nn.Parameter(torch.empty(emb).uniform_(emb**-0.5, 1))
        self.classifier = nn.Linear(2 * emb, classes)

    def represent(self, encoded, batch):
        entities = entity_means(mention_means(encoded.states, batch), batch)
        pairs = self.bilinear(*self.pairs(entities, batch))
        return torch.cat([pairs, self.attend(pairs, batch)], 1)

    def attend(self, pairs: Tensor, batch: Batch) -> Tensor:
        """[P, emb]: the mean of a document's pairs, weighted by attention."""
        counts = batch.entities * (batch.entities - 1)
        document = batch.pairs[:, 0]
        place = segments.places(document, counts)
        most = batch.largest * (batch.largest - 1)
        table = pairs.new_zeros(len(counts), most, pairs.shape[1])
        table = table.index_put((document, place), pairs)
        real = torch.arange(most, device=pairs.device) < counts[:, None]
        seen = (real | (counts == 0)[:, None])[:, None, :]  # an empty row would give NaN
        found = scaled_dot_product_attention(table * self.scale, table, table, seen, scale=1.0)
        return found[document, place]
