"""The pretrained language model: token states of whole documents, and the attention of their
mentions.

The localized context (Zhou et al. 2021) needs the last layer's attention, but only the rows of
mention tokens. Those are recomputed from the last layer's own queries and keys, so that fused
attention stays on in every layer. Documents longer than the encoder's window are encoded in
overlapping windows (atlop/long_seq.py, generalised to any length): states are averaged where
windows overlap, attention rows are added and normalised again.
"""

from __future__ import annotations

import difflib
import math
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from benchmark.data.batches import Batch, Encoded, WindowPlan
from benchmark.errors import ConfigError, UserError
from benchmark.registry import ENCODERS

ROWS_FROM_PROJECTIONS = {
    "bert": ("query", "key"),
    "roberta": ("query", "key"),
    "xlm-roberta": ("query", "key"),
    "mpnet": ("q", "k"),
}
"""Model types whose last-layer attention is recomputed from two linear layers of these names; all
others run eagerly.
"""


class Encoder(nn.Module):
    """A Hugging Face encoder and its tokenizer.

    Args:
        model: loaded with fused (sdpa) attention where its type is in `ROWS_FROM_PROJECTIONS`, else
            with eager attention.
        tokenizer: a fast tokenizer with a start, an end and a padding token.
        overlap: least number of tokens that neighbouring windows share.
    """

    def __init__(self, model: nn.Module, tokenizer: Any, *, overlap: int = 128):
        super().__init__()
        self.model = model
        self.tokenizer = tokenizer
        self.width = model.config.hidden_size
        start, end = (
            tokenizer.cls_token_id
            if tokenizer.cls_token_id is not None
            else tokenizer.bos_token_id,
            tokenizer.sep_token_id
            if tokenizer.sep_token_id is not None
            else tokenizer.eos_token_id,
        )
        if None in (start, end, tokenizer.pad_token_id):
            raise ConfigError(
                f"the tokenizer of {model.config.name_or_path or 'the encoder'} lacks a start, end or padding token"
            )
        self.windows = WindowPlan(
            usable_positions(model), overlap, start, end, tokenizer.pad_token_id
        )
        names = ROWS_FROM_PROJECTIONS.get(model.config.model_type)
        self._taps = _LastLayerTaps(model, *names) if names else None

    def forward(self, batch: Batch) -> Encoded:
        """Eq. (18): token states H [D, L, d], and of the attention A the rows of mentions [M,
        heads, L] (H, A = PLM(words)).
        """
        inputs = {
            "input_ids": batch.window_ids,
            "attention_mask": self.attention_mask(batch.window_mask),
        }
        if self._taps is not None:
            states = self.model(**inputs).last_hidden_state
            rows = self._taps.attention_rows(batch, self.training)
        else:
            output = self.model(**inputs, output_attentions=True)
            states = output.last_hidden_state
            rows = output.attentions[-1].transpose(1, 2)[
                batch.occurrence_window, batch.occurrence_column
            ]
        if batch.single_window:
            return Encoded(states * batch.window_mask.unsqueeze(-1).to(states.dtype), rows)
        return Encoded(_join_states(states, batch), _join_rows(rows, batch))

    def attention_mask(self, mask: Tensor) -> Tensor:
        """`mask` [W, T]; off the CPU with fused attention [W, 1, 1, T]: transformers first asks a
        [W, T] mask whether it hides anything at all, and a GPU would be waited for in every step to
        answer.
        """
        asked = mask.device.type != "cpu" and self.model.config._attn_implementation == "sdpa"
        return mask[:, None, None, :].bool() if asked else mask


def usable_positions(model: nn.Module) -> int:
    """Tokens that fit the position table: RoBERTa and MPNet number positions from their padding
    index on (514 - 2 = 512).
    """
    positions = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    size = model.config.max_position_embeddings
    if isinstance(positions, nn.Embedding) and positions.padding_idx is not None:
        size -= positions.padding_idx + 1
    return size


