"""Documents that an augmenter adds ride along: each step takes as many of them as of its own.

So the number of steps and the schedule stay those of `none`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from benchmark.data.batches import Batch
from benchmark.data.sampling import BLANK, DocumentBatches, Rows
from benchmark.seeds import derive


@dataclasses.dataclass
class FurtherCollator:
    """A collator whose batches bring further documents along, after the warm-up.

    Args:
        collator, collate_further: of the step's own documents, and of further ones.
        batches: knows the epoch.
        seed: decides which further documents a step takes.
        rewrites: further document i is a version of the training document i, and comes with it.
            Else each epoch deals them out anew.
    """

    collator: Callable[[Sequence[dict]], Batch]
    further: Rows
    collate_further: Callable[[Sequence[dict]], Batch]
    batches: DocumentBatches
    warmup_epochs: int
    seed: int
    rewrites: bool
    _dealt: tuple[int, Sequence[int]] = (-1, ())  # (epoch, order of the further documents)

    def __call__(self, rows: Sequence[dict]) -> Batch:
        batch = self.collator(rows)
        if self.batches.epoch < self.warmup_epochs:
            return batch
        chosen = [self._partner(row) for row in batch.rows.tolist()]
        further = self.collate_further([self.further[row] for row in chosen])
        return dataclasses.replace(batch, further=further)

    def _partner(self, document: int) -> int:
        """The further document that comes with a training document."""
        if document == BLANK or self.rewrites:
            return document
        epoch = self.batches.epoch
        if self._dealt[0] != epoch:
            rng = np.random.default_rng(derive(self.seed, "further", epoch))
            self._dealt = epoch, rng.permutation(len(self.further))
        order = self._dealt[1]
        return int(order[document % len(order)])
