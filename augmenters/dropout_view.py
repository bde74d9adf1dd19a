"""The same text, encoded a second time with other dropout."""

from typing import Literal

from torch import Tensor

from augmenters.base import Augmenter
from benchmark.options import checked
from benchmark.registry import AUGMENTERS


@AUGMENTERS.register("dropout_view")
class DropoutView(Augmenter):
    """Pairs of a second forward pass (SimCSE, Gao et al. 2021; R-Drop, Liang et al. 2021).

    It costs another encoding of each document for each of `augment.copies`. With `augment.stage3:
    head` these are the other stored encodings, each in turn, and cost passes of the head alone.
    Where no encoding differs (an encoder without dropout, `encoder.freeze: all`, `augment.passes:
    1`) its pairs are copies.

    Args:
        pairs: "positive" pairs enter the loss, or "all".
    """

    differentiable = True
    encodes_again = True

    def __init__(self, *, pairs: str = "positive"):
        self.pairs_of_view = checked("pairs", pairs, Literal["positive", "all"])

    def _view(self, encoded, batch, *, rng):
        return encoded.changed(Tensor.clone)
