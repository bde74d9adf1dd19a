"""Head and tail features of entity pairs, shared by all backbones: z = tanh(W [e; c] + b) (Zhou et
al. 2021, Eq. 3-4).

The paper's Eq. (20) has one map of [e_h; e_t; c] instead; the official code, like KD-DocRE's, has
these two and the grouped bilinear map of `bilinear.py` after them.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, linear

from backbones.parts.pooling import entity_embeddings, localized_context
from benchmark.data.batches import Batch, Encoded


class PairFeatures(nn.Module):
    """Head and tail features [*, emb] of cells [*, 3], Eq. (20).

    Args:
        heads, epsilon: see `localized_context`.
        context_width: of the context of a pair.
    """

    def __init__(
        self, encoder_width: int, emb: int, *, heads: str, epsilon: float, context_width: int
    ):
        super().__init__()
        width = encoder_width + context_width
        self.head = nn.Linear(width, emb)
        self.tail = nn.Linear(width, emb)
        self.heads, self.epsilon = heads, epsilon

    def forward(self, encoded: Encoded, batch: Batch, cells: Tensor) -> tuple[Tensor, Tensor]:
        return self.of_context(encoded, batch, cells, self.context(encoded, batch, cells))

    def context(self, encoded: Encoded, batch: Batch, cells: Tensor) -> Tensor:
        """[*, d] localized context of cells [*, 3]."""
        return localized_context(encoded, batch, cells, heads=self.heads, epsilon=self.epsilon)

    def of_context(
        self, encoded: Encoded, batch: Batch, cells: Tensor, context: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The features with another context [*, context_width]."""
        entities = entity_embeddings(encoded.states, batch)
        head, tail = batch.entity_of(cells)
        sides = (self.head, head), (self.tail, tail)
        return tuple(_features(layer, entities, index, context) for layer, index in sides)

    def absent(self) -> tuple[Tensor, Tensor]:
        """Features [1, emb] of a padded cell of the official code: zeros leave the bias."""
        return torch.tanh(self.head.bias)[None], torch.tanh(self.tail.bias)[None]


def _features(layer: nn.Linear, entities: Tensor, index: Tensor, context: Tensor) -> Tensor:
    """tanh(W [e; c] + b), where the half of W that meets the entity is applied once per entity, not
    once per pair.

    `embedding` sums the gradients of an entity's pairs in a fixed order; `[index]` does not on
    several threads.
    """
    of_entity, of_context = layer.weight.tensor_split([entities.shape[1]], dim=1)
    return torch.tanh(
        embedding(index, linear(entities, of_entity)) + linear(context, of_context, layer.bias)
    )
