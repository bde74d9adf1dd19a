"""No augmentation: the "No Aug" row of the tables, and stage 1 of every fitted augmenter."""

from augmenters.base import Augmenter
from benchmark.registry import AUGMENTERS


@AUGMENTERS.register("none")
class NoAugmentation(Augmenter):
    """No generated pairs."""

    def _augment(self, representations, labels, *, rng):
        return representations[:0], labels[:0]
