"""`vae`: EP-VAE with a standard normal prior, made class-conditional through the aggregate
posterior.

A standard normal prior knows nothing of classes (the reason for the diffusion prior, section
2.2.2). For a requested label set
a training pair with exactly those labels is drawn, its posterior sampled, and the sample decoded to
    its mean: a draw from the
aggregate posterior of that label set. A label set not seen in training takes pairs from those with
the largest Jaccard overlap.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from augmenters.base import AugmenterError, Progress
from augmenters.diagnosis import Diagnosed
from augmenters.options import number, one_of, switch, whole
from augmenters.pool import LabelSets, Pool
from augmenters.vaediff.ep_vae import EPVAE, kl_to_standard_normal, sample_posterior
from augmenters.vaediff.fitting import Averages, Best, Descent, batches, check_finite
from benchmark.data.pairs import Pairs
from benchmark.errors import ConfigError
from benchmark.registry import AUGMENTERS

EVALUATION_ROWS = 4096  # rows encoded at a time without gradients
# variance of the posterior mean over the pairs from which a latent unit counts as active (Burda et
# al., 2016)
ACTIVE = 0.01


@AUGMENTERS.register("vae")
class Vae(Diagnosed):
    """EP-VAE with a standard normal prior; classes through the aggregate posterior.

    Args:
        latent, hidden, norm, reconstruction, clamp_means: see `EPVAE`.
        kl_weight, kl_warmup: weight of the KL term of Eq. (4) after and during the first
            `warmup_epochs`. The same as for `vaediff` (official code), so that the two differ in
            the prior alone; with 1, as printed, posteriors widen and labels blur.
        epochs, batch_size: passes over the training pairs; pairs per step (the official 8 documents
            hold about 170 to 215).
        lr, lr_min, lr_cycles: a cosine from lr to lr_min over the whole run, per step; more cycles
            are warm restarts.
        weight_decay, clip: AdamW's weight decay; limit of the gradient norm.
        checkpoint: the "last" epoch, or the "best" held-out loss after the warm-up (if there are
            held-out pairs).
    """

    needs_fitting = True
    check_options = {"latent": 6, "epochs": 3, "warmup_epochs": 1, "batch_size": 8}

    def __init__(
        self,
        *,
        latent: int = 384,
        hidden: int | None = None,
        norm: str = "rmsnorm",
        reconstruction: str = "gaussian",
        clamp_means: bool = False,
        kl_weight: float = 1e-3,
        kl_warmup: float = 1e-6,
        warmup_epochs: int = 10,
        epochs: int = 100,
        batch_size: int = 192,
        lr: float = 2e-4,
        lr_min: float = 2e-5,
        lr_cycles: int = 1,
        weight_decay: float = 0.01,
        clip: float = 1.0,
        checkpoint: str = "last",
    ):
        self.latent, self.hidden = (
            whole("latent", latent),
            hidden if hidden is None else whole("hidden", hidden),
        )
        self.norm = one_of("norm", norm, "rmsnorm", "batchnorm")
        self.reconstruction = one_of("reconstruction", reconstruction, "gaussian", "mse")
        self.clamp_means = switch("clamp_means", clamp_means)
        self.kl_weight, self.kl_warmup = (
            number("kl_weight", kl_weight, least=0),
            number("kl_warmup", kl_warmup, least=0),
        )
        self.epochs, self.warmup_epochs = (
            whole("epochs", epochs),
            whole("warmup_epochs", warmup_epochs, 0),
        )
        if warmup_epochs >= epochs:
            raise ConfigError(
                f"option 'warmup_epochs' ({warmup_epochs}) must be below 'epochs' ({epochs})"
            )
        self.batch_size = whole(
            "batch_size", batch_size, 3 if norm == "batchnorm" else 1
        )  # BatchNorm: never a batch of one
        self.lr, self.lr_min = number("lr", lr, above=0), number("lr_min", lr_min, least=0)
        self.lr_cycles = whole("lr_cycles", lr_cycles)
        self.weight_decay, self.clip = (
            number("weight_decay", weight_decay, least=0),
            number("clip", clip, above=0),
        )
        self.checkpoint = one_of("checkpoint", checkpoint, "last", "best")

    def _build(self, width: int, classes: int) -> None:
        shape = {"hidden": self.hidden, "norm": self.norm, "reconstruction": self.reconstruction}
        self.vae = EPVAE(width, self.latent, clamp_means=self.clamp_means, **shape).eval()
        self.filed = Posteriors(self.latent, classes)

    def _fit(
        self,
        representations: Tensor,
        labels: Tensor,
        *,
        rng: torch.Generator,
        held_out: Pairs | None,
        progress: Progress,
    ) -> list[dict]:
        adam = {"weight_decay": self.weight_decay, "clip": self.clip}
        total = self.epochs * math.ceil(len(labels) / self.batch_size)
        descent = Descent(
            self.vae, lr=self.lr, lr_min=self.lr_min, cycles=self.lr_cycles, total=total, **adam
        )
        best, history, noise_seed = (
            Best(self.vae),
            [],
            int(torch.randint(2**63 - 1, (), generator=rng)),
        )
        for epoch in range(1, self.epochs + 1):
            kl_weight = self.kl_warmup if epoch <= self.warmup_epochs else self.kl_weight
            numbers = train_epoch(
                self.vae, descent, representations, self.batch_size, kl_weight, rng
            )
            if held_out is not None:
                noise = torch.Generator().manual_seed(noise_seed)  # the same in every epoch
                numbers["held_out"] = held_out_loss(
                    self.vae, held_out.representations, self.kl_weight, noise
                )
                if self.checkpoint == "best" and epoch > self.warmup_epochs:
                    best.offer(numbers["held_out"])
            check_finite(numbers, epoch)
            history.append({"epoch": epoch, **numbers, "lr": descent.rate})
            progress(epoch, self.epochs, **numbers)
        best.restore()
        self.filed.file(*posteriors(self.vae, representations), labels)
        return history

    def _augment(
        self, representations: Tensor, labels: Tensor, *, rng: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.filed.draw(labels, rng)
        rows, _ = self.vae.decode(sample_posterior(mean, log_variance, rng))
        return rows, labels.clone()

    def reconstruct(self, representations: Tensor) -> Tensor:
        return reconstructed(self.vae, representations)

    def _diagnose(
        self, representations: Tensor, labels: Tensor, *, rng: torch.Generator
    ) -> dict[str, float]:
        return diagnose_vae(self.vae, representations, rng)


class Posteriors(nn.Module):
    """The posteriors [N,z] of the training pairs and their label sets [N,R], filed by label set."""

    def __init__(self, latent: int, classes: int):
        super().__init__()
        self.register_buffer("mean", torch.empty(0, latent))
        self.register_buffer("log_variance", torch.empty(0, latent))
        self.register_buffer("labels", torch.empty(0, classes, dtype=torch.bool))
        self._pool = None

    def file(self, mean: Tensor, log_variance: Tensor, labels: Tensor) -> None:
        self.mean, self.log_variance, self.labels, self._pool = (
            mean,
            log_variance,
            labels.bool(),
            None,
        )

    def draw(self, labels: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Posteriors [Q,z], [Q,z] of training pairs that have the label sets [Q,R], or the nearest
        ones.
        """
        if self._pool is None:  # rebuilt after loading
            sets = LabelSets(self.labels)
            self._pool = Pool(sets, sets.ids)
        rows = self._pool.draw_nearest(labels, rng).to(self.mean.device)
        return self.mean[rows], self.log_variance[rows]


