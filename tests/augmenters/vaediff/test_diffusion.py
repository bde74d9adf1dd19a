import pytest
import torch
from tensors import rng

from augmenters.vaediff.diffusion import Diffusion, guide

T = 20


def draws(*shape):
    generator = rng()
    return lambda: torch.randn(shape, generator=generator)


def test_posterior_is_bayes_rule():
    # q(x_{t-1} | x_t, x0) is proportional to q(x_t | x_{t-1}) q(x_{t-1} | x0): precisions add,
    # means are weighted by them
    process = Diffusion(T, variance="beta")
    x0, xt, t = torch.tensor([[1.3]]).double(), torch.tensor([[-0.4]]).double(), 9
    beta, before = process.betas[t], process.alphas_cumprod[t - 1]
    from_x0, from_xt = 1 / (1 - before), (1 - beta) / beta
    mean = (from_x0 * before.sqrt() * x0 + from_xt * xt / (1 - beta).sqrt()) / (from_x0 + from_xt)
    got, variance = process.q_posterior(x0, xt, t)
    torch.testing.assert_close(got, mean)
    assert variance == pytest.approx((1 / (from_x0 + from_xt)).item())


@pytest.mark.parametrize("variance", ["beta", "posterior"])
def test_exact_prediction_recovers_x0(variance):
    x0 = torch.randn(5, 3, generator=rng(1))
    sampled = Diffusion(T, variance=variance).sample(lambda x, t, estimate: x0, draws(5, 3))
    torch.testing.assert_close(sampled, x0, rtol=0, atol=1e-6)


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


def test_every_step_is_given_the_estimate_of_the_step_before():
    calls = []

    def predict(x, t, estimate):
        calls.append((t, None if estimate is None else estimate[0, 0].item()))
        return torch.full_like(x, float(t))

    Diffusion(4, variance="beta").sample(predict, draws(2, 1))
    assert calls == [(3, None), (2, 3.0), (1, 2.0), (0, 1.0)]


@pytest.mark.parametrize(
    ("form", "expected"), [("paper", 0.9 * 2 + 0.1 * 1), ("cfg", 1.1 * 2 - 0.1 * 1)]
)
def test_guidance_formulas(form, expected):
    found = guide(torch.tensor([2.0]), torch.tensor([1.0]), 0.1, form)
    assert found.item() == pytest.approx(expected)
