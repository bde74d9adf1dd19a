"""Pretrained language models in the Hugging Face format: token states of whole documents, and the
attention of their mentions.

The localized context (Zhou et al. 2021) needs the last layer's attention, but only the rows of
mention tokens. Those are recomputed from the last layer's own queries and keys, so that fused
attention stays on in every layer.
"""

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoTokenizer

from backbones.encoders.base import Encoder
from benchmark.data.batches import Batch, Encoded
from benchmark.data.windows import WindowPlan
from benchmark.errors import ConfigError, UserError

# model types whose attention is recomputed from two linear layers of these names; all others run
# eagerly
PROJECTIONS = dict.fromkeys(("bert", "roberta", "xlm-roberta"), ("query", "key"))
PROJECTIONS["mpnet"] = ("q", "k")


class Wordpieces:
    """A fast tokenizer of Hugging Face, one word at a time."""

    def __init__(self, fast: Any):
        self.fast = fast

    def __call__(self, word: str) -> list[int]:
        # some published tokenizers (all-MiniLM-L6-v2) truncate and pad if not told otherwise
        encoded = self.fast(word, add_special_tokens=False, truncation=False, padding=False)
        return encoded["input_ids"]

    @property
    def key(self) -> str:
        return self.fast.backend_tokenizer.to_str()


class HuggingFaceEncoder(Encoder):
    """A Hugging Face encoder and its tokenizer.

    Args:
        model: with fused (sdpa) attention where its type is in `PROJECTIONS`, else with eager
            attention.
        tokenizer: a fast tokenizer with a start, an end and a padding token.
    """

    def __init__(self, model: nn.Module, tokenizer: Any):
        super().__init__()
        self.model, self.tokenizer = model, Wordpieces(tokenizer)
        self.width = model.config.hidden_size
        start = tokenizer.bos_token_id if tokenizer.cls_token_id is None else tokenizer.cls_token_id
        end = tokenizer.eos_token_id if tokenizer.sep_token_id is None else tokenizer.sep_token_id
        special = start, end, tokenizer.pad_token_id
        if None in special:
            name = model.config.name_or_path or "the encoder"
            raise ConfigError(f"the tokenizer of {name} lacks a start, end or padding token")
        self.windows = WindowPlan(usable_positions(model), 128, *special)
        self.averaged = 0  # layers
        self._taps: list[_Taps] = []
        self.average_layers(1)

    def forward(self, batch: Batch) -> Encoded:
        """Eq. (18), H, A = PLM(words): token states H [D, L, d], and the rows of mentions [M,
        heads, L] of the attention A.
        """
        mask = self.attention_mask(batch.window_mask)
        several = {"output_hidden_states": True} if self.averaged > 1 else {}
        inputs = {"input_ids": batch.window_ids, "attention_mask": mask, **several}
        if self._taps:
            output = self.model(**inputs)
            with torch.autocast(mask.device.type, enabled=False):
                rows = _mean([tap.attention_rows(batch, self.training) for tap in self._taps])
        else:
            output = self.model(**inputs, output_attentions=True)
            attention = _mean(output.attentions[-self.averaged :]).transpose(1, 2)
            rows = attention[batch.occurrence_window, batch.occurrence_column]
        states = output.last_hidden_state
        if several:
            states = _mean(output.hidden_states[-self.averaged :])
        return self.by_document(states, rows, batch)

    def average_layers(self, number: int) -> None:
        number = min(number, self.model.config.num_hidden_layers)
        if names := PROJECTIONS.get(self.model.config.model_type):
            layers = [m for m in self.model.modules() if all(hasattr(m, name) for name in names)]
            added = layers[-number : len(layers) - self.averaged]
            self._taps = [_Taps(layer, *names) for layer in added] + self._taps
        self.averaged = number

    def append_tokens(self, number: int) -> None:
        """New rows of the embeddings, which the stored configuration knows of.

        Raises ConfigError when they would leave less than half a window to the text.
        """
        config, size = self.model.config, self.windows.size
        first = config.vocab_size - getattr(config, "appended_tokens", 0)
        self.windows = replace(self.windows, appended=tuple(range(first, first + number)))
        if self.windows.room < size // 2:
            raise ConfigError(f"{number} further tokens leave too little room in windows of {size}")
        if config.vocab_size != first + number:
            self.model.resize_token_embeddings(first + number, mean_resizing=False)
        config.appended_tokens = number

    def save(self, folder: Path) -> None:
        """Configuration and tokenizer."""
        self.model.config.save_pretrained(folder)
        self.tokenizer.fast.save_pretrained(folder)

    @classmethod
    def load(cls, folder: Path, **options: Any) -> Encoder:
        """The saved encoder, by its configuration and tokenizer alone."""
        return load_encoder(folder, weights=False)

    def layers(self) -> list[nn.Module]:
        blocks = next(m for m in self.model.modules() if isinstance(m, nn.ModuleList))
        return [self.model.embeddings, *blocks]

    def settings(self) -> str:
        config = self.model.config.to_dict().items()
        found = sorted((k, v) for k, v in config if not k.startswith(("_", "transformers")))
        return repr(found) + (f" averaged over {self.averaged}" if self.averaged > 1 else "")

    def attention_mask(self, mask: Tensor) -> Tensor:
        """`mask` [W, T]; off the CPU with fused attention [W, 1, 1, T]: transformers first asks a
        [W, T] mask whether it hides anything at all, which on a GPU costs a sync in every step.
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


def _mean(layers: Sequence[Tensor]) -> Tensor:
    return layers[0] if len(layers) == 1 else torch.stack(tuple(layers)).mean(0)


class _Taps:
    """Keeps the queries and keys that a layer computes, with MPNet the bias of its positions, and
    turns them into the attention rows of mentions.
    """

    def __init__(self, attention: nn.Module, query: str, key: str):
        self.heads, self.dropout = attention.num_attention_heads, attention.dropout
        self.query = self.key = self.bias = None
        for ours, theirs in (("query", query), ("key", key)):
            keep = lambda _, __, output, ours=ours: setattr(self, ours, output)
            getattr(attention, theirs).register_forward_hook(keep)
        if query == "q":  # MPNet
            bias = lambda given, named: named.get("position_bias", *given[2:3])
            keep_bias = lambda _, *call: setattr(self, "bias", bias(*call))
            attention.register_forward_pre_hook(keep_bias, with_kwargs=True)

    def attention_rows(self, batch: Batch, training: bool) -> Tensor:
        """[O, heads, T]: softmax over the window's tokens, after dropout with a mask of its own."""
        window, column = batch.occurrence_window, batch.occurrence_column
        wide = torch.promote_types(self.query.dtype, torch.float32)
        query, key = self.query.to(wide), self.key.to(wide)
        W, T, width = key.shape
        size = width // self.heads
        # the queries of each window's mentions, padded to the window with the most mentions
        place = window, batch.occurrence_slot
        queries = query.new_zeros(W, batch.slots, width).index_put(place, query[window, column])
        queries = queries.view(W, batch.slots, self.heads, size).transpose(1, 2)
        keys = key.view(W, T, self.heads, size).permute(0, 2, 3, 1)
        scores = queries @ keys / math.sqrt(size)  # [W, heads, slots, T]
        if self.bias is not None:  # [1, heads, T, T]
            bias = self.bias.to(wide).expand(W, -1, -1, -1).transpose(1, 2)[window, column]
            biases = scores.new_zeros(W, batch.slots, self.heads, T).index_put(place, bias)
            scores = scores + biases.transpose(1, 2)
        scores = scores.masked_fill(batch.window_mask[:, None, None, :] == 0, -torch.inf)
        rows = scores.softmax(-1).transpose(1, 2)[place]
        self.query = self.key = self.bias = None
        return nn.functional.dropout(rows, self.dropout.p, training)


