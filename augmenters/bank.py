"""The control of what is fitted: what a perfect generator would give.

`copies` re-weights the batch's live features; this one re-weights rows that, like all generated
ones, stand still in the space of the stage 1 model. A generator that does not beat it has added
nothing of its own.
"""

from augmenters.pool import KeepsPairs
from benchmark.registry import AUGMENTERS


@AUGMENTERS.register("bank")
class Bank(KeepsPairs):
    """Real training pairs with the requested label set, as the stage 1 model represents them: the
    control for generation.
    """

    control = True

    def __init__(self):
        """It has no options."""

    def _augment(self, representations, labels, *, rng):
        """A label set that no training pair has takes pairs of the largest Jaccard overlap."""
        drawn = self.pool.draw_nearest(labels, rng)
        return self.stored.representations[drawn.to(labels.device)], labels.clone()
