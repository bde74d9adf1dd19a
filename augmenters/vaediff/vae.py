"""`vae`: EP-VAE with a standard normal prior, which knows nothing of classes (the reason for the
diffusion prior, section 2.2.2). They come in through the aggregate posterior.

For a requested label set, a training pair with exactly those labels is drawn, its posterior is
sampled, and the sample is decoded to its mean. A label set that does not occur in training takes
the pairs with the largest Jaccard overlap.
"""

import math
from collections.abc import Callable
from typing import Literal

import torch
from pydantic import model_validator
from torch import Tensor, nn

from augmenters.diagnosis import Diagnosed
from augmenters.pool import LabelSets, Pool, Stored
from augmenters.soundness import require
from augmenters.vaediff.ep_vae import EPVAE, kl_to_standard_normal, sample_posterior
from augmenters.vaediff.fitting import Averages, Best, Descent, batches, run_epochs
from benchmark.options import Count, Least, OptionModel, Positive, Whole
from benchmark.registry import AUGMENTERS

EVALUATION_ROWS = 4096  # encoded at a time without gradients
# least variance over pairs of the posterior mean of a latent unit that counts as active (Burda et
# al., 2016)
ACTIVE = 0.01


def consistent(options: OptionModel) -> OptionModel:
    """A warm-up that ends, and batches that BatchNorm can take; else ValueError."""
    warmup, epochs = options.warmup_epochs, options.epochs
    if warmup >= epochs:
        raise ValueError(f"option 'warmup_epochs' ({warmup}) must be below 'epochs' ({epochs})")
    if options.norm == "batchnorm" and options.batch_size < 3:
        raise ValueError(
            "option 'batch_size' must be at least 3 with norm: batchnorm, which cannot take a "
            f"batch of one; got {options.batch_size}"
        )
    return options


class FittedVae(Diagnosed):
    """What `vae` and `vaediff` share: the EP-VAE, its fit by epochs, reconstruction, diagnosis."""

    needs_fitting = True

    def _build(self, width, classes):
        shape = self.options.only("latent", "hidden", "norm", "reconstruction", "clamp_means")
        self.vae = EPVAE(width, **shape).eval()

    def _fit(self, representations, labels, *, rng, held_out, progress):
        options, best = self.options, Best(self._modules())
        alone = len(labels) == 1 and options.norm == "batchnorm"
        require(not alone, "norm: batchnorm needs at least two training pairs")
        descent = self.descent(self.vae, len(labels))
        train = self.training(descent, representations, labels, rng)
        noise_seed = int(torch.randint(2**63 - 1, (), generator=rng))

        def epoch(number: int) -> dict[str, float]:
            warm = number <= options.warmup_epochs
            if warm:
                numbers = self.train_vae(descent, representations, options.kl_warmup, rng)
            else:
                numbers = train()
            if held_out is not None:
                noise = torch.Generator().manual_seed(noise_seed)  # the same in every epoch
                numbers |= self.held_out(*held_out, warm, noise)
                if options.checkpoint == "best" and not warm:
                    best.offer(numbers["held_out"])
            return numbers

        history = run_epochs(options.epochs, epoch, progress)
        best.restore()
        return history

    def training(
        self, descent: Descent, representations: Tensor, labels: Tensor, rng: torch.Generator
    ) -> Callable[[], dict[str, float]]:
        """A function that trains for an epoch after the warm-up, and returns means per pair."""
        raise NotImplementedError

    def held_out(
        self, representations: Tensor, labels: Tensor, warm: bool, rng: torch.Generator
    ) -> dict[str, float]:
        """After an epoch: "held_out", the loss that checkpoints are chosen by, on held-out pairs;
        perhaps nothing during the warm-up.
        """
        raise NotImplementedError

    def descent(self, module: nn.Module, pairs: int, **rates: float) -> Descent:
        """The descent of the whole fit to so many pairs, at these rates or the options'."""
        options = self.options
        total = options.epochs * math.ceil(pairs / options.batch_size)
        rates = options.only("lr", "lr_min", "weight_decay", "clip") | rates
        return Descent(module, total=total, cycles=options.lr_cycles, **rates)

    def train_vae(
        self, descent: Descent, representations: Tensor, kl_weight: float, rng: torch.Generator
    ) -> dict[str, float]:
        """One epoch of Eq. (4) on pairs [N,d], with a standard normal prior and a weighted KL term;
        means per pair.

        The minus before the sum of Eq. (4) stands for both terms: the divergence is added, as in
        Eq. (9).
        """
        self.vae.train()
        averages = Averages()
        for rows in batches(len(representations), self.options.batch_size, rng):
            x = representations[rows.to(representations.device)]
            reconstruction, kl = eq_4(self.vae, x, rng)
            loss = reconstruction + kl_weight * kl
            descent.step(loss.mean())
            averages.add(loss=loss, reconstruction=reconstruction, kl=kl)
        self.vae.eval()
        return averages.read() | {"lr": descent.rate}

    def reconstruct(self, representations: Tensor) -> Tensor:
        with torch.no_grad():
            means = posteriors(self.vae, representations)[0].split(EVALUATION_ROWS)
            return torch.cat([self.vae.decode(mean)[0] for mean in means])

    def _diagnose(self, representations, labels, *, rng):
        """The error of reconstruction from the posterior's mean, and from a sample of it as in
        training (`sampled_mse`).
        """
        averages = Averages()
        everything = (representations, *posteriors(self.vae, representations))
        for x, mean, log_variance in zip(
            *(part.split(EVALUATION_ROWS) for part in everything), strict=True
        ):
            sample = sample_posterior(mean, log_variance, rng)
            for name, latents in (("reconstruction_mse", mean), ("sampled_mse", sample)):
                averages.add(**{name: (self.vae.decode(latents)[0] - x).square().mean(-1)})
        _, mean, log_variance = everything
        return averages.read() | {
            "active_units": int((mean.var(0, correction=0) > ACTIVE).sum()),
            "latent_units": mean.shape[1],
            "kl": float(kl_to_standard_normal(mean, log_variance).mean()),
        }


