"""Feature rows -> one packed batch: windows of token ids, mentions, and the pairs that exist.

Letters in shapes: D documents, W windows of T tokens, L tokens of the longest document, M mentions,
O occurrences of mentions in windows, E entities, N entities of the largest document, C = sum of n^2
cells (all ordered entity pairs, the diagonal included), P = sum of n(n-1) pairs, F facts, R classes
including NA at index 0.
"""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor

from benchmark.errors import UserError
from benchmark.seeds import derive


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
        """The same with each part that is there changed."""
        return Encoded(*(part if part is None else change(part) for part in self))


def _alone(values: Tensor) -> Tensor:
    """One process has all documents."""
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


@dataclass(frozen=True)
class WindowPlan:
    """How documents are laid into an encoder's windows."""

    size: int  # positions of one window, special tokens included
    # least number of tokens that neighbouring windows share, half a window at most; 0 with
    # documents of up to two windows is the official layout
    overlap: int
    start: int  # id of the special token before the text
    end: int  # and of the one after it
    pad: int
    # ids of further tokens in every window, after the text and its end; the encoder's settings and
    # weights tell of them in a cache's key
    appended: tuple[int, ...] = field(default=(), repr=False)

    @property
    def after(self) -> tuple[int, ...]:
        """The ids that follow the text in a window."""
        return (self.end, *self.appended, self.end) if self.appended else (self.end,)

    @property
    def room(self) -> int:
        """How much text fits a window."""
        return self.size - 1 - len(self.after)

    def starts(self, tokens: int) -> np.ndarray:
        """First token of each window: as few windows as the overlap allows, evenly spread, the last
        one flush with the end.
        """
        room = self.room
        if tokens <= room:
            return np.zeros(1, dtype=np.int64)
        # a token in more than two windows would cost much and tell little
        overlap = min(self.overlap, room // 2)
        count = max(2, math.ceil((tokens - overlap) / (room - overlap)))
        return np.linspace(0, tokens - room, count).round().astype(np.int64)


# Optional fields of a Batch, and the columns of features that each is made from.
OPTIONAL = {
    "entity_type": ("entity_type",),
    "mention_sentence": ("mention_sentence",),
    "mention_end": ("mention_end",),
    "token_sentence": ("sentence_start",),
    "evidence": ("evidence_head", "evidence_tail", "evidence_sentence", "evidence_count"),
}


class Collator:
    """Turns feature rows into a Batch, in numpy; no Python loop runs over pairs or mentions.

    needs: the optional fields that the batch carries. Raises UserError if there is no such field.
    """

    def __init__(self, plan: WindowPlan, needs: Sequence[str] = ()):
        if isinstance(needs, str):
            raise UserError(f"needs must be a tuple of names: write needs = ({needs!r},)")
        self.plan, self.needs = plan, tuple(needs)
        for name in set(needs) - set(OPTIONAL):
            known = ", ".join(OPTIONAL)
            raise UserError(f"needs: a batch has no optional field {name!r}. Known: {known}")

    def __call__(self, rows: Sequence[dict]) -> Batch:
        room, after = self.plan.room, self.plan.after
        further = np.arange(1, len(after))
        tokens = [np.asarray(row["tokens"], dtype=np.int64) for row in rows]
        starts = [self.plan.starts(len(t)) for t in tokens]
        lengths = np.array([len(t) + 1 + len(after) for t in tokens])
        width = int(lengths.max())
        windows = sum(map(len, starts))
        ids = np.full((windows, min(width, self.plan.size)), self.plan.pad, dtype=np.int64)
        mask = np.zeros_like(ids)
        target = np.full_like(ids, len(rows) * width)

        parts: defaultdict[str, list[np.ndarray]] = defaultdict(list)
        window = entity = mention = pair = 0
        for d, row in enumerate(rows):
            column = lambda name, row=row: np.asarray(row[name], dtype=np.int64)
            positions, first_token = column("mention_position"), d * width + 1
            text_end = first_token + len(tokens[d])
            for k, start in enumerate(starts[d]):
                piece = tokens[d][start : start + room]
                end = len(piece) + 1
                ids[window, 0] = self.plan.start
                ids[window, 1:end] = piece
                ids[window, end : end + len(after)] = after
                mask[window, : end + len(after)] = 1
                target[window, 1:end] = first_token + start + np.arange(len(piece))
                if k == 0:  # the text's own start and end; those of inner windows are dropped
                    target[window, 0] = first_token - 1
                if k == len(starts[d]) - 1:
                    target[window, end] = text_end
                target[window, end + further] = text_end + further  # the same in all windows
                inside = np.flatnonzero((positions >= start) & (positions < start + len(piece)))
                parts["occurrence_mention"].append(mention + inside)
                parts["occurrence_window"].append(np.full(len(inside), window))
                parts["occurrence_column"].append(positions[inside] - start + 1)
                parts["occurrence_slot"].append(np.arange(len(inside)))
                window += 1

            n = int(row["entities"])
            parts["mention_state"].append(first_token + positions)
            parts["mention_entity"].append(entity + column("mention_entity"))
            parts["entity_document"].append(np.full(n, d))
            parts["entity_slot"].append(np.arange(n))
            head, tail = np.divmod(np.arange(n * n), max(n, 1))
            parts["cells"].append(np.stack([np.full(n * n, d), head, tail], axis=1))
            parts["off_diagonal"].append(head != tail)
            parts["pair_reverse"].append(pair + _pair_number(tail, head, n)[head != tail])
            # an entity makes no pair with itself: such facts stay in gold and leave training
            head, tail = column("fact_head"), column("fact_tail")
            parts["fact_pair"].append((pair + _pair_number(head, tail, n))[head != tail])
            parts["fact_class"].append(column("fact_class")[head != tail])

            for name in {"entity_type", "mention_sentence"} & set(self.needs):
                parts[name].append(column(name))
            if "mention_end" in self.needs:
                parts["mention_end"].append(first_token + column("mention_end"))
            if "token_sentence" in self.needs:
                sizes = np.diff([*row["sentence_start"], len(tokens[d])])
                numbers = np.repeat(np.arange(len(sizes)), sizes)
                parts["token_sentence"].append(np.full((1, width), -1))
                parts["token_sentence"][d][0, 1 : 1 + len(numbers)] = numbers
            if "evidence" in self.needs:
                head, tail = column("evidence_head"), column("evidence_tail")
                cited = pair + _pair_number(head, tail, n), column("evidence_sentence")
                cited = np.stack([*cited, column("evidence_count")], axis=1)
                parts["evidence"].append(cited[head != tail])
            entity, mention, pair = entity + n, mention + len(positions), pair + n * (n - 1)

        packed = {name: np.concatenate(arrays).astype(np.int64) for name, arrays in parts.items()}
        packed |= {
            "rows": np.array([row["row"] for row in rows]),
            "lengths": lengths,
            "entities": np.array([row["entities"] for row in rows], dtype=np.int64),
            "window_ids": ids,
            "window_mask": mask,
            "window_target": target,
            "pair_cell": np.flatnonzero(packed.pop("off_diagonal")),
            "positive": np.unique(packed["fact_pair"]),
        }
        return Batch(
            **{name: torch.from_numpy(array) for name, array in packed.items()},
            width=width,
            largest=int(packed["entities"].max()),
            slots=int(packed["occurrence_slot"].max(initial=-1)) + 1,
        )


def _pair_number(head: np.ndarray, tail: np.ndarray, n: int) -> np.ndarray:
    """Running number of (head, tail) among a document's n(n-1) pairs in row-major order."""
    return head * (n - 1) + tail - (tail > head)


class Rows(torch.utils.data.Dataset):
    """Feature rows with their number in the split, without the columns that nothing needs."""

    def __init__(self, features: Dataset, needs: Sequence[str] = ()):
        unneeded = {c for name in set(OPTIONAL) - set(needs) for c in OPTIONAL[name]}
        columns = [name for name in features.column_names if name not in unneeded]
        self.features = features.select_columns(columns).with_format("numpy")
        self.blank = dict.fromkeys(columns, np.zeros(0, dtype=np.int64)) | {"entities": 0}

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, row: int) -> dict:
        return {**(self.blank if row == BLANK else self.features[row]), "row": row}


