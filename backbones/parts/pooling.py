"""From token states to entities and to the context of entity pairs, for all documents of a batch at
once.
"""

import torch
from torch import Tensor

from backbones.parts import segments
from backbones.parts.mentions import entity_means
from benchmark.data.batches import Batch, Encoded
from benchmark.errors import ConfigError


def entity_embeddings(states: Tensor, batch: Batch) -> Tensor:
    """[E, d]: logsumexp over an entity's mentions (Eq. (19); Zhou et al. 2021, Eq. 2).

    Args:
        states: [D, L, d] token states; a mention is the state of its opening marker.
    """
    mentions = states.flatten(0, 1)[batch.mention_state]
    entities = batch.mention_entity, len(batch.entity_document)
    _, total, peak = segments.exponentials(mentions, *entities)
    return peak + total.log()


def entity_attention(rows: Tensor, batch: Batch) -> Tensor:
    """[E, heads, L]: mean over an entity's mentions of their attention rows [M, heads, L]."""
    if rows is None:
        raise ConfigError("the encoder gives no attention; set reads_attention on the backbone")
    return entity_means(rows, batch)


def pair_attention(rows: Tensor, batch: Batch, *, heads: str, epsilon: float) -> Tensor:
    """[D, N * N, L]: the normalised product of both entities' attention, for every (head, tail)
    cell of a document; `heads` and `epsilon` as of `localized_context`.
    """
    attention = entity_attention(rows, batch)
    # at every token, the product over the heads of all entity pairs is one small matrix product
    table = segments.table(attention, batch).permute(0, 3, 1, 2)  # [D, L, n, heads]
    # products of small probabilities: not in half precision
    with torch.autocast(table.device.type, enabled=False):
        weights = (table @ table.transpose(-1, -2)).flatten(2).transpose(1, 2)  # [D, n * n, L]
    if heads == "mean":
        weights = weights / attention.shape[1]
    return weights / (weights.sum(-1, keepdim=True) + epsilon)


def localized_context(
    encoded: Encoded, batch: Batch, cells: Tensor, *, heads: str, epsilon: float
) -> Tensor:
    """[cells, d]: token states weighted by the product of both entities' attention (c_{h,t} of Eq.
    (20); Zhou et al., Eq. 9-10).

    Args:
        cells: [*, 3] (document, head, tail).
        heads: how the heads' products are reduced before normalisation: "mean" (ATLOP) or "sum"
            (KD-DocRE, the paper's code).
        epsilon: added to the normaliser: 1e-5 (ATLOP) or 1e-10.
    """
    weights = pair_attention(encoded.rows, batch, heads=heads, epsilon=epsilon)
    if encoded.kept is not None:
        weights = weights * encoded.kept.flatten(1, 2)
    context = weights.to(encoded.states.dtype) @ encoded.states  # [D, n * n, d]
    return context[cells[:, 0], cells[:, 1] * batch.largest + cells[:, 2]]
