"""Rows filed by label set, and drawn at random for requested label sets.

The tables stay on the CPU, where the random numbers are drawn; only the numbers of the drawn rows
go to the device.

Suffixes: N filed rows, U distinct label sets, Q requested rows, R classes.
"""

import torch
from torch import Tensor, nn

from augmenters.base import Augmenter


class LabelSets:
    """The distinct label sets among rows of labels, multi-hot [N,R].

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
        self._ids = {row.tobytes(): number for number, row in enumerate(self.sets.numpy())}

    def __len__(self) -> int:
        return len(self.sets)

    def lookup(self, labels: Tensor) -> Tensor:
        """Ids [Q] of the label sets of `labels` [Q,R]; -1 for one that does not occur."""
        rows = labels.detach().cpu().bool().numpy()
        return torch.tensor([self._ids.get(row.tobytes(), -1) for row in rows], dtype=torch.long)

    def overlap(self, labels: Tensor) -> Tensor:
        """Jaccard overlap [Q,U] of each row of `labels` [Q,R] with each label set."""
        wanted, known = labels.detach().cpu().double(), self.sets.double()
        shared = wanted @ known.T
        return shared / (wanted.sum(1)[:, None] + known.sum(1) - shared)


class Pool:
    """Draws numbers of rows that carry a requested label set, uniformly and with replacement.

    Args:
        sets: the label sets.
        ids: [N], the label set of each filed row; None: the rows are those that `sets` came from.
    """

    def __init__(self, sets: LabelSets, ids: Tensor | None = None):
        self.sets, ids = sets, sets.ids if ids is None else ids
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


class Stored(nn.Module):
    """Tensors [N,width] by name, and label sets [N,R], which are stored with an augmenter and moved
    between devices.
    """

    def __init__(self, classes: int, **widths: int):
        super().__init__()
        for name, width in widths.items():
            self.register_buffer(name, torch.empty(0, width))
        self.register_buffer("labels", torch.empty(0, classes, dtype=torch.bool))


class KeepsPairs(Augmenter):
    """An augmenter that is fitted by keeping the training pairs, in `self.stored`, and draws from
    them by `self.pool`.
    """

    needs_fitting = True

    def _build(self, width, classes):
        self.stored = Stored(classes, representations=width)

    def _fit(self, representations, labels, *, rng, held_out, progress):
        self.stored.representations, self.stored.labels = representations, labels.bool()
        return []

    def _prepare(self, label_sets, *, rng, progress):
        self.pool = Pool(LabelSets(self.stored.labels))
