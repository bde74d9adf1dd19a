"""What fitted augmenters tell of themselves: by hand, on a VAE and a prior whose numbers are
known.
"""

import math

import pytest
import torch
from tensors import mixture, rng

from augmenters.base import AugmenterError
from augmenters.diagnosis import Diagnosed
from augmenters.vaediff.prior import DiffusionPrior
from augmenters.vaediff.vae import Vae
from augmenters.vaediff.vaediff import VaeDiff

SETS = torch.eye(4)[1:]
PAIRS, _ = mixture(60, SETS)


class Linear:
    """An "EP-VAE" on two dimensions that keeps the first, with a posterior deviation of 0.5, and
    forgets the second.
    """

    def encode(self, rows):
        mean = torch.stack([rows[:, 0], torch.zeros(len(rows))], 1)
        return mean, torch.full_like(mean, 2 * math.log(0.5))

    def decode(self, latents):
        return torch.cat([latents[:, :1], torch.zeros(len(latents), 1)], 1), None


def test_reconstruction_and_active_units_by_hand():
    rows = torch.tensor([[1.0, 2.0], [-1.0, 4.0]]).repeat(2000, 1)
    augmenter = Vae()
    augmenter.vae, augmenter.fitted_shape = Linear(), (2, 2)
    found = augmenter.diagnose(rows, torch.eye(2)[[1]].repeat(4000, 1), rng=rng())
    assert found["reconstruction_mse"] == pytest.approx((0 + (4 + 16) / 2) / 2)
    assert found["sampled_mse"] == pytest.approx((0.25 + (4 + 16) / 2) / 2, rel=0.01)
    assert (found["active_units"], found["latent_units"]) == (1, 2)


def test_prior_error_of_a_perfect_and_of_the_gaussian_denoiser(monkeypatch):
    """The yardstick's closed form is the mean error of sqrt(kept) x_t; a denoiser that knows x0
    makes none.
    """
    options = dict(latent=3, width=4, depth=1, steps=20, self_condition=0.0)
    prior = DiffusionPrior(4, VaeDiff.Options.of(options))
    latents = 1.5 * torch.randn(4000, 3, generator=rng(1))
    labels = torch.eye(4)[torch.arange(4000) % 3 + 1]
    kept = prior.diffusion.alphas_cumprod.float()
    times = []
    denoise = lambda xt, estimate, condition: kept[times[-1], None].sqrt() * xt
    monkeypatch.setattr(prior.denoiser, "condition", lambda t, *_: times.append(t))
    monkeypatch.setattr(prior.denoiser, "forward", denoise)
    found = prior.diagnose(latents, labels, rng(2))
    assert found["prior_error"] == pytest.approx(found["prior_error_gaussian"], rel=0.05)
    assert found["prior_error_wrong_class"] == found["prior_error"]  # it never looks at the class


def test_a_trained_prior_beats_the_gaussian_and_knows_the_class():
    (rows, labels), _ = mixture(300, SETS)
    options = dict(latent=4, hidden=16, width=16, depth=1, steps=8, epochs=40, warmup_epochs=10)
    model = VaeDiff(**options, batch_size=64, lr=1e-2, lr_prior=5e-3)
    model.fit(rows, labels, rng=rng(3))
    found = model.diagnose(*mixture(100, SETS, seed=7)[0], rng=rng(4))
    for yardstick in ("gaussian", "wrong_class"):
        assert found["prior_error"] < 0.7 * found[f"prior_error_{yardstick}"]
    assert found["reconstruction_mse"] < 0.5 * float(rows.var(0).mean())
    assert found["kl"] > 0


def test_the_contract_is_checked():
    rows, labels = PAIRS
    with pytest.raises(AugmenterError, match="not fitted yet"):
        VaeDiff().diagnose(rows, labels, rng=rng())
    fitted = Vae(**Vae.check_options)
    fitted.fit(rows, labels, rng=rng())
    with pytest.raises(AugmenterError, match="9 wide, expected 10"):
        fitted.diagnose(rows[:, 1:], labels, rng=rng())
    assert fitted.diagnose(rows[:0], labels[:0], rng=rng()) == {}


@pytest.mark.parametrize("value", [torch.tensor(1.0), float("nan"), "good"])
def test_values_are_finite_plain_numbers(value):
    class Odd(Diagnosed):
        def _diagnose(self, representations, labels, *, rng):
            return {"value": value}

    with pytest.raises(AugmenterError, match="finite plain numbers"):
        Odd().diagnose(*PAIRS, rng=rng())
