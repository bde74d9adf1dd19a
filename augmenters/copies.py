"""The control: re-weighting of the positive pairs without any generation (Gaussian noise of scale 0)."""

from augmenters.base import Augmenter
from benchmark.registry import AUGMENTERS


@AUGMENTERS.register("copies")
class Copies(Augmenter):
    """Plain copies of the positive pairs: the control for re-weighting."""

    def _augment(self, representations, labels, *, rng):
        return representations.clone(), labels.clone()
