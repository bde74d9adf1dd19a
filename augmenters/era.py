"""ERA: pairs whose context misses some tokens."""

from typing import Literal

import torch

from augmenters.base import Augmenter, AugmenterError
from benchmark.options import Share, checked
from benchmark.registry import AUGMENTERS


@AUGMENTERS.register("era")
class Era(Augmenter):
    """Easy relation augmentation (Du et al. 2022): each pair's context misses some tokens.

    A token's weight in the localized context is set to 0 with probability `rate`, for each pair and
    copy anew; the other weights stay as they are. The gradient flows into the encoder. Only
    backbones with a localized context are changed.

    Args:
        rate: share of the tokens that a pair loses.
        pairs: "positive" pairs lose tokens and enter the loss, or "all".
    """

    differentiable = True
    reads_attention = True

    def __init__(self, *, rate: float = 0.1, pairs: str = "positive"):
        self.rate = checked("rate", rate, Share)
        self.pairs_of_view = checked("pairs", pairs, Literal["positive", "all"])

    def _view(self, encoded, batch, *, rng):
        if encoded.rows is None:
            raise AugmenterError("era hides tokens from attention, and this encoder has none")
        documents, width = encoded.states.shape[:2]
        pairs = batch.pairs if self.pairs_of_view == "all" else batch.pairs[batch.positive]
        drawn = torch.rand(len(pairs), width, generator=rng) >= self.rate
        cells = (documents, batch.largest, batch.largest, width)
        kept = encoded.states.new_ones(cells, dtype=torch.bool)
        kept[tuple(pairs.T)] = drawn.to(kept.device)
        return encoded.changed(torch.Tensor.clone)._replace(kept=kept)
