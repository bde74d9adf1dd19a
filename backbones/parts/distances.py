"""Embedded distances between the first mentions of two entities (Yao et al. 2019)."""

import torch
from torch import Tensor, nn

from benchmark.data.batches import Batch

BUCKETS = 20  # of signed distances


class DistancePairs(nn.Module):
    """[entity; embedded distance] of head and tail [P, width + distance] each.

    The distance is that of their first mentions in tokens, and negative for one of the two.
    """

    def __init__(self, distance: int):
        super().__init__()
        self.distance = nn.Embedding(BUCKETS, distance, padding_idx=BUCKETS // 2)

    def forward(self, entities: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        head, tail = batch.entity_of(batch.pairs)
        first = first_mentions(batch)
        apart = first[head] - first[tail]
        return (
            torch.cat([entities[head], self.distance(buckets(apart))], 1),
            torch.cat([entities[tail], self.distance(buckets(-apart))], 1),
        )


def first_mentions(batch: Batch) -> Tensor:
    """[E] position of each entity's first mention in the file, in the flattened [D * L] tokens; 0
    for an entity without any.
    """
    number = torch.arange(len(batch.mention_entity), device=batch.mention_entity.device)
    first = torch.full_like(batch.entity_document, len(number))
    first = first.scatter_reduce(0, batch.mention_entity, number, "amin")
    return torch.cat([batch.mention_state, batch.mention_state.new_zeros(1)])[first]


def buckets(distance: Tensor) -> Tensor:
    """Signed distances as buckets 1 .. 19 of powers of two, 10 for 0 (DocRED's dis2idx)."""
    size = distance.abs().clamp(min=1, max=511).double().log2().floor().long() + 1
    return BUCKETS // 2 + size * distance.sign()
