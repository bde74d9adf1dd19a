"""Rows filed by label set, and drawn at random for requested label sets.

There is no Python loop over pairs.

The rows are the training pairs themselves (`vae` samples their posteriors) or latents generated in
advance (`vaediff`). The tables stay on the CPU, where the random numbers are drawn; only the
numbers of the drawn rows go to the device.

Suffixes: N filed rows, U distinct label sets, Q requested rows, R classes.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from augmenters.base import Augmenter, Progress
from benchmark.data.pairs import Pairs


class LabelSets:
    """The distinct label sets among rows of labels.

    Args:
        labels: multi-hot [N,R].

    Attributes:
        sets: [U,R] bool, the distinct label sets.
        ids: [N], which of them each row has.
        counts: [U], how many rows have it.
    """

    def __init__(self, labels: Tensor):
        labels = labels.detach().cpu().bool()
        self.sets, self.ids, self.counts = torch.unique(
            labels, dim=0, return_inverse=True, return_counts=True
        )
        self._hash = _hash_weights(self.sets)
        self._keys, self._order = torch.sort(_keys(self.sets, self._hash))

    def __len__(self) -> int:
        return len(self.sets)

    def lookup(self, labels: Tensor) -> Tensor:
        """Ids [Q] of the label sets of `labels` [Q,R]; -1 for one that does not occur."""
        labels = labels.detach().cpu().bool()
        if not len(self) or not len(labels):
            return torch.full((len(labels),), -1)
        place = torch.searchsorted(self._keys, _keys(labels, self._hash)).clamp_(max=len(self) - 1)
        ids = self._order[place]
        return torch.where((self.sets[ids] == labels).all(1), ids, -1)

    def overlap(self, labels: Tensor) -> Tensor:
        """Jaccard overlap [Q,U] of each row of `labels` [Q,R] with each label set."""
        wanted, known = labels.detach().cpu().double(), self.sets.double()
        shared = wanted @ known.T
        return shared / (wanted.sum(1)[:, None] + known.sum(1) - shared)


class Pool:
    """Draws numbers of rows that carry a requested label set, uniformly and with replacement.

    Args:
        sets: the label sets.
        ids: [N], the label set of each filed row.
    """

    def __init__(self, sets: LabelSets, ids: Tensor):
        self.sets = sets
        self._rows = torch.argsort(ids, stable=True)  # rows of one label set stand together
        self._count = torch.bincount(ids, minlength=len(sets))
        self._start = self._count.cumsum(0) - self._count

    def draw(self, ids: Tensor, rng: torch.Generator) -> Tensor:
        """Row numbers [Q], each of a row with the label set of that id [Q]; every id must be filed
        at least once.
        """
        share = torch.rand(len(ids), generator=rng, dtype=torch.float64)
        return self._rows[self._start[ids] + (share * self._count[ids]).long()]

    def draw_nearest(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Row numbers [Q] for label sets [Q,R]; one that is not filed takes any row of the largest
        Jaccard overlap.
        """
        ids = self.sets.lookup(labels)
        unseen = ids < 0
        if unseen.any():
            overlap = self.sets.overlap(labels[unseen.to(labels.device)])
            # [F,U]: how many rows of each label set there are to choose from
            rivals = (overlap == overlap.amax(1, keepdim=True)) * self._count
            share = torch.rand(len(rivals), 1, generator=rng, dtype=torch.float64)
            ids[unseen] = torch.searchsorted(
                rivals.cumsum(1).double(), share * rivals.sum(1, keepdim=True), right=True
            ).squeeze(1)
        return self.draw(ids, rng)


class StoredPairs(nn.Module):
    """Training pairs [N,d] and their label sets [N,R], as state that is stored and moved between
    devices.
    """

    def __init__(self, width: int, classes: int):
        super().__init__()
        self.register_buffer("representations", torch.empty(0, width))
        self.register_buffer("labels", torch.empty(0, classes, dtype=torch.bool))


class KeepsPairs(Augmenter):
    """An augmenter that is fitted by keeping the training pairs, in `self.stored`."""

    needs_fitting = True

    def _build(self, width: int, classes: int) -> None:
        self.stored = StoredPairs(width, classes)

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


def _keys(labels: Tensor, weights: Tensor) -> Tensor:
    """One 64-bit number per row of labels (sums wrap around)."""
    return (labels.long() * weights).sum(1)


def _hash_weights(sets: Tensor) -> Tensor:
    """Random weights [R] under which the distinct label sets have distinct keys: the first seed,
    except by a miracle.
    """
    for seed in itertools.count():
        rng = torch.Generator().manual_seed(seed)
        weights = torch.randint(-(2**63), 2**63 - 1, (sets.shape[1],), generator=rng)
        if len(_keys(sets, weights).unique()) == len(sets):
            return weights
