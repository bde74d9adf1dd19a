"""The augmentation of one training step: which positive pairs, and what becomes of them."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from augmenters.base import Augmenter
from backbones.base import Backbone
from benchmark.data.batches import Batch, Encoded
from benchmark.data.pairs import Pairs
from benchmark.training.gathering import joined


class Requests:
    """Chooses among the positive pairs of a batch, in the same way for every augmenter.

    Args:
        copies: m of section 2.3.3: m * N rows are chosen among N pairs.
        rarity: 0 repeats every pair m times, as the paper does. Above 0, rows are drawn with
            replacement, with weight (training frequency of the pair's rarest relation) ^ -rarity.
        label_sets: [N, R] label sets of all positive training pairs, for the frequencies.
    """

    def __init__(self, copies: int, rarity: float, label_sets: Tensor):
        self.copies, self.rarity = copies, rarity
        self.frequency = label_sets[:, 1:].sum(0)

    def choose(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """[m * N] row numbers for the label sets [N, R] of a batch's positive pairs."""
        N = len(labels)
        if self.rarity == 0 or N == 0:
            return torch.arange(N, device=labels.device).repeat(self.copies)
        held = labels[:, 1:].cpu() > 0
        rarest = self.frequency.expand(N, -1).masked_fill(~held, torch.inf).min(1).values
        rarest = rarest.clamp(min=1).double()
        # relative to the rarest, so that no rarity makes all weights vanish
        weights = (rarest / rarest.min()) ** -self.rarity
        chosen = torch.multinomial(weights, self.copies * N, replacement=True, generator=rng)
        return chosen.to(labels.device)


class Step:
    """What an augmenter does in one training step; `rng` makes it a function of seed and step.

    Attributes:
        changes: the augmenter's `perturb`, `adjust` or `weigh`, for `training_loss`.
    """

    def __init__(self, augmenter: Augmenter, requests: Requests, rng: torch.Generator):
        self.augmenter, self.requests, self.rng = augmenter, requests, rng
        self.does = augmenter.does()
        possible = {
            "perturb": functools.partial(augmenter.perturb, rng=rng),
            "adjust": augmenter.adjust,
            "weigh": augmenter.weigh,
        }
        self.changes = {name: change for name, change in possible.items() if name == self.does}

    def generate(
        self,
        backbone: Backbone,
        real: Pairs,
        encoded: Encoded,
        batch: Batch,
        again: Callable[[Batch, int], Encoded],
    ) -> Pairs | None:
        """The extra pairs of a batch whose pairs are `real`; None if the augmenter makes none.

        again: encodes a batch with other dropout, for each copy (0, 1, ...) anew.
        """
        if self.changes:
            return None
        classes = real.labels.shape[1]
        if self.does == "documents":
            return _all_pairs(backbone, again(batch.further, 0), batch.further, classes)
        positive = real.only_positive()
        chosen = self.requests.choose(positive.labels, self.rng)
        if self.does == "view":
            start = again if self.augmenter.encodes_again else lambda *_: encoded
            copies = chosen.tensor_split(self.requests.copies)
            views = (
                self._view(backbone, start(batch, copy), batch, classes, part)
                for copy, part in enumerate(copies)
            )
            return functools.reduce(Pairs.joined_with, views)
        generated, labels = self.augmenter.augment(
            positive.representations.float()[chosen], positive.labels[chosen], rng=self.rng
        )
        if backbone.bounds is not None:
            generated = generated.clamp(*backbone.bounds)
        return _known_positive(generated, labels)

    def _view(
        self, backbone: Backbone, encoded: Encoded, batch: Batch, classes: int, chosen: Tensor
    ) -> Pairs:
        """A view of the batch, represented by the backbone: all its pairs, or the chosen ones."""
        view = self.augmenter.view(encoded, batch, rng=self.rng)
        pairs = _all_pairs(backbone, view, batch, classes)
        if self.augmenter.pairs_of_view == "all":
            return pairs
        return _known_positive(*pairs.only_positive().at(chosen))


def _all_pairs(backbone: Backbone, encoded: Encoded, batch: Batch, classes: int) -> Pairs:
    found = backbone.represent(encoded, batch)
    return joined(Pairs(found, batch.labels(classes), batch.positive))


def _known_positive(representations: Tensor, labels: Tensor) -> Pairs:
    return Pairs(representations, labels, torch.arange(len(labels), device=labels.device))
