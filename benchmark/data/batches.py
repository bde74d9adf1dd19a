"""A packed batch: windows of token ids, mentions, and the pairs that exist.

Letters in shapes: D documents, W windows of T tokens, L tokens of the longest document, M mentions,
O occurrences of mentions in windows, E entities, N entities of the largest document, C = sum of n^2
cells (all ordered entity pairs, the diagonal included), P = sum of n(n-1) pairs, F facts, R classes
including NA at index 0.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

# Optional fields of a Batch, and the columns of features that each is made from.
OPTIONAL = {
    "entity_type": ("entity_type",),
    "mention_sentence": ("mention_sentence",),
    "mention_end": ("mention_end",),
    "token_sentence": ("sentence_start",),
    "evidence": ("evidence_head", "evidence_tail", "evidence_sentence", "evidence_count"),
}


class Encoded(NamedTuple):
    """What backbones see of the text."""

    states: Tensor  # [D, L, d] token states, zero at padding
    # [M, heads, L] last-layer attention of each mention's marker, zero at padding; None where the
    # encoder gives none
    rows: Tensor | None
    # [D, N, N, L] bool: False where the context of a (head, tail) cell loses a token; None where
    # none does. Set by views.
    kept: Tensor | None = None

    def changed(self, change: Callable[[Tensor], Tensor]) -> Encoded:
        """A copy with each part that is not None changed."""
        return Encoded(*(part if part is None else change(part) for part in self))


def _alone(values: Tensor) -> Tensor:
    """The values: one process has all."""
    return values


@dataclass
class Batch:
    """Documents of one training or evaluation step. All indices are int64 and batch-wide unless
    said otherwise.
    """

    rows: Tensor  # [D] row numbers within the split
    # [D] tokens of each document, the special tokens and those after the text included
    lengths: Tensor
    entities: Tensor  # [D] entities of each document

    window_ids: Tensor  # [W, T] token ids, padded
    window_mask: Tensor  # [W, T] 1 for tokens, 0 for padding
    # [W, T] position in the flattened [D * L] document tokens; D * L for what is dropped
    window_target: Tensor

    mention_state: Tensor  # [M] position of the opening marker in the flattened [D * L] tokens
    mention_entity: Tensor  # [M] entity of each mention
    occurrence_mention: Tensor  # [O]
    occurrence_window: Tensor  # [O]
    occurrence_column: Tensor  # [O] column of the marker within its window
    occurrence_slot: Tensor  # [O] running number within its window

    entity_document: Tensor  # [E]
    entity_slot: Tensor  # [E] number within its document
    # [C, 3] (document, head, tail), row-major by document; head and tail count within the document
    cells: Tensor
    pair_cell: Tensor  # [P] the cells off the diagonal
    pair_reverse: Tensor  # [P] the pair with head and tail exchanged

    fact_pair: Tensor  # [F]
    fact_class: Tensor  # [F] 1 .. R-1
    positive: Tensor  # pairs with a relation, ascending; finding them here avoids a device sync

    width: int  # L
    largest: int  # N
    slots: int  # largest number of occurrences in a window

    # Optional fields: None, unless the backbone's `needs` names them.
    entity_type: Tensor | None = None  # [E] id of the type (Corpus.type_ids), 0 where unknown
    mention_sentence: Tensor | None = None  # [M] number of the sentence within its document
    # [M] one past the mention's closing marker, in the flattened [D * L] tokens
    mention_end: Tensor | None = None
    # [D, L] number of each token's sentence; -1 for special tokens and padding
    token_sentence: Tensor | None = None
    # [K, 3] (pair, sentence, number of the pair's facts that cite it), by pair and sentence.
    # Normalised over a pair's sentences, the numbers are the evidence distribution of DREEAM
    # (Ma et al. 2023, section 3.2).
    evidence: Tensor | None = None

    encoded: Encoded | None = None  # of a frozen encoder, computed once
    encoded_again: tuple[Encoded, ...] = ()  # other passes, for augmenters that encode again
    further: Batch | None = None  # documents that an augmenter adds to these
    teacher: Tensor | None = None  # [P, R] logits of a teacher, for distillation
    # this process's share of the positive pairs of all, times the number of processes
    share: float = 1.0
    # from values [D, *] of this process's documents to those of all processes' documents
    everywhere: Callable[[Tensor], Tensor] = _alone

    @property
    def single_window(self) -> bool:
        """Every document fits one window: windows and documents are the same thing."""
        return self.window_ids.shape == (len(self.rows), self.width)

    @property
    def pairs(self) -> Tensor:
        """[P, 3] (document, head, tail)."""
        return self.cells[self.pair_cell]

    @property
    def entity_offset(self) -> Tensor:
        """[D] number of the first entity of each document."""
        return self.entities.cumsum(0) - self.entities

    def entity_of(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Batch-wide entity numbers (head, tail) of cells or pairs [*, 3]."""
        offset = self.entity_offset[cells[:, 0]]
        return offset + cells[:, 1], offset + cells[:, 2]

    def labels(self, classes: int) -> Tensor:
        """Multi-hot [P, R] floats, built on the batch's device; column 0 is set where no relation
        holds.
        """
        labels = torch.zeros(len(self.pair_cell), classes, device=self.pair_cell.device)
        labels[self.fact_pair, self.fact_class] = 1.0
        labels[:, 0] = (labels.sum(1) == 0).float()
        return labels

    def _map(self, change) -> Batch:
        def changed(value):
            if isinstance(value, Encoded):
                return value.changed(change)
            if isinstance(value, Batch):
                return value._map(change)
            if isinstance(value, tuple):
                return tuple(map(changed, value))
            return change(value) if isinstance(value, Tensor) else value

        return Batch(**{f.name: changed(getattr(self, f.name)) for f in dataclasses.fields(self)})

    def to(self, device: torch.device, non_blocking: bool = False) -> Batch:
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        return self._map(Tensor.pin_memory)