def train_epoch(
    vae: EPVAE,
    descent: Descent,
    representations: Tensor,
    batch_size: int,
    kl_weight: float,
    rng: torch.Generator,
) -> dict[str, float]:
    """One epoch of Eq. (4) on pairs [N,d], with a standard normal prior and a weighted KL term;
    means per pair.

    The minus before the sum of Eq. (4) stands for both terms: the divergence is added, as in Eq.
    (9).
    """
    if len(representations) == 1 and vae.has_batchnorm:
        raise AugmenterError("norm: batchnorm needs at least two training pairs")
    vae.train()
    averages = Averages()
    for rows in batches(len(representations), batch_size, rng):
        x = representations[rows.to(representations.device)]
        mean, log_variance = vae.encode(x)
        reconstruction = vae.reconstruction_error(x, sample_posterior(mean, log_variance, rng))
        kl = kl_to_standard_normal(mean, log_variance)
        loss = reconstruction + kl_weight * kl
        descent.step(loss.mean())
        averages.add(loss=loss, reconstruction=reconstruction, kl=kl)
    vae.eval()
    return averages.read()


@torch.no_grad()
def held_out_loss(
    vae: EPVAE, representations: Tensor, kl_weight: float, rng: torch.Generator
) -> float:
    """Eq. (4) on held-out pairs [N,d], with the weight of the KL term that holds after the
    warm-up.
    """
    averages = Averages()
    for x in representations.split(EVALUATION_ROWS):
        mean, log_variance = vae.encode(x)
        reconstruction = vae.reconstruction_error(x, sample_posterior(mean, log_variance, rng))
        averages.add(loss=reconstruction + kl_weight * kl_to_standard_normal(mean, log_variance))
    return averages.read()["loss"]


@torch.no_grad()
def posteriors(vae: EPVAE, representations: Tensor) -> tuple[Tensor, Tensor]:
    """Means and log-variances [N,z] of all rows [N,d]."""
    parts = [vae.encode(x) for x in representations.split(EVALUATION_ROWS)]
    return torch.cat([mean for mean, _ in parts]), torch.cat(
        [log_variance for _, log_variance in parts]
    )


@torch.no_grad()
def reconstructed(vae: EPVAE, representations: Tensor) -> Tensor:
    """Rows [N,d] decoded from the means of their posteriors."""
    return torch.cat(
        [vae.decode(mean)[0] for mean in posteriors(vae, representations)[0].split(EVALUATION_ROWS)]
    )


@torch.no_grad()
def diagnose_vae(vae: EPVAE, representations: Tensor, rng: torch.Generator) -> dict[str, float]:
    """What EP-VAE keeps of held-out rows [N,d]; see `Diagnosed.diagnose` for the names.

    sampled_mse is the reconstruction's error from a sample of the posterior, as in training;
    reconstruction_mse that from its mean.
    """
    averages = Averages()
    mean, log_variance = posteriors(vae, representations)
    for x, m, v in zip(
        *(part.split(EVALUATION_ROWS) for part in (representations, mean, log_variance)),
        strict=True,
    ):
        error = lambda latents, x=x: (vae.decode(latents)[0] - x).square().mean(-1)
        averages.add(reconstruction_mse=error(m), sampled_mse=error(sample_posterior(m, v, rng)))
    active = int((mean.var(0, correction=0) > ACTIVE).sum())
    kl = float(kl_to_standard_normal(mean, log_variance).mean())
    return {**averages.read(), "active_units": active, "latent_units": mean.shape[1], "kl": kl}
