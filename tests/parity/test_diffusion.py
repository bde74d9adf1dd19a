"""The diffusion process against values of the official implementation (cosine schedule, T = 50)."""

from pathlib import Path

import numpy as np
import pytest
import torch

from augmenters.vaediff.diffusion import Diffusion

STORED = Path(__file__).parent / "data" / "diffusion_cosine_T50.npz"
EXACT = {"rtol": 1e-12, "atol": 1e-15}
SINGLE = {"rtol": 2e-7, "atol": 2e-7}  # the official code casts its coefficients to float32


PROCESS = Diffusion(50, variance="beta")
SCHEDULE = ("betas", "alphas_cumprod", "posterior_variance", "posterior_mean_coef1")


@pytest.fixture(scope="module")
def official():
    return {name: torch.from_numpy(value) for name, value in np.load(STORED).items()}


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


def test_values_given_by_the_reference_analysis():
    # beta_1 = 0.00175, last four 0.436, 0.555, 0.750, 0.999; c1, c2 = 0.031, 0.032 at t = 49 and 1,
    # 0 at t = 0
    assert PROCESS.betas[0].item() == pytest.approx(0.00175, abs=5e-6)
    assert PROCESS.betas[-4:].tolist() == pytest.approx([0.436, 0.555, 0.750, 0.999], abs=5e-4)
    assert PROCESS.posterior_mean_coef1[[49, 0]].tolist() == pytest.approx([0.031, 1], abs=5e-4)
    assert PROCESS.posterior_mean_coef2[[49, 0]].tolist() == pytest.approx([0.032, 0], abs=5e-4)
