"""ERA: pairs whose context misses some tokens."""

import torch

from augmenters.base import Augmenter, AugmenterError
from benchmark.data.batches import Encoded
from benchmark.options import number, one_of
from benchmark.registry import AUGMENTERS


@AUGMENTERS.register("era")
class Era(Augmenter):
    """Easy relation augmentation (Du et al. 2022): mentions lose some tokens that they attend to.

    A token is hidden from all mentions of its document at once, so the context of a pair, which is
    the product of two mentions' attention, is taken over the tokens that are left; the backbone
    normalises it anew. The gradient flows into the encoder. Only backbones that read attention are
    changed.

    Args:
        rate: share of the tokens hidden.
        pairs: "positive" pairs enter the loss, or "all".
    """

    differentiable = True

    def __init__(self, *, rate: float = 0.1, pairs: str = "positive"):
        self.rate = number("rate", rate, least=0, below=1)
        self.pairs_of_view = one_of("pairs", pairs, ("positive", "all"))

    def _view(self, encoded, batch, *, rng):
        if encoded.rows is None:
            raise AugmenterError("era hides tokens from attention, and this encoder has none")
        documents, width = encoded.states.shape[:2]
        kept = torch.rand(documents, 1, width, generator=rng) >= self.rate
        of_mention = torch.div(batch.mention_state, batch.width, rounding_mode="floor")
        return Encoded(encoded.states.clone(), encoded.rows * kept.to(encoded.rows)[of_mention])
