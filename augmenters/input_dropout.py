"""The control for regularisation: dropout at the classifier's input, negatives included."""

import torch

from augmenters.base import Augmenter
from benchmark.options import number
from benchmark.registry import AUGMENTERS


@AUGMENTERS.register("input_dropout")
class InputDropout(Augmenter):
    """Dropout (Srivastava et al. 2014) on the representations of all pairs.

    Args:
        rate: share of the entries set to 0; the others are divided by 1 - rate.
    """

    control = True

    def __init__(self, *, rate: float = 0.15):
        self.rate = number("rate", rate, least=0, below=1)

    def _perturb(self, representations, labels, *, rng):
        kept = torch.rand(representations.shape, generator=rng) >= self.rate
        return representations * kept.to(representations) / (1 - self.rate)
