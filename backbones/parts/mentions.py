"""Mentions as spans of tokens: what systems read that do not gather a mention at its marker."""

import torch
from torch import Tensor, nn

from backbones.parts import segments
from benchmark.data.batches import Batch

ENTITIES, TYPES = 512, 64  # rows of the tables of entity numbers and types; larger ones share a row


def mention_tokens(batch: Batch) -> tuple[Tensor, Tensor]:
    """Every token of every mention: (mention [K], position in the flattened [D * L] tokens [K])."""
    mention, place = segments.ranges(batch.mention_end - batch.mention_state)
    return mention, batch.mention_state[mention] + place


def mention_means(states: Tensor, batch: Batch) -> Tensor:
    """[M, d]: the mean of the states [D, L, d] of a mention's tokens."""
    mention, token = mention_tokens(batch)
    return segments.means(states.flatten(0, 1)[token], mention, len(batch.mention_state))


def entity_means(mentions: Tensor, batch: Batch) -> Tensor:
    """[E, *]: the mean over an entity's mentions [M, *]; zero for an entity without any."""
    return segments.means(mentions, batch.mention_entity, len(batch.entity_document))


def entity_token_means(states: Tensor, batch: Batch) -> Tensor:
    """[E, d]: the mean of the states [D, L, d] of all tokens of an entity's mentions."""
    mention, token = mention_tokens(batch)
    entity = batch.mention_entity[mention]
    return segments.means(states.flatten(0, 1)[token], entity, len(batch.entity_document))


def token_entities(batch: Batch) -> Tensor:
    """[D * L] the entity of each token, counted from 1 within the document; 0 outside mentions.

    Where mentions overlap, the entity with the larger number.
    """
    mention, token = mention_tokens(batch)
    number = batch.entity_slot[batch.mention_entity[mention]] + 1
    found = torch.zeros(len(batch.rows) * batch.width, dtype=number.dtype, device=number.device)
    return found.scatter_reduce(0, token, number, "amax")


def token_types(batch: Batch, entities: Tensor) -> Tensor:
    """[D * L] the type of the entity of each token, given `token_entities`; 0 outside mentions."""
    document = torch.arange(len(entities), device=entities.device) // batch.width
    types = torch.cat([batch.entity_type, batch.entity_type.new_zeros(1)])
    number = batch.entity_offset[document] + entities - 1
    return torch.where(entities > 0, types[number.clamp(min=0)], 0)


class TokenTags(nn.Module):
    """Embeddings of the entity number and of the type of each token, zero outside mentions.

    A batch must carry `mention_end` and `entity_type`.

    Args:
        width: of each of the two.
    """

    needs = ("mention_end", "entity_type")

    def __init__(self, width: int):
        super().__init__()
        self.entity = nn.Embedding(ENTITIES, width, padding_idx=0)
        self.kind = nn.Embedding(TYPES, width, padding_idx=0)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """[D * L + 1, width] of entities and of types; the last row is zero."""
        entities = token_entities(batch)
        types = token_types(batch, entities)
        entities, types = (torch.cat([ids, ids.new_zeros(1)]) for ids in (entities, types))
        return (
            self.entity(entities.clamp(max=ENTITIES - 1)),
            self.kind(types.clamp(max=TYPES - 1)),
        )
