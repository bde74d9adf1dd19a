"""Which positive pairs of a batch are augmented, and how often: the same for every augmenter of an
experiment.
"""

from __future__ import annotations

import torch
from torch import Tensor


class Requests:
    """Chooses among the positive pairs of a batch.

    Args:
        copies: m of section 2.3.3: m * N rows are chosen among N pairs.
        rarity: 0 repeats every pair m times (the natural distribution, as the paper does). Above 0,
            rows are drawn with replacement with weight (training frequency of the pair's rarest
            relation) ^ -rarity.
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
        weights = (
            rarest / rarest.min()
        ) ** -self.rarity  # at most 1, and 1 for the rarest: no rarity makes all of them vanish
        return torch.multinomial(weights, self.copies * N, replacement=True, generator=rng).to(
            labels.device
        )
