"""The contract of an encoder: from token ids to token states, and to the attention of mentions if
it has any.

Documents longer than the encoder's window are encoded in overlapping windows (atlop/long_seq.py,
generalised to any length): states are averaged where windows overlap, attention rows are added and
normalised again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from backbones.parts import segments
from benchmark.data.batches import Batch, Encoded
from benchmark.data.windows import WindowPlan
from benchmark.errors import ConfigError


class Tokenizer(Protocol):
    """Splits words, which the documents bring, into tokens.

    key: all that decides the ids, as text. It names the cache of tokenised documents.
    """

    key: str

    def __call__(self, word: str) -> list[int]:
        """The token ids of one word, without special tokens; at least one."""


class Encoder(nn.Module):
    """Token ids to token states.

    Subclasses are registered with `@ENCODERS.register("name")`, take `(sentences)`, the training
    sentences as lists of words (an iterable to go over once), and keyword-only hyper-parameters.
    They set the attributes below and define `forward`. `backbones/encoders/check.py` tells what is
    wrong with one.

    Attributes:
        needs: optional fields of `Batch` that it reads (benchmark.data.batches.OPTIONAL).
        gives_attention: whether `forward` gives attention rows. Without them only backbones that
            read none can be trained.
        check_options: hyper-parameters that make it small enough for `check`.
        width: d, of a token's state; the constructor must set it, and what follows.
        windows: the size of a window and the ids of its special tokens.
        tokenizer: words to token ids (`words.WordTokenizer` for one token a word).
    """

    needs: tuple[str, ...] = ()
    gives_attention: ClassVar[bool] = True
    check_options: ClassVar[dict[str, Any]] = {}
    width: int
    windows: WindowPlan
    tokenizer: Tokenizer

    def forward(self, batch: Batch) -> Encoded:
        """The token states of `batch.window_ids` [W, T], usually through `by_document`."""
        raise NotImplementedError

    def save(self, folder: Path) -> None:
        """Write what `load` needs besides the weights: by default the words of a
        `WordTokenizer`.
        """
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "words.json").write_text(json.dumps(self.tokenizer.words), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, **options: Any) -> Encoder:
        """The saved encoder, with any weights: by default, one made from the stored words."""
        words = json.loads((folder / "words.json").read_text(encoding="utf-8"))
        return cls([words], **options)

    def average_layers(self, number: int) -> None:
        """Average states and attention rows over the last `number` layers; by default nothing."""

    def append_tokens(self, number: int) -> None:
        """Let every window end in `number` learned tokens (`WindowPlan.appended`). Backbones with
        `label_tokens` need an encoder that implements this.

        Called once before training and once after `load`, before the stored weights are read.
        """
        raise ConfigError(f"{type(self).__name__} takes no tokens at the end of its windows")

    def layers(self) -> list[nn.Module]:
        """The embeddings, then the layers from the lowest, for `freeze: lower:K`."""
        return []

    def settings(self) -> str:
        """What decides the outputs besides weights and tokens; part of a cache's key."""
        return repr(self)

    def freeze(self, what: str) -> None:
        """Stop gradients: `none`, `all`, or `lower:K` (the embeddings and the K lowest layers).

        Raises ConfigError when it has fewer layers.
        """
        if what == "none":
            return
        frozen = [self]
        if what != "all":
            count, layers = int(what.removeprefix("lower:")), self.layers()
            if count >= len(layers):
                have = max(len(layers) - 1, 0)
                raise ConfigError(f"encoder.freeze: {what}: the encoder has only {have} layers")
            frozen = layers[: count + 1]
        for module in frozen:
            module.requires_grad_(False)

    def by_document(self, states: Tensor, rows: Tensor | None, batch: Batch) -> Encoded:
        """From windows to documents.

        Args:
            states: [W, T, d] of all windows.
            rows: [O, heads, T] attention of the batch's occurrences (`batch.occurrence_window`,
                `batch.occurrence_column`), or None.
        """
        windows = tuple(batch.window_ids.shape)
        if states.ndim != 3 or states.shape[:2] != windows or not states.is_floating_point():
            raise ValueError(
                f"expected floating point states of shape [W, T, d] = [{windows[0]}, "
                f"{windows[1]}, d], got {states.dtype} {list(states.shape)}"
            )
        if batch.single_window:
            return Encoded(states * batch.window_mask.unsqueeze(-1).to(states.dtype), rows)
        return Encoded(
            _join_states(states, batch), None if rows is None else _join_rows(rows, batch)
        )


def _join_states(states: Tensor, batch: Batch) -> Tensor:
    """[W, T, d] -> [D, L, d], averaged where windows overlap."""
    D, L = len(batch.rows), batch.width
    positions = D * L + 1  # the last one collects what is dropped
    joined = segments.means(states.flatten(0, 1), batch.window_target.flatten(), positions)
    return joined[:-1].view(D, L, -1)


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
