import math

import pytest
import torch
from tensors import rng
from torch.distributions import Normal, kl_divergence

from augmenters.vaediff.ep_vae import (
    EPVAE,
    entropy,
    kl_to_standard_normal,
    negative_log_likelihood,
    sample_posterior,
)


def make(width=8, latent=4, **options):
    torch.manual_seed(0)
    defaults = {"norm": "rmsnorm", "reconstruction": "gaussian", "hidden": None}
    return EPVAE(width, latent, **defaults | options)


def test_layers_are_those_of_the_official_code():
    """RMSNorm, Linear, LeakyReLU, Linear, RMSNorm, LeakyReLU, Linear, and back: Linear, LeakyReLU,
    RMSNorm, twice, and Linear to mean and log-variance.
    """
    vae = make().double()
    for parameter in vae.parameters():
        torch.nn.init.normal_(parameter)
    weights = vae.state_dict()
    linear = lambda name, x: x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]
    rms = lambda name, x: x / x.square().mean(1, keepdim=True).sqrt() * weights[f"{name}.weight"]
    leaky = lambda x: torch.where(x > 0, x, 0.2 * x)
    x, z = torch.randn(3, 8, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64)
    hidden = leaky(linear("project.1", rms("project.0", x)))
    hidden = leaky(rms("project.4", linear("project.3", hidden)))
    projected = linear("project.6", hidden)
    expected = linear("mean", projected), linear("log_variance", projected).clamp(-5, 5)
    torch.testing.assert_close(vae.encode(x), expected)
    hidden = rms("decoder.2", leaky(linear("decoder.0", z)))
    hidden = rms("decoder.5", leaky(linear("decoder.3", hidden)))
    mean, log_variance = linear("decoder.6", hidden).split(8, 1)
    torch.testing.assert_close(vae.decode(z), (mean, log_variance.clamp(-5, 5)))


def draws(*shape):
    return torch.randn(shape, generator=rng()).unbind()


@pytest.mark.parametrize(("width", "parameters"), [(768, 963_264), (1024, 1_415_040)])
def test_official_parameter_count(width, parameters):
    assert sum(p.numel() for p in make(width, 384).parameters()) == parameters


def test_losses_agree_with_torch_distributions():
    x, mean, log_variance = draws(3, 5, 6)
    normal = Normal(mean, (0.5 * log_variance).exp())
    found = negative_log_likelihood(x, mean, log_variance)
    torch.testing.assert_close(found, -normal.log_prob(x).sum(-1))
    found = kl_to_standard_normal(mean, log_variance)
    torch.testing.assert_close(found, kl_divergence(normal, Normal(0.0, 1.0)).sum(-1))
    torch.testing.assert_close(entropy(log_variance), normal.entropy().sum(-1))


def test_fixed_variance_is_the_likelihood_of_variance_one_up_to_a_constant():
    x, mean = draws(2, 4, 3)
    full = negative_log_likelihood(x, mean, torch.zeros_like(mean))
    constant = torch.full((4,), 1.5 * math.log(2 * math.pi))
    torch.testing.assert_close(full - negative_log_likelihood(x, mean, None), constant)


def test_log_variances_are_clamped_and_means_are_not():
    vae = make()
    with torch.no_grad():
        vae.mean.bias.fill_(50.0)
        vae.log_variance.bias.fill_(50.0)
        vae.decoder[-1].bias.fill_(-50.0)
        mean, log_variance = vae.encode(torch.randn(3, 8))
        row, row_log_variance = vae.decode(mean)
    assert (log_variance == 5).all() and (mean > 40).all()
    assert (row_log_variance == -5).all() and (row < -40).all()


def test_reparameterisation_passes_the_gradient():
    mean, log_variance = (torch.zeros(1, 3, requires_grad=True) for _ in range(2))
    noise = torch.randn(1, 3, generator=rng(4))
    sample_posterior(mean, log_variance, rng(4)).sum().backward()
    torch.testing.assert_close(mean.grad, torch.ones(1, 3))
    torch.testing.assert_close(log_variance.grad, 0.5 * noise)  # d exp(l/2) e / dl at l = 0


def test_means_are_clamped_where_asked_for():
    free, clamped = make(6, hidden=8), make(6, hidden=8, clamp_means=True)
    with torch.no_grad():
        free.mean.bias.fill_(40.0)
        free.decoder[-1].bias.fill_(9.0)
    clamped.load_state_dict(free.state_dict())
    x = torch.randn(3, 6)
    assert free.encode(x)[0].min() > 5 and clamped.encode(x)[0].eq(5).all()
    z = torch.randn(3, 4)
    mean, log_variance = clamped.decode(z)
    assert torch.equal(mean, free.decode(z)[0])  # what is generated is not clamped
    expected = negative_log_likelihood(x, mean.clamp(-5, 5), log_variance)
    assert torch.equal(clamped.reconstruction_error(x, z), expected)
    assert not torch.equal(free.reconstruction_error(x, z), expected)
