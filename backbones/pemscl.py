"""PEMSCL (Guo et al. 2023): ATLOP's pairs with pairwise moving thresholds, entropy minimisation and
a supervised contrastive loss over the products of the bilinear map.
"""

from __future__ import annotations

import torch
from torch import Tensor

from backbones.parts.grouped import GroupedPairs
from backbones.parts.losses import ENTROPY, grouped_similarities, pairwise_moving_threshold
from benchmark.data.batches import Batch, Encoded
from benchmark.data.pairs import Pairs
from benchmark.options import number, one_of
from benchmark.registry import BACKBONES


@BACKBONES.register("pemscl")
class Pemscl(GroupedPairs):
    """PEMSCL: moving thresholds, entropy minimisation and contrastive learning on ATLOP's pairs.

    Args:
        emb: width of head and tail features (official: 1024).
        block: width of a bilinear group (official: 64).
        entropy: how the entropies are weighted; the official code has "broadcast".
        temperature, base_temperature: of the contrastive loss, which weighs their quotient (0.2 and
            2 on Re-DocRED, 2 and 1 on DocRED).
    """

    def __init__(
        self,
        encoder_width: int,
        classes: int,
        *,
        emb: int = 1024,
        block: int = 64,
        entropy: str = "per_pair",
        temperature: float = 0.2,
        base_temperature: float = 2.0,
    ):
        super().__init__(encoder_width, classes, emb=emb, block=block)
        self.entropy = one_of("entropy", entropy, ENTROPY)
        self.temperature = number("temperature", temperature, above=0)
        self.base_temperature = number("base_temperature", base_temperature, above=0)

    def pair_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return pairwise_moving_threshold(logits, labels, entropy=self.entropy)

    def auxiliary_loss(self, pairs: Pairs, encoded: Encoded, batch: Batch) -> Tensor:
        """The contrastive loss (MLLTRSCLloss): positive pairs are anchors, all pairs contrasts.

        An anchor is drawn to the pairs that share a relation with it, an anchor without any away
        from all others. The mean is over all pairs, not over the anchors.
        """
        x, labels = pairs
        if len(x) < 2:  # without another pair there is nothing to contrast with
            return x.sum() * 0.0
        numbers = pairs.known_positives
        if numbers is None:
            numbers = pairs.positive.nonzero().squeeze(1)
        similarity = grouped_similarities(x[numbers], x, self.block) / self.temperature
        itself = numbers[:, None] == torch.arange(len(x), device=x.device)
        normaliser = similarity.masked_fill(itself, -torch.inf).logsumexp(1)
        same = (labels[numbers, 1:] @ labels[:, 1:].T > 0) & ~itself
        count = same.sum(1)
        pull = -((similarity - normaliser[:, None]) * same).sum(1) / count.clamp(min=1)
        push = torch.where(count == 0, normaliser - similarity.amax(1), 0.0)
        return self.temperature / self.base_temperature * (pull + push).sum() / len(x)