class _LastLayerTaps:
    """Keeps the queries and keys that the last layer computes, and turns them into the attention
    rows of mentions.
    """

    def __init__(self, model: nn.Module, query: str, key: str):
        attention = [m for m in model.modules() if hasattr(m, query) and hasattr(m, key)][-1]
        self.heads = attention.num_attention_heads
        self.dropout = attention.dropout
        self.query: Tensor | None = None
        self.key: Tensor | None = None
        self.position_bias: Tensor | None = None
        getattr(attention, query).register_forward_hook(
            lambda _, __, output: setattr(self, "query", output)
        )
        getattr(attention, key).register_forward_hook(
            lambda _, __, output: setattr(self, "key", output)
        )
        if hasattr(model, "encoder") and hasattr(model.encoder, "relative_attention_bias"):  # MPNet

            def keep_bias(_, args, kwargs):
                self.position_bias = kwargs.get("position_bias", args[2] if len(args) > 2 else None)

            attention.register_forward_pre_hook(keep_bias, with_kwargs=True)

    def attention_rows(self, batch: Batch, training: bool) -> Tensor:
        """[O, heads, T]: softmax over the window's tokens, after attention dropout with a mask of
        its own, as in the official code.
        """
        window, slot, column = (
            batch.occurrence_window,
            batch.occurrence_slot,
            batch.occurrence_column,
        )
        wide = torch.promote_types(self.query.dtype, torch.float32)
        query, key = self.query.to(wide), self.key.to(wide)
        W, T, width = key.shape
        size = width // self.heads
        # the queries of each window's mentions, padded to the window with the most mentions
        mention_query = query.new_zeros(W, batch.slots, width).index_put(
            (window, slot), query[window, column]
        )
        mention_query = mention_query.view(W, batch.slots, self.heads, size).transpose(1, 2)
        scores = (
            mention_query @ key.view(W, T, self.heads, size).permute(0, 2, 3, 1) / math.sqrt(size)
        )  # [W, heads, slots, T]
        if self.position_bias is not None:  # [1, heads, T, T] or [W, heads, T, T]
            bias = (
                self.position_bias.to(wide).expand(W, -1, -1, -1).transpose(1, 2)[window, column]
            )  # [O, heads, T]
            scores = scores + scores.new_zeros(W, batch.slots, self.heads, T).index_put(
                (window, slot), bias
            ).transpose(1, 2)
        scores = scores.masked_fill(batch.window_mask[:, None, None, :] == 0, -torch.inf)
        rows = scores.softmax(-1).transpose(1, 2)[window, slot]
        self.query = self.key = self.position_bias = None
        return nn.functional.dropout(rows, self.dropout.p, training)


def _join_states(states: Tensor, batch: Batch) -> Tensor:
    """[W, T, d] -> [D, L, d], averaged where windows overlap."""
    D, L = len(batch.rows), batch.width
    target = batch.window_target.flatten()
    total = states.new_zeros(D * L + 1, states.shape[-1]).index_add(0, target, states.flatten(0, 1))
    count = states.new_zeros(D * L + 1).index_add(
        0, target, torch.ones_like(target, dtype=states.dtype)
    )
    return (total / count.clamp(min=1).unsqueeze(-1))[:-1].view(D, L, -1)


def _join_rows(rows: Tensor, batch: Batch) -> Tensor:
    """[O, heads, T] in windows -> [M, heads, L] in documents, each row summing to one again."""
    M, heads, L = len(batch.mention_state), rows.shape[1], batch.width
    target = batch.window_target[batch.occurrence_window]  # [O, T] flattened document positions
    column = torch.where(target == len(batch.rows) * L, L, target % L)  # L: dropped
    joined = rows.new_zeros(M, heads, L + 1)
    index = (
        batch.occurrence_mention[:, None, None],
        torch.arange(heads, device=rows.device)[:, None],
        column[:, None, :],
    )
    joined = joined.index_put(index, rows, accumulate=True)[..., :L]
    return joined / (joined.sum(-1, keepdim=True) + 1e-10)


