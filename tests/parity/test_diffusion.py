"""The diffusion process against values of the official implementation (cosine schedule, T = 50)."""

import pytest
import torch
from parity_files import read

from augmenters.vaediff.diffusion import Diffusion

EXACT = {"rtol": 1e-12, "atol": 1e-15}
SINGLE = {"rtol": 2e-7, "atol": 2e-7}  # the official code casts its coefficients to float32
PROCESS = Diffusion(50, variance="beta")
SCHEDULE = ("betas", "alphas_cumprod", "posterior_variance", "posterior_mean_coef1")


@pytest.fixture(scope="module")
def official():
    stored = read("diffusion_cosine_T50")
    return {name: torch.from_numpy(value) for name, value in stored.items()}


@pytest.mark.parametrize("name", [*SCHEDULE, "posterior_mean_coef2"])
def test_schedule(official, name):
    torch.testing.assert_close(getattr(PROCESS, name), official[name], **EXACT)


def test_q_sample(official):
    xt = PROCESS.q_sample(official["x0"], official["t"], official["eps"])
    torch.testing.assert_close(xt, official["xt"], **SINGLE)


def test_posterior(official):
    for row, t in enumerate(official["t"].tolist()):
        mean, variance = PROCESS.q_posterior(official["x0"][row], official["xt"][row], t)
        torch.testing.assert_close(mean, official["posterior_mean"][row], **SINGLE)
        expected = official["posterior_var"][row]
        torch.testing.assert_close(torch.full_like(expected, variance), expected, **SINGLE)
