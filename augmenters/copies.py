"""The control without any generation: the positive pairs once more."""

import torch

from augmenters.base import Augmenter
from benchmark.options import Least, checked
from benchmark.registry import AUGMENTERS


@AUGMENTERS.register("copies")
class Copies(Augmenter):
    """Copies of the positive pairs: the control for weighting them more.

    Args:
        detach: stop the gradient at the copies, as it stops at generated pairs; only what follows
            the representation learns from them then.
        rarity: 0 copies every pair as often. Above 0, pairs are drawn with replacement, with weight
            (training frequency of the pair's rarest relation) ^ -rarity.
    """

    control = True

    def __init__(self, *, detach: bool = False, rarity: float = 0.0):
        self.differentiable = not checked("detach", detach, bool)
        self.rarity = checked("rarity", rarity, Least)

    def _prepare(self, label_sets, *, rng, progress):
        self.frequency = label_sets[:, 1:].sum(0).clamp(min=1)

    def _augment(self, representations, labels, *, rng):
        if self.rarity == 0 or len(labels) == 0:
            return representations.clone(), labels.clone()
        held = labels[:, 1:] > 0
        rarest = self.frequency.masked_fill(~held, torch.inf).amin(1).double().cpu()
        weights = (rarest / rarest.min()) ** -self.rarity
        drawn = torch.multinomial(weights, len(labels), replacement=True, generator=rng)
        drawn = drawn.to(labels.device)
        return representations[drawn], labels[drawn]


@AUGMENTERS.register("copies_detached")
class DetachedCopies(Copies):
    """`copies`, detached from the graph: a row of its own beside `copies`."""

    control = True

    def __init__(self, *, rarity: float = 0.0):
        super().__init__(detach=True, rarity=rarity)


@AUGMENTERS.register("copies_rare")
class RareCopies(Copies):
    """`copies` that favour rare pairs: a row of its own beside `copies`."""

    control = True

    def __init__(self, *, detach: bool = False, rarity: float = 0.5):
        super().__init__(detach=detach, rarity=rarity)
