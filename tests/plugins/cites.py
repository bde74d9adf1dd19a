"""A backbone with an auxiliary loss: a pair's attention should fall on its evidence sentences."""

import torch

from backbones.atlop import Atlop
from benchmark.registry import BACKBONES


@BACKBONES.register("cites")
class Cites(Atlop):
    """ATLOP whose pairs attend to the sentences that their facts cite."""

    needs = ("evidence", "token_sentence")

    def __init__(self, encoder_width: int, classes: int, *, strength: float = 0.1):
        super().__init__(encoder_width, classes, emb=16, block=4)
        self.strength = strength

    def auxiliary_loss(self, pairs, encoded, batch):
        pair, sentence, count = batch.evidence.unbind(1)
        if not len(pair):
            return 0.0
        attention = encoded.rows.mean(1)
        entities = attention.new_zeros(len(batch.entity_document), attention.shape[1])
        entities = entities.index_add(0, batch.mention_entity, attention)
        head, tail = batch.entity_of(batch.pairs[pair])
        shared = entities[head] * entities[tail] + 1e-9
        cited = batch.token_sentence[batch.pairs[pair, 0]] == sentence[:, None]
        share = (shared * cited).sum(1) / shared.sum(1)
        return -self.strength * (count * torch.log(share + 1e-9)).sum() / count.sum()
