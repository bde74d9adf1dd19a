"""EP-VAE, the entity-pair variational autoencoder: section 2.2.1 of the paper, Eq. (1) to Eq. (4).

Layers follow the official code (Stage_2/model.py) where it departs from the paper: RMSNorm twice on
either side instead of one BatchNorm, hidden layers of a quarter of the width, a decoder that
predicts mean and log-variance (`norm="batchnorm"`: the paper's). The log-variances are clamped, as
in the code; the means are only if asked for, since a clamped mean has no gradient outside.

Suffixes: B rows, d representation width, z latent size. Sums are over the last dimension.
"""

import math

import torch
from torch import Tensor, nn

SLOPE = 0.2  # of the LeakyReLU
LIMIT = 5.0  # of log-variances, and of means with `clamp_means`


class EPVAE(nn.Module):
    """From a representation to a diagonal Gaussian posterior, and back to a diagonal Gaussian.

    Args:
        hidden: width of the hidden layers; None: a quarter of d.
        norm: "rmsnorm" (official code) or "batchnorm" (one mid-stack, the paper).
        reconstruction: "gaussian", a learned variance (official code), or "mse", variance 1.
        clamp_means: keep the means of posteriors, and of reconstructions in the loss, within 5 of 0
            (official code).
    """

    def __init__(
        self,
        width: int,
        latent: int,
        *,
        hidden: int | None,
        norm: str,
        reconstruction: str,
        clamp_means: bool = False,
    ):
        super().__init__()
        self.clamp_means = clamp_means
        hidden = hidden or max(width // 4, 1)
        self.learned_variance = reconstruction == "gaussian"
        out = 2 * width if self.learned_variance else width
        if norm == "batchnorm":
            self.project = _batchnorm_stack(width, hidden, latent)
            self.decoder = _batchnorm_stack(latent, hidden, out)
        else:
            self.project = nn.Sequential(
                nn.RMSNorm(width),
                nn.Linear(width, hidden),
                nn.LeakyReLU(SLOPE),
                nn.Linear(hidden, hidden),
                nn.RMSNorm(hidden),
                nn.LeakyReLU(SLOPE),
                nn.Linear(hidden, latent),
            )
            self.decoder = nn.Sequential(
                nn.Linear(latent, hidden),
                nn.LeakyReLU(SLOPE),
                nn.RMSNorm(hidden),
                nn.Linear(hidden, hidden),
                nn.LeakyReLU(SLOPE),
                nn.RMSNorm(hidden),
                nn.Linear(hidden, out),
            )
        self.mean, self.log_variance = nn.Linear(latent, latent), nn.Linear(latent, latent)

    def encode(self, representations: Tensor) -> tuple[Tensor, Tensor]:
        """Eq. (1): mean and log-variance [B,z] of the posterior."""
        projected = self.project(representations)
        return self._bounded(self.mean(projected)), _limited(self.log_variance(projected))

    def decode(self, latents: Tensor) -> tuple[Tensor, Tensor | None]:
        """Eq. (3): mean [B,d] and log-variance [B,d], or None with a fixed variance."""
        if not self.learned_variance:
            return self.decoder(latents), None
        mean, log_variance = self.decoder(latents).chunk(2, -1)
        return mean, _limited(log_variance)

    def reconstruction_error(self, representations: Tensor, latents: Tensor) -> Tensor:
        """First term of Eq. (4), per row [B]: the negative log-likelihood, summed over d."""
        mean, log_variance = self.decode(latents)
        return negative_log_likelihood(representations, self._bounded(mean), log_variance)

    def _bounded(self, mean: Tensor) -> Tensor:
        return mean.clamp(-LIMIT, LIMIT) if self.clamp_means else mean


def _limited(log_variance: Tensor) -> Tensor:
    return log_variance.clamp(-LIMIT, LIMIT)


def _batchnorm_stack(first: int, hidden: int, last: int) -> nn.Sequential:
    """The paper's: feed-forward layers and LeakyReLU in turn, a single BatchNorm mid-stack."""
    return nn.Sequential(
        nn.Linear(first, hidden),
        nn.LeakyReLU(SLOPE),
        nn.Linear(hidden, hidden),
        nn.BatchNorm1d(hidden),
        nn.LeakyReLU(SLOPE),
        nn.Linear(hidden, last),
    )


def sample_posterior(mean: Tensor, log_variance: Tensor, rng: torch.Generator) -> Tensor:
    """Eq. (2): z [B,z] = mean + deviation * noise."""
    return mean + (0.5 * log_variance).exp() * torch.randn(mean.shape, generator=rng).to(mean)


def negative_log_likelihood(x: Tensor, mean: Tensor, log_variance: Tensor | None) -> Tensor:
    """-log N(x; mean, variance), summed; without a log-variance, half the squared error."""
    square = (x - mean).square()
    if log_variance is None:
        return 0.5 * square.sum(-1)
    return 0.5 * (square * (-log_variance).exp() + log_variance + math.log(2 * math.pi)).sum(-1)


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(0, I)), summed."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1)


def entropy(log_variance: Tensor) -> Tensor:
    """Entropy of N(., variance), summed: the encoder's in Eq. (8), in closed form where the
    official code takes -log q at the sample.
    """
    return 0.5 * (log_variance + 1 + math.log(2 * math.pi)).sum(-1)
