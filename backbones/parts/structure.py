"""Self-attention that knows which tokens belong to entities, and to which (SSAN, Xu et al. 2021;
model/modeling_bert.py): changes of a BERT-like encoder.
"""

import math
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, scaled_dot_product_attention

from backbones.parts.mentions import TokenTags, token_entities
from benchmark.data.batches import Batch
from benchmark.errors import ConfigError

Structure = Literal["biaffine", "decomp", "none"]
KINDS = 5  # of pairs of tokens
NAME = "entity_structure"  # of the attention function among those of transformers
MODELS = ("bert", "roberta", "xlm-roberta")


class EntityStructure(nn.Module):
    """What is added to an encoder: embeddings of entity numbers and types to its inputs, and in
    every layer a bias to the attention of entity tokens.

    Args:
        size: width of a head.
        width: of the encoder's states.
        spread: standard deviation of fresh embeddings, as that of the encoder's own.
    """

    def __init__(
        self, layers: int, heads: int, size: int, structure: str, width: int, spread: float = 0.02
    ):
        super().__init__()
        self.tags = TokenTags(width)
        for table in (self.tags.entity, self.tags.kind):
            table.weight.data *= spread  # they were drawn with a deviation of 1
        biased = structure != "none"
        self.layers = nn.ModuleList(
            StructureBias(heads, size, structure) for _ in range(layers if biased else 0)
        )
        self.inputs: Tensor | None = None  # [W, T, width] of the batch at hand
        self.kinds: Tensor | None = None  # [W, T, T] of the same

    def see(self, batch: Batch) -> None:
        """Take in the batch that the encoder is about to encode."""
        entities, types = self.tags(batch)
        self.inputs = (entities + types)[batch.window_target]
        entity = pad(token_entities(batch), (0, 1))[batch.window_target]
        sentence = pad(batch.token_sentence.flatten(), (0, 1), value=-1)[batch.window_target]
        self.kinds = structure_kinds(entity, sentence)

    def attend(self, number: int, query: Tensor, key: Tensor, value: Tensor, mask, dropout: float):
        """[W, T, heads, size]: the attention of layer `number`."""
        bias = self.layers[number](query, key, self.kinds)
        if mask is not None:
            hidden = ~mask if mask.dtype == torch.bool else mask < 0
            bias = bias.masked_fill(hidden, torch.finfo(bias.dtype).min)
        found = scaled_dot_product_attention(query, key, value, bias, dropout)
        return found.transpose(1, 2).contiguous()


class StructureBias(nn.Module):
    """The bias of one layer: for each kind of token pair q B k + b ("biaffine") or q K + Q k + b
    ("decomp"), over the root of a head's width.
    """

    def __init__(self, heads: int, size: int, structure: str):
        super().__init__()
        shapes = [(heads, size, size)] if structure == "biaffine" else [(heads, size)] * 2
        weights = (torch.stack([_fresh(shape) for _ in range(KINDS)]) for shape in shapes)
        self.weights = nn.ParameterList(nn.Parameter(weight) for weight in weights)
        self.constant = nn.Parameter(torch.zeros(KINDS, heads))

    def forward(self, query: Tensor, key: Tensor, kinds: Tensor) -> Tensor:
        """[W, heads, T, T] for queries and keys [W, heads, T, size] and kinds [W, T, T].

        Only the rows of entity tokens, a fifth of all, are computed.
        """
        W, heads, T, size = query.shape
        of_entity = (kinds < KINDS).any(2)
        most = int(of_entity.sum(1).max())
        rows = of_entity.int().topk(most, dim=1).indices  # [W, most]; some are of no entity
        window = torch.arange(W, device=rows.device)[:, None]
        query = query.transpose(1, 2)[window, rows].transpose(1, 2)  # [W, heads, most, size]
        kinds = kinds[window, rows]
        total = query.new_zeros(W, heads, most, T)
        for kind in range(KINDS):
            if len(self.weights) == 1:
                bias = query @ self.weights[0][kind] @ key.transpose(2, 3)
            else:
                of_query, of_key = (weight[kind].unsqueeze(2) for weight in self.weights)
                bias = query @ of_query + (key @ of_key).transpose(2, 3)
            bias = bias + self.constant[kind][:, None, None]
            total = total + bias * (kinds == kind)[:, None]
        full = total.new_zeros(W, T, heads, T)
        full = full.index_put((window, rows), total.transpose(1, 2) / math.sqrt(size))
        return full.transpose(1, 2)


def structure_kinds(entity: Tensor, sentence: Tensor) -> Tensor:
    """[W, T, T] kind of each pair of tokens, 5 for none. The first is in a mention, and the second
    in the same sentence in a mention of the same entity (0), of another one (1) or of none (2); in
    another sentence in a mention of the same entity (3) or of another one (4).

    Args:
        entity: [W, T] number from 1, 0 outside mentions.
        sentence: [W, T], -1 for special tokens and padding.
    """
    first, second = entity[:, :, None], entity[:, None, :]
    together = sentence[:, :, None] == sentence[:, None, :]
    inside = torch.where(second == first, 0, torch.where(second > 0, 1, 2))
    apart = torch.where(second == first, 3, torch.where(second > 0, 4, KINDS))
    kinds = torch.where(together, inside, apart)
    counts = (first > 0) & (sentence >= 0)[:, None, :]
    return torch.where(counts, kinds, KINDS)


def add_structure(encoder: nn.Module, structure: str) -> None:
    """Give a BERT or RoBERTa encoder an `EntityStructure`, which is trained and stored with it.

    Raises ConfigError for another encoder.
    """
    import transformers
    from transformers.masking_utils import sdpa_mask

    model = getattr(encoder, "model", None)
    if model is None or model.config.model_type not in MODELS:
        raise ConfigError("entity structure can be added to BERT and RoBERTa encoders only")
    heads, width = model.config.num_attention_heads, encoder.width
    layers = [m for m in model.modules() if hasattr(m, "query") and hasattr(m, "key")]
    spread = model.config.initializer_range
    added = EntityStructure(len(layers), heads, width // heads, structure, width, spread)
    encoder.structure = added
    encoder.needs = (*TokenTags.needs, "token_sentence")
    encoder.register_forward_pre_hook(lambda _, inputs: added.see(inputs[0]))
    model.embeddings.word_embeddings.register_forward_hook(
        lambda _, inputs, output: output + added.inputs
    )
    if structure == "none":
        return
    for number, layer in enumerate(layers):  # not as a submodule: it would be stored twice
        object.__setattr__(layer, NAME, partial(added.attend, number))
    transformers.AttentionInterface.register(NAME, _attend)
    transformers.AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)


def _attend(module, query, key, value, attention_mask, dropout=0.0, **_):
    """The function that transformers calls."""
    return getattr(module, NAME)(query, key, value, attention_mask, dropout), None


def _fresh(shape: tuple[int, ...]) -> Tensor:
    return nn.init.xavier_uniform_(torch.empty(shape))
