"""The control without any generation: the positive pairs once more."""

from augmenters.base import Augmenter
from augmenters.options import switch
from benchmark.registry import AUGMENTERS


@AUGMENTERS.register("copies")
class Copies(Augmenter):
    """Copies of the positive pairs: the control for weighting them more.

    Args:
        detach: stop the gradient at the copies, as it stops at generated pairs; only what follows
            the representation learns from them then.
    """

    def __init__(self, *, detach: bool = False):
        self.differentiable = not switch("detach", detach)

    def _augment(self, representations, labels, *, rng):
        return representations.clone(), labels.clone()
