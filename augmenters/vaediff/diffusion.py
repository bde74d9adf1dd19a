"""The Gaussian diffusion process on latents: appendix A.2, Eq. (12) to Eq. (14), and the loop of
Algorithm 1, lines 8-28.

T steps, cosine noise schedule (Nichol and Dhariwal, 2021), a network that predicts x0 (official
code: improved_diffusion/gaussian_diffusion.py). Times are 0-based: t = 0..T-1 stand for the paper's
1..T. Schedules are float64 on the CPU, where times are drawn; a step of sampling reads plain
numbers from them and costs no transfer.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

# (x_t, t, earlier estimate of x0 or None) -> guided estimate of x0
Predict = Callable[[Tensor, int, Tensor | None], Tensor]


def cosine_betas(steps: int) -> Tensor:
    """beta_t [T] of the cosine schedule, at most 0.999."""
    times = torch.arange(steps + 1, dtype=torch.float64) / steps
    kept = torch.cos((times + 0.008) / 1.008 * math.pi / 2).square()
    return (1 - kept[1:] / kept[:-1]).clamp(max=0.999)


class Diffusion:
    """The forward process q, its posterior, and ancestral sampling.

    Args:
        steps: T.
        variance: of a sampling step: "beta" (beta_t) or "posterior" (that of q(x_{t-1} | x_t, x0)).
    """

    def __init__(self, steps: int, *, variance: str):
        self.steps = steps
        self.betas = cosine_betas(steps)
        self.alphas_cumprod = torch.cumprod(1 - self.betas, 0)
        before = torch.cat([torch.ones(1, dtype=torch.float64), self.alphas_cumprod[:-1]])
        # q(x_{t-1} | x_t, x0) = N(coef1 x0 + coef2 x_t, posterior_variance), Eq. (14)
        gone = 1 - self.alphas_cumprod
        self.posterior_mean_coef1 = self.betas * before.sqrt() / gone
        self.posterior_mean_coef2 = (1 - before) * (1 - self.betas).sqrt() / gone
        self.posterior_variance = self.betas * (1 - before) / gone
        self.deviation = (self.betas if variance == "beta" else self.posterior_variance).sqrt()

    def q_sample(self, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """Eq. (13): x_t [B,z] for x0 [B,z], t [B] on the CPU."""
        kept = self.alphas_cumprod[t, None]
        signal, spread = kept.sqrt().to(x0.dtype), (1 - kept).sqrt().to(x0.dtype)
        return signal.to(x0.device) * x0 + spread.to(x0.device) * noise

    def q_posterior(self, x0: Tensor, xt: Tensor, t: int) -> tuple[Tensor, float]:
        """Mean [B,z] and variance of q(x_{t-1} | x_t, x0)."""
        mean = self.posterior_mean_coef1[t].item() * x0 + self.posterior_mean_coef2[t].item() * xt
        return mean, self.posterior_variance[t].item()

    def sample(self, predict: Predict, draw: Callable[[], Tensor]) -> Tensor:
        """Algorithm 1, lines 8-28: x0 [B,z] from standard normal noise, of which every `draw()`
        gives a fresh [B,z]. `predict` is handed its own estimate of the step before.
        """
        x, estimate = draw(), None
        for t in reversed(range(self.steps)):
            estimate = predict(x, t, estimate)
            x, _ = self.q_posterior(estimate, x, t)  # Algorithm 1, lines 23-26
            if t > 0:
                x = x + self.deviation[t].item() * draw()
        return x


def guide(conditional: Tensor, unconditional: Tensor, weight: float, form: str) -> Tensor:
    """Classifier-free guidance: Eq. (6) as printed, (1-w) c + w u ("paper"), or (1+w) c - w u
    ("cfg", the official code).
    """
    return torch.lerp(conditional, unconditional, weight if form == "paper" else -weight)
