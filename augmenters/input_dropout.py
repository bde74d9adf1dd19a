"""The control for regularisation: dropout at the classifier's input, negatives included."""

import torch

from augmenters.base import Augmenter
from benchmark.options import OptionModel, Share
from benchmark.registry import AUGMENTERS


@AUGMENTERS.register("input_dropout")
class InputDropout(Augmenter):
    """Dropout (Srivastava et al. 2014) on the representations of all pairs."""

    class Options(OptionModel):
        rate: Share = 0.15  # of the entries set to 0; the others are divided by 1 - rate

    control = True

    def _perturb(self, representations, labels, *, rng):
        rate = self.options.rate
        kept = torch.rand(representations.shape, generator=rng) >= rate
        return representations * kept.to(representations) / (1 - rate)