def load_encoder(
    name: str,
    *,
    overlap: int = 128,
    attention_dropout: float | None = None,
    hidden_dropout: float | None = None,
    weights: bool = True,
) -> Encoder:
    """An encoder and tokenizer by hub id or local folder; only safetensors weights are read, and no
    code beside them is run.

    Args:
        attention_dropout, hidden_dropout: override the encoder's own; None leaves them.
        weights: False leaves them random, for a caller that loads its own.

    Raises:
        UserError: nothing usable under that name; the message says what is missing.
    """
    import transformers

    near = difflib.get_close_matches(name, ENCODERS, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    if (
        near and "/" not in name and not Path(name).exists()
    ):  # a slip of the pen: the hub would be asked for it for some time
        raise UserError(
            f"unknown encoder '{name}'.{hint} Known: {', '.join(ENCODERS)}, a local folder, an id of the hub"
        )
    try:
        config = transformers.AutoConfig.from_pretrained(name, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise UserError(
            f"encoder '{name}': neither a local model folder nor a model that the hub gave ({_first_line(error)}).{hint}"
        ) from error
    _set_dropout(config, name, "attention_probs_dropout_prob", attention_dropout)
    _set_dropout(config, name, "hidden_dropout_prob", hidden_dropout)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            name, use_fast=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"encoder '{name}': no tokenizer could be loaded ({_first_line(error)})"
        ) from error
    has_vocabulary = len(tokenizer) > len(tokenizer.all_special_tokens)
    if not tokenizer.is_fast or not has_vocabulary:
        raise UserError(
            f"encoder '{name}': needs a fast tokenizer with its vocabulary (tokenizer.json, vocab.txt or the like)"
        )
    try:
        model = _bare_model(name, config, weights)
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(
            f"encoder '{name}': the weights cannot be loaded ({_first_line(error)})"
        ) from error
    return Encoder(model, tokenizer, overlap=overlap)


def _bare_model(name: str, config: Any, weights: bool) -> nn.Module:
    """Without the pooler that BERT-like models would add and nothing uses; attention is fused where
    its rows can be had all the same.
    """
    from transformers import AutoModel
    from transformers.utils import logging

    # of reading weights that are here already; a download keeps its own
    logging.disable_progress_bar()
    known = config.model_type in ROWS_FROM_PROJECTIONS
    options: dict[str, Any] = {"trust_remote_code": False} | (
        {"add_pooling_layer": False} if known else {}
    )
    options["attn_implementation"] = (
        "sdpa" if known and config.model_type != "mpnet" else "eager"
    )  # MPNet has only the eager one
    if not weights:
        return AutoModel.from_config(config, **options)
    return AutoModel.from_pretrained(
        name, config=config, use_safetensors=True, dtype=torch.float32, **options
    )


def _set_dropout(config: Any, name: str, key: str, value: float | None) -> None:
    if value is None:
        return
    if not hasattr(config, key):
        raise ConfigError(
            f"encoder '{name}' ({config.model_type}) has no setting '{key}': leave that dropout unset"
        )
    setattr(config, key, value)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__


def freeze(encoder: Encoder, what: str) -> None:
    """Stop gradients: `none`, `all`, or `lower:K` (the embeddings and the K lowest layers)."""
    if what == "none":
        return
    if what == "all":
        encoder.requires_grad_(False)
        return
    count = int(what.removeprefix("lower:"))
    layers = next(m for m in encoder.model.modules() if isinstance(m, nn.ModuleList))
    if count > len(layers):
        raise ConfigError(f"encoder.freeze: {what}: the encoder has {len(layers)} layers")
    encoder.model.embeddings.requires_grad_(False)
    for layer in layers[:count]:
        layer.requires_grad_(False)


def save_encoder(encoder: Encoder, folder: Path) -> None:
    """Configuration and tokenizer (weights are stored with the backbone's)."""
    encoder.model.config.save_pretrained(folder)
    encoder.tokenizer.save_pretrained(folder)
