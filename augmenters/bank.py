"""The control of what is fitted: the stage 1 model's own representations of training pairs, drawn
by label set.

What a perfect generator would give. `copies` re-weights the batch's live features; this one
re-weights rows that, like all generated ones, stand still in the space of the stage 1 model. A
generator that does not beat it has added nothing of its own.
"""

from __future__ import annotations

import torch
from torch import Tensor

from augmenters.base import Augmenter, Progress
from augmenters.pool import LabelSets, Pool, StoredPairs
from benchmark.data.pairs import Pairs
from benchmark.registry import AUGMENTERS


@AUGMENTERS.register("bank")
class Bank(Augmenter):
    """Real training pairs with the requested label set, as the stage 1 model represents them: the
    control for generation.
    """

    needs_fitting = True
    control = True

    def _build(self, width: int, classes: int) -> None:
        self.stored, self._pool = StoredPairs(width, classes), None

    def _fit(
        self,
        representations: Tensor,
        labels: Tensor,
        *,
        rng: torch.Generator,
        held_out: Pairs | None,
        progress: Progress,
    ) -> list[dict]:
        self.stored.representations, self.stored.labels = representations, labels.bool()
        return []

    def _augment(
        self, representations: Tensor, labels: Tensor, *, rng: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """A label set that no training pair has takes pairs of the largest Jaccard overlap."""
        if self._pool is None:  # not stored: filed again after loading
            sets = LabelSets(self.stored.labels)
            self._pool = Pool(sets, sets.ids)
        drawn = self._pool.draw_nearest(labels, rng)
        return self.stored.representations[drawn.to(labels.device)], labels.clone()
