import pytest
import torch
from tensors import rng

from augmenters.vaediff.diffusion import Diffusion, guide

T = 20


def draws(*shape):
    generator = rng()
    return lambda: torch.randn(shape, generator=generator)


def test_ideal_denoiser_samples_the_data_distribution():
    # data N(3, 0.25): the ideal estimate of x0 is the mean of p(x0 | x_t), also Gaussian
    process, mean, var = Diffusion(50, variance="posterior"), 3.0, 0.25

    def predict(x, t, estimate):
        kept = process.alphas_cumprod[t].float()
        return mean + var * kept.sqrt() / (kept * var + 1 - kept) * (x - kept.sqrt() * mean)

    x = process.sample(predict, draws(20_000, 1))
    assert x.mean().item() == pytest.approx(mean, abs=0.02)
    assert x.std().item() == pytest.approx(0.5, abs=0.03)


def test_step_noise_has_the_chosen_variance():
    # with an estimate of 0 and T = 2: x after the first step is c2 x_T + sigma noise, and the
    # network sees it at t = 0
    for variance in ("beta", "posterior"):
        process, seen = Diffusion(2, variance=variance), {}

        def predict(x, t, estimate, seen=seen):
            seen[t] = x
            return torch.zeros_like(x)

        process.sample(predict, draws(50_000, 1))
        noise = seen[0] - process.posterior_mean_coef2[1].float() * seen[1]
        expected = process.betas[1] if variance == "beta" else process.posterior_variance[1]
        assert noise.var().item() == pytest.approx(expected.item(), rel=0.03)


@pytest.mark.parametrize(
    ("form", "expected"), [("paper", 0.9 * 2 + 0.1 * 1), ("cfg", 1.1 * 2 - 0.1 * 1)]
)
def test_guidance_formulas(form, expected):
    found = guide(torch.tensor([2.0]), torch.tensor([1.0]), 0.1, form)
    assert found.item() == pytest.approx(expected)