# The row number of an empty document: what a process gets when nothing of a batch is left for it.
BLANK = -1


class DocumentBatches(torch.utils.data.Sampler):
    """Batches of row numbers; the order of each epoch is a function of (seed, epoch) alone.

    Args:
        sizes: [documents] tokens of each.
        order: "random" shuffles documents. "bucketed" shuffles, sorts stretches of 16 batches by
            size and shuffles the batches, so that a batch has documents of similar size; the one
            batch that is not full is set aside before sorting, since its documents weigh more.
            "sorted" is by size, for evaluation.
        share: (number of this process, number of processes): only this process's part of each
            batch. With more processes than documents, some get a BLANK one.

    Attributes:
        skip: batches to leave out at the beginning of the next pass.
    """

    STRETCH = 16

    def __init__(
        self,
        sizes: Sequence[int],
        batch_size: int,
        *,
        order: str,
        seed: int = 0,
        share: tuple[int, int] = (0, 1),
    ):
        self.sizes, self.batch_size, self.order = np.asarray(sizes), batch_size, order
        self.seed, self.share = seed, share
        self.epoch, self.skip = 0, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(len(self.sizes) / self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        skip, self.skip = self.skip, 0
        return map(self._part, self.batches(self.epoch)[skip:])

    def batches(self, epoch: int) -> list[list[int]]:
        """The whole batches of an epoch."""
        rng = np.random.default_rng(derive(self.seed, "order", epoch))
        size = self.batch_size
        if self.order == "sorted":
            rows = np.argsort(-self.sizes, kind="stable")
        else:
            rows = rng.permutation(len(self.sizes))
        if self.order == "bucketed":
            stretch, full = self.STRETCH * size, len(rows) - len(rows) % size
            pieces = [rows[i : min(i + stretch, full)] for i in range(0, full, stretch)]
            pieces = [piece[np.argsort(self.sizes[piece], kind="stable")] for piece in pieces]
            rows = np.concatenate([*pieces, rows[full:]])
        batches = [rows[i : i + size].tolist() for i in range(0, len(rows), size)]
        if self.order == "bucketed":
            batches = [batches[i] for i in rng.permutation(len(batches))]
        return batches

    def _part(self, batch: list[int]) -> list[int]:
        process, processes = self.share
        start, end = (p * len(batch) // processes for p in (process, process + 1))
        return batch[start:end] or [BLANK]
