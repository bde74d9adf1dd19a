"""A rectified flow in place of the diffusion prior: on the representations themselves, or on the
latents of the EP-VAE.
"""

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from augmenters.base import Augmenter, Progress
from augmenters.vaediff.denoiser import Denoiser
from augmenters.vaediff.ep_vae import sample_posterior
from augmenters.vaediff.fitting import Averages, Descent, batches, run_epochs
from augmenters.vaediff.vae import Vae, posteriors
from benchmark.options import Least, OptionModel, Positive, Probability, Share, Whole
from benchmark.registry import AUGMENTERS

TIME = 1000  # the network's time runs from 0 to this, as in diffusion


@AUGMENTERS.register("flow")
class Flow(Augmenter):
    """Rectified flow (Liu et al. 2023; Lipman et al. 2023) conditioned on label sets.

    With z ~ N(0, I) and x a standardised training pair, x_t = (1 - t) z + t x, t ~ U(0, 1). The
    network learns the velocity x - z by its mean squared error. Generation goes from z to x in
    `steps` Euler steps, with guidance v = (1 + w) v(S) - w v(no class).
    """

    class Options(OptionModel):
        """Of the network (that of `vaediff`), of stage 2, and of generation."""

        steps: Whole = 10  # network calls for a pair (twice as many with guidance)
        guidance: Least = 0.0  # w
        class_drop: Probability = 0.1  # probability of training a pair without its class
        epochs: Whole = 100
        batch: Whole = 256
        width: Annotated[int, Field(ge=2, multiple_of=2)] = 256
        depth: Whole = 3
        dropout: Share = 0.1
        # a cosine from one to the other
        lr: Positive = 1e-3
        lr_min: Least = 1e-4

    needs_fitting = True
    check_options = {"epochs": 2, "width": 16, "depth": 1, "steps": 2}

    def _build(self, width, classes):
        self.scale = Standardised(width)
        self.velocity = Denoiser(width, classes, **self.options.only("width", "depth", "dropout"))

    def _fit(self, representations, labels, *, rng, held_out, progress):
        return self.descend(representations, labels, rng, progress)

    def descend(
        self, rows: Tensor, labels: Tensor, rng: torch.Generator, progress: Progress
    ) -> list[dict[str, float]]:
        """Learn the flow to rows [N,d]; the averages of each epoch."""
        self.scale.fit(rows)
        rows, options = self.scale(rows), self.options
        total = options.epochs * math.ceil(len(rows) / options.batch)
        descent = Descent(self.velocity, total=total, lr=options.lr, lr_min=options.lr_min)

        def train(epoch: int) -> dict[str, float]:
            averages = Averages()
            for numbers in batches(len(rows), options.batch, rng):
                numbers = numbers.to(rows.device)
                losses = self.losses(rows[numbers], labels[numbers], rng)
                descent.step(losses.mean())
                averages.add(loss=losses)
            return averages.read()

        self.velocity.train()
        history = run_epochs(options.epochs, train, progress)
        self.velocity.eval()
        return history

    def losses(self, rows: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        """[B] squared errors of the velocity of standardised rows [B,d], mean over dimensions."""
        z = torch.randn(rows.shape, generator=rng).to(rows)
        t, drop = torch.rand(2, len(rows), generator=rng).to(rows)
        condition = self.velocity.condition(TIME * t, labels, drop < self.options.class_drop)
        found = self.velocity(torch.lerp(z, rows, t[:, None]), None, condition)
        return (found - (rows - z)).square().mean(1)

    def _augment(self, representations, labels, *, rng):
        return self.sample(representations.shape[1], labels, rng), labels.clone()

    def sample(self, width: int, labels: Tensor, rng: torch.Generator) -> Tensor:
        """[Q, width] rows of the label sets [Q,R]."""
        self.velocity.eval()
        x = torch.randn((len(labels), width), generator=rng).to(labels)
        for step in range(self.options.steps):
            t = x.new_full((len(x),), TIME * step / self.options.steps)
            velocity = self.velocity(x, None, self.velocity.condition(t, labels))
            if self.options.guidance:
                nothing = torch.ones_like(t, dtype=torch.bool)
                free = self.velocity(x, None, self.velocity.condition(t, labels, nothing))
                velocity = (1 + self.options.guidance) * velocity - self.options.guidance * free
            x = x + velocity / self.options.steps
        return self.scale.inverse(x)


@AUGMENTERS.register("latent_flow")
class LatentFlow(Flow):
    """`vaediff` with the rectified flow of `flow` in place of its diffusion: the flow works on the
    latents of the EP-VAE of `vae`, which is trained first.

    The flow learns a sample of each training pair's posterior; generated latents are decoded.
    """

    class Options(Flow.Options):
        latent: Whole = 384
        vae_epochs: Whole = 100  # of the EP-VAE; all else as in `vae`

    check_options = Flow.check_options | {"latent": 6, "vae_epochs": 3}

    def _build(self, width, classes):
        super()._build(self.options.latent, classes)
        latent, epochs = self.options.latent, self.options.vae_epochs
        warmup = min(Vae.Options().warmup_epochs, epochs - 1)
        self._of_vae = Vae(latent=latent, epochs=epochs, warmup_epochs=warmup)
        self._of_vae._build(width, classes)
        self.vae = self._of_vae.vae

    def _fit(self, representations, labels, *, rng, held_out, progress):
        given = {"rng": rng, "held_out": held_out, "progress": progress}
        history = self._of_vae._fit(representations, labels, **given)
        with torch.no_grad():
            latents = sample_posterior(*posteriors(self.vae, representations), rng)
        return history + self.descend(latents, labels, rng, progress)

    def _augment(self, representations, labels, *, rng):
        latents = self.sample(self.options.latent, labels, rng)
        return self.vae.decode(latents)[0], labels.clone()


class Standardised(nn.Module):
    """Mean 0 and deviation 1 in every dimension; a constant one is only moved."""

    def __init__(self, width: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))

    def fit(self, rows: Tensor) -> None:
        deviation = rows.std(0, correction=0)
        self.mean = rows.mean(0)
        self.deviation = torch.where(deviation > 1e-6, deviation, 1.0)

    def forward(self, rows: Tensor) -> Tensor:
        return (rows - self.mean) / self.deviation

    def inverse(self, rows: Tensor) -> Tensor:
        return rows * self.deviation + self.mean
