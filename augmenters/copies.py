"""The control without any generation: Gaussian noise of scale 0.

Like all extra pairs the copies are detached: they weigh more on what stands after the
representation (the classifier, the contrastive loss), and not on what makes it.
"""

from augmenters.base import Augmenter
from benchmark.registry import AUGMENTERS


@AUGMENTERS.register("copies")
class Copies(Augmenter):
    """Detached copies of the positive pairs: the control for weighting them more in what follows
    the representation.
    """

    def _augment(self, representations, labels, *, rng):
        return representations.clone(), labels.clone()
