"""Another view of the text: some of what each mention attends to is hidden."""

import torch

from augmenters.base import Augmenter
from benchmark.data.batches import Encoded
from benchmark.registry import AUGMENTERS


@AUGMENTERS.register("masked_attention")
class MaskedAttention(Augmenter):
    """Each mention forgets a share of the tokens it attends to."""

    differentiable = True
    reads_attention = True

    def __init__(self, *, share: float = 0.2):
        self.share = share

    def _view(self, encoded, batch, *, rng):
        kept = torch.rand(encoded.rows.shape, generator=rng) >= self.share
        rows = encoded.rows * kept.to(encoded.rows.device)
        return Encoded(encoded.states.clone(), rows / rows.sum(-1, keepdim=True).clamp(min=1e-9))
