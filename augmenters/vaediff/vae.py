"""`vae`: EP-VAE with a standard normal prior, made class-conditional through the aggregate
posterior.

A standard normal prior knows nothing of classes (the reason for the diffusion prior, section
2.2.2). For a requested label set, a training pair with exactly those labels is drawn, its posterior
is sampled, and the sample is decoded to its mean: a draw from the aggregate posterior of that label
set. A label set that does not occur in training takes the pairs with the largest Jaccard overlap.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from augmenters.base import AugmenterError, Progress, Tensors
from augmenters.diagnosis import Diagnosed
from augmenters.pool import LabelSets, Pool
from augmenters.vaediff.ep_vae import EPVAE, kl_to_standard_normal, sample_posterior
from augmenters.vaediff.fitting import Averages, Best, Descent, batches, check_finite
from benchmark.data.pairs import Pairs
from benchmark.options import Least, OptionModel, Positive, Whole
from benchmark.registry import AUGMENTERS

EP_VAE = ("latent", "hidden", "norm", "reconstruction", "clamp_means")  # options of `EPVAE`
EVALUATION_ROWS = 4096  # rows encoded at a time without gradients
# variance of the posterior mean over the pairs from which a latent unit counts as active (Burda et
# al., 2016)
ACTIVE = 0.01


def consistent_fit(options: OptionModel) -> OptionModel:
    """A warm-up that ends, and batches that BatchNorm can take."""
    if options.warmup_epochs >= options.epochs:
        raise ValueError(
            f"option 'warmup_epochs' ({options.warmup_epochs}) must be below 'epochs' "
            f"({options.epochs})"
        )
    if options.norm == "batchnorm" and options.batch_size < 3:
        raise ValueError(
            f"option 'batch_size' must be at least 3 with norm: batchnorm, which takes no batch of "
            f"one; got {options.batch_size}"
        )
    return options


@AUGMENTERS.register("vae")
class Vae(Diagnosed):
    """EP-VAE with a standard normal prior; classes through the aggregate posterior."""

    class Options(OptionModel):
        """`kl_weight` is that of `vaediff` (official code), so that the two differ in the prior
        alone; with 1, as printed, posteriors widen and labels blur.
        """

        # of `EPVAE`
        latent: Whole = 384
        hidden: Whole | None = None
        norm: Literal["rmsnorm", "batchnorm"] = "rmsnorm"
        reconstruction: Literal["gaussian", "mse"] = "gaussian"
        clamp_means: bool = False
        # weight of the KL term of Eq. (4) after and during the first `warmup_epochs`
        kl_weight: Least = 1e-3
        kl_warmup: Least = 1e-6
        warmup_epochs: Annotated[int, Field(ge=0)] = 10
        epochs: Whole = 100
        batch_size: Whole = 192  # pairs of a step; the official 8 documents hold about 170 to 215
        # a cosine from lr to lr_min over the whole run; more cycles are warm restarts
        lr: Positive = 2e-4
        lr_min: Least = 2e-5
        lr_cycles: Whole = 1
        weight_decay: Least = 0.01
        clip: Positive = 1.0  # limit of the gradient norm
        # "best": the epoch after the warm-up with the lowest loss on held-out pairs
        checkpoint: Literal["last", "best"] = "last"

        _consistent = model_validator(mode="after")(consistent_fit)

    needs_fitting = True
    check_options = {"latent": 6, "epochs": 3, "warmup_epochs": 1, "batch_size": 8}

    def __init__(self, **options: Any):
        self.options = self.Options.of(options)

    def _build(self, width: int, classes: int) -> None:
        self.vae = EPVAE(width, **self.options.only(*EP_VAE)).eval()
        self.filed = Posteriors(self.options.latent, classes)

    def _fit(
        self,
        representations: Tensor,
        labels: Tensor,
        *,
        rng: torch.Generator,
        held_out: Pairs | None,
        progress: Progress,
    ) -> list[dict]:
        options = self.options
        descent = descent_of(self.vae, options, len(labels))
        best, history = Best(self.vae), []
        noise_seed = int(torch.randint(2**63 - 1, (), generator=rng))
        for epoch in range(1, options.epochs + 1):
            kl_weight = options.kl_warmup if epoch <= options.warmup_epochs else options.kl_weight
            numbers = train_epoch(
                self.vae, descent, representations, options.batch_size, kl_weight, rng
            )
            if held_out is not None:
                noise = torch.Generator().manual_seed(noise_seed)  # the same in every epoch
                numbers["held_out"] = held_out_loss(
                    self.vae, held_out.representations, options.kl_weight, noise
                )
                if options.checkpoint == "best" and epoch > options.warmup_epochs:
                    best.offer(numbers["held_out"])
            check_finite(numbers, epoch)
            history.append({"epoch": epoch, **numbers, "lr": descent.rate})
            progress(epoch, options.epochs, **numbers)
        best.restore()
        self.filed.file(*posteriors(self.vae, representations), labels)
        return history

    def _augment(self, representations: Tensor, labels: Tensor, *, rng: torch.Generator) -> Tensors:
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
        self.mean, self.log_variance, self.labels = mean, log_variance, labels.bool()
        self._pool = None

    def draw(self, labels: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Posteriors [Q,z], [Q,z] of training pairs that have the label sets [Q,R], or the nearest
        ones.
        """
        if self._pool is None:  # rebuilt after loading
            sets = LabelSets(self.labels)
            self._pool = Pool(sets, sets.ids)
        rows = self._pool.draw_nearest(labels, rng).to(self.mean.device)
        return self.mean[rows], self.log_variance[rows]


def descent_of(vae: EPVAE, options: OptionModel, pairs: int) -> Descent:
    """Over the whole fit to so many pairs."""
    total = options.epochs * math.ceil(pairs / options.batch_size)
    schedule = options.only("lr", "lr_min", "weight_decay", "clip")
    return Descent(vae, total=total, cycles=options.lr_cycles, **schedule)


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
    means, log_variances = zip(*parts, strict=True)
    return torch.cat(means), torch.cat(log_variances)


@torch.no_grad()
def reconstructed(vae: EPVAE, representations: Tensor) -> Tensor:
    """Rows [N,d] decoded from the means of their posteriors."""
    means = posteriors(vae, representations)[0].split(EVALUATION_ROWS)
    return torch.cat([vae.decode(mean)[0] for mean in means])


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
