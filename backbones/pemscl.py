"""PEMSCL (Guo et al. 2023)."""

import torch

from backbones.parts.grouped import GroupedPairs
from backbones.parts.losses import Entropy, grouped_similarities, pairwise_moving_threshold
from benchmark.options import OptionModel, Positive, Whole
from benchmark.registry import BACKBONES


@BACKBONES.register("pemscl")
class Pemscl(GroupedPairs):
    """PEMSCL: moving thresholds, entropy minimisation and contrastive learning on ATLOP's pairs."""

    class Options(OptionModel):
        emb: Whole = 1024
        block: Whole = 64
        entropy: Entropy = "per_pair"  # how the entropies are weighted; official: "broadcast"
        # of the contrastive loss, which weighs their quotient (0.2 and 2 on Re-DocRED, 2 and 1 on
        # DocRED)
        temperature: Positive = 0.2
        base_temperature: Positive = 2.0

    def pair_loss(self, logits, labels):
        return pairwise_moving_threshold(logits, labels, entropy=self.options.entropy)

    def auxiliary_loss(self, pairs, encoded, batch):
        """The contrastive loss (MLLTRSCLloss): positive pairs are anchors, all pairs contrasts.

        An anchor is drawn to the pairs that share a relation with it; one without any is
        pushed away from all others. The mean is over all pairs, not over the anchors.
        """
        x, labels = pairs
        if len(x) < 2:  # without another pair there is nothing to contrast with
            return x.sum() * 0.0
        numbers = pairs.known_positives
        if numbers is None:
            numbers = pairs.positive.nonzero().squeeze(1)
        temperature = self.options.temperature
        similarity = grouped_similarities(x[numbers], x, self.options.block) / temperature
        itself = numbers[:, None] == torch.arange(len(x), device=x.device)
        normaliser = similarity.masked_fill(itself, -torch.inf).logsumexp(1)
        same = (labels[numbers, 1:] @ labels[:, 1:].T > 0) & ~itself
        count = same.sum(1)
        pull = -((similarity - normaliser[:, None]) * same).sum(1) / count.clamp(min=1)
        push = torch.where(count == 0, normaliser - similarity.amax(1), 0.0)
        return temperature / self.options.base_temperature * (pull + push).sum() / len(x)
