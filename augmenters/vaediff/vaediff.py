"""`vaediff`: EP-VAE with a diffusion prior, co-trained after a warm-up. Section 2.2 of the paper,
Eq. (8), Eq. (9) and Algorithm 1.

Where paper and official code disagree, the default is the one that a faithful re-implementation
should take and the other reading is an option. What the official code plainly gets wrong is not
offered: here the class reaches every denoising step, gradients are zeroed, and dropout is off when
sampling.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor

from augmenters.base import Progress
from augmenters.diagnosis import Diagnosed
from augmenters.options import number, one_of, probability, switch, whole
from augmenters.pool import LabelSets, Pool
from augmenters.vaediff.denoiser import HEAD, Denoiser
from augmenters.vaediff.ep_vae import EPVAE, entropy, sample_posterior
from augmenters.vaediff.fitting import Averages, Best, Descent, batches, check_finite
from augmenters.vaediff.prior import DiffusionPrior, ema_decay, update_average
from augmenters.vaediff.vae import (
    EVALUATION_ROWS,
    diagnose_vae,
    posteriors,
    reconstructed,
    train_epoch,
)
from benchmark.data.pairs import Pairs
from benchmark.errors import ConfigError
from benchmark.registry import AUGMENTERS


@AUGMENTERS.register("vaediff")
class VaeDiff(Diagnosed):
    """EP-VAE with a class-conditional diffusion prior in its latent space (VaeDiff-DocRE).

    Args:
        latent, hidden, norm, reconstruction, clamp_means: see `EPVAE`.
        width, depth, dropout, label_embedding, null_class, attention: see `Denoiser`.
        steps, variance: see `Diffusion`.
        epochs, warmup_epochs: of the whole fit; of the VAE alone, before the prior sets in.
        kl_weight, kl_warmup: weight of the KL term (Eq. (8)) after and during the warm-up; the
            paper has 1.
        batch_size: pairs per step (the official 8 documents hold about 170 to 215).
        lr, lr_min, lr_cycles: of the VAE: a cosine from lr to lr_min over the whole run, per step;
            more cycles are warm restarts.
        lr_prior: of the denoiser, constant.
        weight_decay, clip: AdamW's weight decay; limit of the gradient norm.
        self_condition: probability of training on the network's own first estimate.
        class_drop, class_drop_per: probability of training without class, drawn per "sample" or per
            "batch" (official code, 0.2).
        guidance, guidance_form: w of Eq. (6); "paper" as printed, (1-w) c + w u, or "cfg" (official
            code), (1+w) c - w u.
        ema: decay of the averaged denoiser, which samples; 0 samples from the last weights.
        checkpoint: the "last" epoch (official code), or the one after the warm-up with the "best"
            Eq. (9) on held-out pairs. Eq. (9) weighs the entropy 1, training kl_weight: its best
            epoch may come before the prior has learned anything.
        draws: generated pairs in the pool for each training pair.
        generate: "pool", made once before stage 3, or "per_step", anew for every batch (official
            code; slow).
    """

    needs_fitting = True
    check_options = {
        "latent": 6,
        "width": 16,
        "depth": 1,
        "steps": 4,
        "epochs": 3,
        "warmup_epochs": 1,
        "batch_size": 8,
        "draws": 2,
    }

    def __init__(
        self,
        *,
        latent: int = 384,
        hidden: int | None = None,
        norm: str = "rmsnorm",
        reconstruction: str = "gaussian",
        clamp_means: bool = False,
        width: int = 256,
        depth: int = 6,
        dropout: float = 0.1,
        label_embedding: str = "mean",
        null_class: str = "omit",
        attention: str = "linear",
        steps: int = 50,
        variance: str = "beta",
        epochs: int = 100,
        warmup_epochs: int = 10,
        kl_weight: float = 1e-3,
        kl_warmup: float = 1e-6,
        batch_size: int = 192,
        lr: float = 2e-4,
        lr_min: float = 2e-5,
        lr_cycles: int = 1,
        lr_prior: float = 5e-5,
        weight_decay: float = 0.01,
        clip: float = 1.0,
        self_condition: float = 0.5,
        class_drop: float = 0.1,
        class_drop_per: str = "sample",
        guidance: float = 0.1,
        guidance_form: str = "paper",
        ema: float = 0.995,
        checkpoint: str = "last",
        draws: int = 10,
        generate: str = "pool",
    ):
        self.latent, self.hidden = (
            whole("latent", latent),
            hidden if hidden is None else whole("hidden", hidden),
        )
        self.norm = one_of("norm", norm, "rmsnorm", "batchnorm")
        self.reconstruction = one_of("reconstruction", reconstruction, "gaussian", "mse")
        self.clamp_means = switch("clamp_means", clamp_means)
        self.width, self.depth = whole("width", width, 2), whole("depth", depth)
        if width % 2:
            raise ConfigError(
                f"option 'width' must be even (sines and cosines of the time), got {width}"
            )
        self.dropout = number("dropout", dropout, least=0, below=1)
        self.label_embedding = one_of("label_embedding", label_embedding, "mean", "sum")
        self.null_class = one_of("null_class", null_class, "omit", "learned")
        self.attention = one_of("attention", attention, "linear", "one_token")
        if attention == "one_token" and width > HEAD and width % HEAD:
            raise ConfigError(
                f"option 'width' must be a multiple of {HEAD} with attention: one_token, got "
                f"{width}"
            )
        self.steps, self.variance = (
            whole("steps", steps, 2),
            one_of("variance", variance, "beta", "posterior"),
        )
        self.epochs, self.warmup_epochs = (
            whole("epochs", epochs),
            whole("warmup_epochs", warmup_epochs, 0),
        )
        if warmup_epochs >= epochs:
            raise ConfigError(
                f"option 'warmup_epochs' ({warmup_epochs}) must be below 'epochs' ({epochs}): the "
                "prior comes after it"
            )
        self.kl_weight, self.kl_warmup = (
            number("kl_weight", kl_weight, least=0),
            number("kl_warmup", kl_warmup, least=0),
        )
        self.batch_size = whole(
            "batch_size", batch_size, 3 if norm == "batchnorm" else 1
        )  # BatchNorm: never a batch of one
        self.lr, self.lr_min = number("lr", lr, above=0), number("lr_min", lr_min, least=0)
        self.lr_cycles, self.lr_prior = (
            whole("lr_cycles", lr_cycles),
            number("lr_prior", lr_prior, above=0),
        )
        self.weight_decay, self.clip = (
            number("weight_decay", weight_decay, least=0),
            number("clip", clip, above=0),
        )
        self.self_condition = probability("self_condition", self_condition)
        self.class_drop = probability("class_drop", class_drop)
        self.class_drop_per = one_of("class_drop_per", class_drop_per, "sample", "batch")
        self.guidance = number("guidance", guidance, least=0)
        self.guidance_form = one_of("guidance_form", guidance_form, "paper", "cfg")
        self.ema = number("ema", ema, least=0, below=1)
        self.checkpoint = one_of("checkpoint", checkpoint, "last", "best")
        self.draws, self.generate = (
            whole("draws", draws),
            one_of("generate", generate, "pool", "per_step"),
        )
        self._pool: LatentPool | None = None

    def _build(self, width: int, classes: int) -> None:
        self._pool = None
        shape = {"hidden": self.hidden, "norm": self.norm, "reconstruction": self.reconstruction}
        self.vae = EPVAE(width, self.latent, clamp_means=self.clamp_means, **shape).eval()
        self.prior = DiffusionPrior(
            self.latent,
            classes,
            network={
                "width": self.width,
                "depth": self.depth,
                "dropout": self.dropout,
                "label_embedding": self.label_embedding,
                "null_class": self.null_class,
                "attention": self.attention,
            },
            steps=self.steps,
            variance=self.variance,
            self_condition=self.self_condition,
            class_drop=self.class_drop,
            class_drop_per=self.class_drop_per,
            guidance=self.guidance,
            guidance_form=self.guidance_form,
        )

    # Stage 2.

    def _fit(
        self,
        representations: Tensor,
        labels: Tensor,
        *,
        rng: torch.Generator,
        held_out: Pairs | None,
        progress: Progress,
    ) -> list[dict]:
        denoiser = copy.deepcopy(self.prior.denoiser).requires_grad_(
            True
        )  # is trained; the prior's own is its average
        total = self.epochs * math.ceil(len(labels) / self.batch_size)
        adam = {"weight_decay": self.weight_decay, "clip": self.clip, "total": total}
        vae_descent = Descent(
            self.vae, lr=self.lr, lr_min=self.lr_min, cycles=self.lr_cycles, **adam
        )
        prior_descent = Descent(denoiser, lr=self.lr_prior, lr_min=self.lr_prior, cycles=1, **adam)
        best, history, noise_seed = (
            Best(self.vae, self.prior),
            [],
            int(torch.randint(2**63 - 1, (), generator=rng)),
        )
        for epoch in range(1, self.epochs + 1):
            if epoch == self.warmup_epochs + 1:
                self.prior.set_scale(*posteriors(self.vae, representations))
            if epoch <= self.warmup_epochs:
                numbers = train_epoch(
                    self.vae, vae_descent, representations, self.batch_size, self.kl_warmup, rng
                )
            else:
                numbers = self._co_train(
                    denoiser, vae_descent, prior_descent, representations, labels, rng
                )
                if held_out is not None:
                    numbers |= self._held_out(
                        *held_out, torch.Generator().manual_seed(noise_seed)
                    )  # the same noise in every epoch
                    if self.checkpoint == "best":
                        best.offer(numbers["held_out"])
            check_finite(numbers, epoch)
            history.append({"epoch": epoch, **numbers, "lr": vae_descent.rate})
            progress(epoch, self.epochs, **numbers)
        best.restore()
        return history

    def _co_train(
        self,
        denoiser: Denoiser,
        vae_descent: Descent,
        prior_descent: Descent,
        representations: Tensor,
        labels: Tensor,
        rng: torch.Generator,
    ) -> dict[str, float]:
        """One epoch of Eq. (9): in every step the VAE learns under the current prior, then the
        prior from its detached latents.

        The VAE sums the prior's error over the latent dimensions, the prior averages it (as the
        official code does).
        """
        vae, prior = self.vae.train(), self.prior
        denoiser.train()
        averages = Averages()
        for rows in batches(len(representations), self.batch_size, rng):
            rows = rows.to(representations.device)
            x, y = representations[rows], labels[rows]
            mean, log_variance = vae.encode(x)
            latents = sample_posterior(mean, log_variance, rng)
            reconstruction = vae.reconstruction_error(x, latents)
            cross_entropy = prior.errors(denoiser, prior.standardise(latents), y, rng)
            # Eq. (8): the KL term is the prior's cross-entropy less the encoder's entropy
            loss = reconstruction + self.kl_weight * (cross_entropy - entropy(log_variance))
            vae_descent.step(loss.mean())  # through the denoiser, which stays as it is

            error = prior.errors(denoiser, prior.standardise(latents.detach()), y, rng, drop=True)
            prior_descent.step(error.mean() / self.latent)
            update_average(prior.denoiser, denoiser, ema_decay(prior_descent.done, self.ema))
            averages.add(
                loss=loss,
                reconstruction=reconstruction,
                entropy=entropy(log_variance),
                prior=error / self.latent,
            )
        vae.eval()
        return averages.read()

    @torch.no_grad()
    def _held_out(
        self, representations: Tensor, labels: Tensor, rng: torch.Generator
    ) -> dict[str, float]:
        """Eq. (9) on held-out pairs with the averaged denoiser, and the prior's share of it.

        The weights are the paper's, 1: under the training weight of 0.001 the prior would not
        count, and the checkpoint would be chosen by the VAE alone, whose best epoch may come long
        before the prior's.
        """
        averages = Averages()
        for x, y in zip(
            representations.split(EVALUATION_ROWS), labels.split(EVALUATION_ROWS), strict=True
        ):
            mean, log_variance = self.vae.encode(x)
            latents = sample_posterior(mean, log_variance, rng)
            error = self.prior.errors(self.prior.denoiser, self.prior.standardise(latents), y, rng)
            loss = self.vae.reconstruction_error(x, latents) - entropy(log_variance) + error
            averages.add(held_out=loss, held_out_prior=error / self.latent)
        return averages.read()

    # Stage 3.

    def _prepare(self, label_sets: Tensor, *, rng: torch.Generator, progress: Progress) -> None:
        """Fill the pool: `draws` latents for every training pair. They are decoded when drawn,
        being narrower than the rows.
        """
        if self.generate == "pool":
            sets = LabelSets(label_sets)
            ids = torch.arange(len(sets)).repeat_interleave(sets.counts * self.draws)
            self._pool = LatentPool(
                Pool(sets, ids), self.prior.sample(sets.sets, ids, rng, progress)
            )

    def _augment(
        self, representations: Tensor, labels: Tensor, *, rng: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Algorithm 1, line 29: generated latents, decoded. From the pool; a label set that it
        lacks is generated here.
        """
        latents = torch.empty(len(labels), self.latent, device=labels.device)
        ids = torch.full((len(labels),), -1) if self._pool is None else self._pool.lookup(labels)
        held = ids >= 0
        if held.any():
            latents[held.to(labels.device)] = self._pool.draw(ids[held], rng).to(labels.device)
        if not held.all():
            fresh = LabelSets(labels[~held.to(labels.device)])
            latents[~held.to(labels.device)] = self.prior.sample(fresh.sets, fresh.ids, rng)
        rows, _ = self.vae.decode(latents)
        return rows, labels.clone()

    def reconstruct(self, representations: Tensor) -> Tensor:
        return reconstructed(self.vae, representations)

    def _diagnose(
        self, representations: Tensor, labels: Tensor, *, rng: torch.Generator
    ) -> dict[str, float]:
        return {
            **diagnose_vae(self.vae, representations, rng),
            **self.prior.diagnose(posteriors(self.vae, representations)[0], labels, rng),
        }


class LatentPool:
    """Generated latents [N,z], drawn by the ids of their label sets."""

    def __init__(self, rows: Pool, latents: Tensor):
        self._rows, self.latents = rows, latents

    def lookup(self, labels: Tensor) -> Tensor:
        """Ids [Q] of label sets [Q,R]; -1 for one that the pool does not hold."""
        return self._rows.sets.lookup(labels)

    def draw(self, ids: Tensor, rng: torch.Generator) -> Tensor:
        """Latents [Q,z]."""
        return self.latents[self._rows.draw(ids, rng).to(self.latents.device)]
