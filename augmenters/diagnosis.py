"""For augmenters that can say how well they have learned: `class Mine(Diagnosed, Augmenter)`."""

import math

import torch
from torch import Tensor

from augmenters.base import Augmenter
from augmenters.soundness import check_pairs, plain, require


class Diagnosed(Augmenter):
    """An augmenter with `_diagnose`; its numbers end up in the run's `quality.json`."""

    def diagnose(
        self, representations: Tensor, labels: Tensor, *, rng: torch.Generator
    ) -> dict[str, float]:
        """After stage 2: how well what was learned holds on held-out positive pairs [N,d], [N,R].

        Any names will do; the quality report knows these:

        * reconstruction_mse: mean squared error of the reconstructed pairs, per dimension;
        * kl: divergence of the posterior from N(0, I), in nats per pair;
        * active_units, latent_units: latent dimensions whose posterior mean varies over the pairs,
          and all of them;
        * prior_error, prior_error_gaussian, prior_error_wrong_class: of a denoising prior, per
          dimension; of the best one that knows only each dimension's mean and spread; its own when
          it is told other pairs' classes.

        Raises AugmenterError where the contract is broken.
        """
        check_pairs(self._says, representations, labels, shape=self.fitted_shape)
        if len(labels) == 0:
            return {}
        with self._working("diagnose", rng, labels.device, gradient=False):
            found = self._diagnose(*plain(representations, labels), rng=rng)
        sound = isinstance(found, dict) and all(
            isinstance(v, (int, float)) and math.isfinite(v) for v in found.values()
        )
        require(sound, f"{self._says}_diagnose must return finite plain numbers, got {found!r}")
        return found

    def reconstruct(self, representations: Tensor) -> Tensor | None:
        """Pairs [N,d] encoded and decoded without noise; None if nothing encodes them."""
        return None

    def _diagnose(
        self, representations: Tensor, labels: Tensor, *, rng: torch.Generator
    ) -> dict[str, float]:
        """Numbers about what was learned, on held-out pairs that stay unchanged; no gradients."""
        return {}
