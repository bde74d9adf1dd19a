"""Entity pairs as the backbones represent them: what augmenters see and losses are made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Pairs:
    """Entity pairs, real or generated.

    Attributes:
        representations: [P, d].
        labels: [P, R], multi-hot or, of generated pairs, soft; column 0 where no relation holds.
        known_positives: numbers of the pairs that hold a relation, where the batch knows them;
            searching for them would sync the device.
    """

    representations: Tensor
    labels: Tensor
    known_positives: Tensor | None = None

    def __iter__(self) -> Iterator[Tensor]:
        return iter((self.representations, self.labels))

    @property
    def positive(self) -> Tensor:
        """[P] bool: at least one relation holds."""
        return self.labels[:, 0] == 0

    def only_positive(self) -> Pairs:
        chosen = self.positive if self.known_positives is None else self.known_positives
        return Pairs(self.representations[chosen], self.labels[chosen])

    def at(self, numbers: Tensor) -> Pairs:
        return Pairs(self.representations[numbers], self.labels[numbers])

    def joined_with(self, other: Pairs) -> Pairs:
        """These pairs, then the others; positives are known where both know them."""
        known = None
        if self.known_positives is not None and other.known_positives is not None:
            known = torch.cat([self.known_positives, len(self.labels) + other.known_positives])
        return Pairs(*(torch.cat(both) for both in zip(self, other, strict=True)), known)
