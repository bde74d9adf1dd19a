"""The Gaussian diffusion process on latents: appendix A.2 of the paper, Eq. (12)-(14), and the loop of Algorithm 1, lines 8-28.

T steps, cosine noise schedule (Nichol and Dhariwal, 2021), a network that predicts x0. Times are 0-based: t = 0..T-1 stand for the
paper's 1..T. Schedules are float64 and are cast where they meet the data.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

Predict = Callable[[Tensor, int, Tensor | None], Tensor]  # (x_t, t, earlier estimate of x0 or None) -> guided estimate of x0


def cosine_betas(steps: int) -> Tensor:
    """beta_t [T] of the cosine schedule, at most 0.999."""
    times = torch.arange(steps + 1, dtype=torch.float64) / steps
    kept = torch.cos((times + 0.008) / 1.008 * math.pi / 2).square()
    return (1 - kept[1:] / kept[:-1]).clamp(max=0.999)


class Diffusion(nn.Module):
    """The forward process q, its posterior, and ancestral sampling.

    Args:
        steps: T.
        variance: of a sampling step: "beta" (beta_t) or "posterior" (that of q(x_{t-1} | x_t, x0)).
    """

    def __init__(self, steps: int, *, variance: str):
        super().__init__()
        betas = cosine_betas(steps)
        alphas_cumprod = torch.cumprod(1 - betas, 0)
        before = torch.cat([torch.ones(1, dtype=torch.float64), alphas_cumprod[:-1]])
        self.steps = steps

        def keep(name: str, values: Tensor) -> None:
            self.register_buffer(name, values, persistent=False)  # follows from T

        keep("betas", betas)
        keep("alphas_cumprod", alphas_cumprod)
        # q(x_{t-1} | x_t, x0) = N(coef1 x0 + coef2 x_t, posterior_variance), Eq. (14)
        keep("posterior_mean_coef1", betas * before.sqrt() / (1 - alphas_cumprod))
        keep("posterior_mean_coef2", (1 - before) * (1 - betas).sqrt() / (1 - alphas_cumprod))
        keep("posterior_variance", betas * (1 - before) / (1 - alphas_cumprod))
        keep("deviation", (betas if variance == "beta" else self.posterior_variance).sqrt())

    def q_sample(self, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """Eq. (13): x_t [B,z] for x0 [B,z], t [B]."""
        kept = self.alphas_cumprod[t, None]
        return kept.sqrt().to(x0.dtype) * x0 + (1 - kept).sqrt().to(x0.dtype) * noise

    def q_posterior(self, x0: Tensor, xt: Tensor, t: Tensor | int) -> tuple[Tensor, Tensor]:
        """Mean [B,z] and variance ([B,1] or a scalar) of q(x_{t-1} | x_t, x0), for t [B] or one number for all rows."""
        at = (t, None) if isinstance(t, Tensor) else t
        mean = self.posterior_mean_coef1[at].to(x0.dtype) * x0 + self.posterior_mean_coef2[at].to(x0.dtype) * xt
        return mean, self.posterior_variance[at].to(x0.dtype)

    def sample(self, predict: Predict, shape: tuple[int, int], rng: torch.Generator) -> Tensor:
        """Algorithm 1, lines 8-28: x0 [B,z] from noise. Self-conditioning hands `predict` its own estimate of the step before."""
        draw = lambda: torch.randn(shape, generator=rng).to(self.betas.device)  # noqa: E731
        x, estimate = draw(), None
        for t in reversed(range(self.steps)):
            estimate = predict(x, t, estimate)
            x, _ = self.q_posterior(estimate, x, t)
            if t > 0:
                x = x + self.deviation[t].to(x.dtype) * draw()
        return x


def guide(conditional: Tensor, unconditional: Tensor, weight: float, form: str) -> Tensor:
    """Classifier-free guidance: Eq. (6) as printed, (1-w) c + w u ("paper"), or (1+w) c - w u ("cfg", the official code)."""
    return torch.lerp(conditional, unconditional, weight if form == "paper" else -weight)
