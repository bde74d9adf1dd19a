"""Which documents a batch has: the rows of a split, and their order in each epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from datasets import Dataset

from benchmark.data.batches import OPTIONAL
from benchmark.seeds import derive


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