def load_encoder(
    folder: str | Path,
    *,
    name: str | None = None,
    attention_dropout: float | None = None,
    hidden_dropout: float | None = None,
    weights: bool = True,
) -> HuggingFaceEncoder:
    """The encoder and tokenizer in a folder. No code beside them is run.

    Args:
        name: what messages call it; None: the folder.
        attention_dropout, hidden_dropout: override the encoder's own; None leaves them.
        weights: False leaves them random, for a caller that loads its own.

    Raises:
        UserError: a part is missing or unusable; the message says which.
    """
    folder, name = str(folder), name or str(folder)
    with _loading(name, "no usable configuration"):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    for key, value in (
        ("attention_probs_dropout_prob", attention_dropout),
        ("hidden_dropout_prob", hidden_dropout),
    ):
        if value is not None and not hasattr(config, key):
            kind = f"encoder '{name}' ({config.model_type})"
            raise ConfigError(f"{kind} has no setting '{key}': leave that dropout unset")
        if value is not None:
            setattr(config, key, value)
    with _loading(name, "no tokenizer could be loaded"):
        tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=True, trust_remote_code=False)
    if not tokenizer.is_fast or len(tokenizer) <= len(tokenizer.all_special_tokens):
        raise UserError(
            f"encoder '{name}': needs a fast tokenizer with its vocabulary "
            "(tokenizer.json, vocab.txt or the like)"
        )
    with _loading(name, "the weights cannot be loaded"):
        model = _bare_model(folder, config, weights)
    return HuggingFaceEncoder(model, tokenizer)


@contextlib.contextmanager
def _loading(name: str, failure: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise UserError(f"encoder '{name}': {failure} ({reason})") from error


def _bare_model(folder: str, config: Any, weights: bool) -> nn.Module:
    """The model without the unused pooler of BERT-like models; attention is fused where its rows
    can still be recomputed.
    """
    from transformers.utils import logging

    logging.disable_progress_bar()  # of reading weights
    known = config.model_type in PROJECTIONS
    options: dict[str, Any] = {"add_pooling_layer": False} if known else {}
    fused = known and config.model_type != "mpnet"  # MPNet has only the eager one
    options |= {"attn_implementation": "sdpa" if fused else "eager", "trust_remote_code": False}
    if not weights:
        return AutoModel.from_config(config, **options)
    # PyTorch's own files, where there are no others, are read as weights only
    options |= {"use_safetensors": any(Path(folder).glob("*.safetensors")), "weights_only": True}
    return AutoModel.from_pretrained(folder, config=config, dtype=torch.float32, **options)
