"""Convex combinations of the batch's positive pairs: manifold mixup, and Remix for long tails."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.distributions import Beta

from augmenters.base import Augmenter
from benchmark.options import Least, OptionModel, Positive
from benchmark.registry import AUGMENTERS


@AUGMENTERS.register("mixup")
class Mixup(Augmenter):
    """Manifold mixup (Verma et al. 2019), at the classifier's input.

    x = lam x_i + (1 - lam) x_j, lam ~ Beta(alpha, alpha), j a random pair of the batch. The share
    of y_i in the labels is lam as well. With `remix` (Chou et al. 2020, Eq. 4) the much rarer pair
    keeps its labels alone: n is the training frequency of a pair's rarest relation, the share is 0
    where n_i >= kappa n_j and lam < tau, 1 where n_j >= kappa n_i and 1 - lam < tau.
    """

    class Options(OptionModel):
        alpha: Positive = 2.0  # of the Beta distribution; large values mix halves
        # "drawn": y_i with the probability of its share, else y_j, which suits every loss; "soft":
        # share y_i + (1 - share) y_j, for losses that are linear in the labels
        labels: Literal["drawn", "soft"] = "drawn"
        remix: bool = False
        kappa: Annotated[float, Field(ge=1)] = 3.0
        tau: Least = 0.5

    differentiable = True

    def __init__(self, **options):
        super().__init__(**options)
        self.soft_labels = self.options.labels == "soft"

    def _prepare(self, label_sets, *, rng, progress):
        self.frequency = label_sets[:, 1:].sum(0).clamp(min=1)

    def _augment(self, representations, labels, *, rng):
        P, device = len(labels), labels.device
        if P == 0:
            return representations.clone(), labels.clone()
        other = torch.randperm(P, generator=rng).to(device)
        alpha = self.options.alpha
        lam = Beta(alpha, alpha).sample((P,)).to(device)
        weight = lam[:, None].to(representations)
        mixed = torch.lerp(representations[other], representations, weight)
        share = self.share(lam, labels, labels[other])[:, None]
        if not self.soft_labels:
            share = (torch.rand(P, 1, generator=rng).to(device) < share).to(labels)
        return mixed, share * labels + (1 - share) * labels[other]

    def share(self, lam: Tensor, labels: Tensor, others: Tensor) -> Tensor:
        """How much [P] of the first pair's labels [P,R] stays beside those of the other."""
        if not self.options.remix:
            return lam
        n, m = self._rarest(labels), self._rarest(others)
        kappa, tau = self.options.kappa, self.options.tau
        share = torch.where((n >= kappa * m) & (lam < tau), 0.0, lam)
        return torch.where((m >= kappa * n) & (1 - lam < tau), 1.0, share)

    def _rarest(self, labels: Tensor) -> Tensor:
        frequency = self.frequency.to(labels)
        return frequency.masked_fill(labels[:, 1:] == 0, torch.inf).amin(1)
