"""The diffusion prior p_psi(z) of section 2.2.2: Eq. (5) with self-conditioning and class
conditioning, Eq. (6), Algorithm 1 (official code: Stage_2/trainer.py and utils.py).

It works on standardised latents: the official code has no scaling, but the noise schedule assumes
unit variance.

Suffixes: B rows, U distinct label sets, z latent size, R classes.
"""

import torch
from torch import Tensor, nn

from augmenters.base import Progress, silent
from augmenters.vaediff.denoiser import Denoiser
from augmenters.vaediff.diffusion import Diffusion, guide
from benchmark.options import OptionModel

CHUNK = 2048  # rows sampled at a time
FEW = 256  # rows diagnosed at a time: self-conditioning is drawn once for all of them
DENOISER = ("width", "depth", "dropout", "label_embedding", "null_class", "attention")


class DiffusionPrior(nn.Module):
    """Latents of a requested label set, by `VaeDiff.Options`. Holds the averaged (EMA) denoiser,
    which samples; the one in training lives in its loop.
    """

    def __init__(self, classes: int, options: OptionModel):
        super().__init__()
        latent, self.options = options.latent, options
        network = options.only(*DENOISER)
        self.denoiser = Denoiser(latent, classes, **network).requires_grad_(False).eval()
        self.diffusion = Diffusion(options.steps, variance=options.variance)
        self.register_buffer("latent_mean", torch.zeros(latent))
        self.register_buffer("latent_scale", torch.ones(latent))

    def set_scale(self, mean: Tensor, log_variance: Tensor) -> None:
        """Freeze the per-dimension mean and scale of the training pairs' posterior means, given
        their posteriors [N,z], [N,z].

        A dimension whose means vary less than the posterior's own deviation carries no information;
        it takes the latter as its scale, so that its noise is not blown up.
        """
        self.latent_mean.copy_(mean.mean(0))
        own = log_variance.exp().mean(0).sqrt()
        self.latent_scale.copy_(torch.maximum(mean.std(0, correction=0), own))

    def standardise(self, latents: Tensor) -> Tensor:
        return (latents - self.latent_mean) / self.latent_scale

    def errors(
        self,
        denoiser: Denoiser,
        x0: Tensor,
        labels: Tensor,
        rng: torch.Generator,
        *,
        drop: bool = False,
    ) -> Tensor:
        """Eq. (5) per row [B]: the squared error of `denoiser` on standardised latents x0 [B,z],
        summed over z, at random times.

        With probability `self_condition`, for the whole batch, the network first makes an estimate
        without gradient and is then given it. With `drop`, rows lose their class with probability
        `class_drop`, independently in the two passes, as in the official code: when sampling, the
        unconditional pass too is given an estimate that has seen the class.
        """
        t = torch.randint(self.diffusion.steps, (len(x0),), generator=rng)
        xt = self.diffusion.q_sample(x0, t, torch.randn(x0.shape, generator=rng).to(x0))
        t = t.to(x0.device)
        condition = lambda: denoiser.condition(t, labels, self._drop(labels, rng) if drop else None)
        estimate = None
        if torch.rand((), generator=rng) < self.options.self_condition:
            with torch.no_grad():
                estimate = denoiser(xt, None, condition())
        return (denoiser(xt, estimate, condition()) - x0).square().sum(-1)

    @torch.no_grad()
    def diagnose(self, latents: Tensor, labels: Tensor, rng: torch.Generator) -> dict[str, float]:
        """Mean of Eq. (5) per dimension on held-out latents [N,z] with label sets [N,R], and two
        yardsticks. prior_error_gaussian: the error of sqrt(kept) x_t, the best denoiser of standard
        normal latents, in closed form: over the noise, (1 - kept)^2 x0^2 + kept (1 - kept).
        prior_error_wrong_class: the same times and noise, other pairs' label sets.
        """
        x0 = self.standardise(latents)
        other = labels[torch.randperm(len(labels), generator=rng).to(labels.device)]
        seed = int(torch.randint(2**63 - 1, (), generator=rng))

        def error(label_sets: Tensor) -> float:
            noise = torch.Generator().manual_seed(seed)
            parts = zip(x0.split(FEW), label_sets.split(FEW), strict=True)
            errors = torch.cat([self.errors(self.denoiser, *part, noise) for part in parts])
            return float(errors.mean()) / x0.shape[1]

        kept = self.diffusion.alphas_cumprod
        size = float(x0.square().mean())
        gaussian = (1 - kept).square().mean() * size + (kept * (1 - kept)).mean()
        return dict(
            prior_error=error(labels),
            prior_error_gaussian=float(gaussian),
            prior_error_wrong_class=error(other),
        )

    def _drop(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Which rows [B] lose their class."""
        count = len(labels) if self.options.class_drop_per == "sample" else 1
        dropped = torch.rand(count, generator=rng) < self.options.class_drop
        return dropped.expand(len(labels)).to(labels.device)

    def sample(
        self, label_sets: Tensor, ids: Tensor, rng: torch.Generator, progress: Progress = silent
    ) -> Tensor:
        """Latents [B,z] for the label sets [U,R] that `ids` [B] points at (both on the CPU).

        Rows of one label set share its conditioning: sorted ids cost least.
        """
        device, done = self.latent_mean.device, 0
        parts = [self.latent_mean.new_empty(0, len(self.latent_mean))]
        for part in ids.split(CHUNK):
            used, index = part.unique(return_inverse=True)
            parts.append(self._sample(label_sets[used].float().to(device), index.to(device), rng))
            done += len(part)
            progress(done, len(ids))
        return torch.cat(parts) * self.latent_scale + self.latent_mean

    @torch.no_grad()
    def _sample(self, labels: Tensor, index: Tensor, rng: torch.Generator) -> Tensor:
        """Algorithm 1, lines 8-28, on standardised latents: rows [B] point at label sets [K,R]."""
        kinds, rows, guided = len(labels), len(index), self.options.guidance != 0
        if guided:  # one more condition, without class: both estimates come out of one call
            labels = torch.cat([labels, torch.zeros_like(labels[:1])])
            index = torch.cat([index, torch.full_like(index, kinds)])
        dropped = torch.arange(len(labels), device=labels.device) == kinds

        def predict(x: Tensor, t: int, estimate: Tensor | None) -> Tensor:
            times = torch.full((len(labels),), t, device=x.device)
            condition = self.denoiser.condition(times, labels, dropped)
            if self.options.self_condition == 0:
                estimate = None  # the network was never trained on estimates
            if not guided:
                return self.denoiser(x, estimate, condition, index)
            twice = None if estimate is None else estimate.repeat(2, 1)  # Algorithm 1, lines 11-18
            both = self.denoiser(x.repeat(2, 1), twice, condition, index)
            # Algorithm 1, lines 20-21
            return guide(*both.chunk(2), self.options.guidance, self.options.guidance_form)

        self.denoiser.eval()  # no dropout (the official stage 3 leaves it on)
        draw = lambda: torch.randn(rows, len(self.latent_mean), generator=rng).to(labels.device)
        return self.diffusion.sample(predict, draw)


def ema_decay(update: int, decay: float) -> float:
    """Decay of the average's n-th update, n = 1, 2, ...

    0 for the first eleven, then a warm-up 1 - (1+k)^(-2/3) towards `decay`, as in the official
    code's library with its delay of 10.
    """
    k = max(update - 11, 0)
    return min(1 - (1 + k) ** (-2 / 3), decay)


@torch.no_grad()
def update_average(average: nn.Module, online: nn.Module, decay: float) -> None:
    """average <- decay * average + (1 - decay) * online."""
    for kept, new in zip(average.parameters(), online.parameters(), strict=True):
        kept.lerp_(new, 1 - decay)
