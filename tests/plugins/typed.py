"""A backbone that reads entity types: head, tail and their types, through one linear layer."""

import torch
from torch import nn

from backbones.base import Backbone
from benchmark.registry import BACKBONES


@BACKBONES.register("typed")
class Typed(Backbone):
    """First mentions' states and type embeddings, and a threshold class."""

    needs = ("entity_type",)

    def __init__(self, encoder_width: int, classes: int, *, types: int = 16, size: int = 8):
        super().__init__()
        self.width = 2 * (encoder_width + size)
        self.types = nn.Embedding(types, size)
        self.classifier = nn.Linear(self.width, classes)

    def represent(self, encoded, batch):
        states = encoded.states.flatten(0, 1)[batch.mention_state]
        entities = states.new_zeros(len(batch.entity_document), states.shape[1])
        entities = entities.index_add(0, batch.mention_entity, states)
        types = self.types(batch.entity_type % self.types.num_embeddings)
        entities = torch.cat([entities, types], 1)
        head, tail = batch.entity_of(batch.pairs)
        return torch.cat([entities[head], entities[tail]], 1)

    def classify(self, representations):
        return self.classifier(representations)

    def pair_loss(self, logits, labels):
        loss = nn.functional.binary_cross_entropy_with_logits
        return loss(logits, labels, reduction="none").mean(1)