@AUGMENTERS.register("vae")
class Vae(FittedVae):
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
        warmup_epochs: Count = 10
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

        _consistent = model_validator(mode="after")(consistent)

    check_options = {"latent": 6, "epochs": 3, "warmup_epochs": 1, "batch_size": 8}

    def _build(self, width, classes):
        super()._build(width, classes)
        latent = self.options.latent
        # the posteriors of the training pairs
        self.filed = Stored(classes, mean=latent, log_variance=latent)

    def _fit(self, representations, labels, **options):
        history = super()._fit(representations, labels, **options)
        self.filed.mean, self.filed.log_variance = posteriors(self.vae, representations)
        self.filed.labels = labels.bool()
        return history

    def training(self, descent, representations, labels, rng):
        weight = self.options.kl_weight
        return lambda: self.train_vae(descent, representations, weight, rng)

    @torch.no_grad()
    def held_out(self, representations, labels, warm, rng):
        """Eq. (4) on held-out pairs, with the weight of the KL term after the warm-up."""
        averages = Averages()
        for x in representations.split(EVALUATION_ROWS):
            reconstruction, kl = eq_4(self.vae, x, rng)
            averages.add(held_out=reconstruction + self.options.kl_weight * kl)
        return averages.read()

    def _prepare(self, label_sets, *, rng, progress):
        self._pool = Pool(LabelSets(self.filed.labels))

    def _augment(self, representations, labels, *, rng):
        drawn = self._pool.draw_nearest(labels, rng).to(labels.device)
        latents = sample_posterior(self.filed.mean[drawn], self.filed.log_variance[drawn], rng)
        return self.vae.decode(latents)[0], labels.clone()


def eq_4(vae: EPVAE, x: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Both terms of Eq. (4) [B], [B] for pairs [B,d]."""
    mean, log_variance = vae.encode(x)
    reconstruction = vae.reconstruction_error(x, sample_posterior(mean, log_variance, rng))
    return reconstruction, kl_to_standard_normal(mean, log_variance)


@torch.no_grad()
def posteriors(vae: EPVAE, representations: Tensor) -> tuple[Tensor, Tensor]:
    """Means and log-variances [N,z] of all rows [N,d]."""
    parts = [vae.encode(x) for x in representations.split(EVALUATION_ROWS)]
    means, log_variances = zip(*parts, strict=True)
    return torch.cat(means), torch.cat(log_variances)
