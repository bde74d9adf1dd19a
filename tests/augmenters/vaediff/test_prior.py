import copy

import pytest
import torch
from tensors import rng, spy

from augmenters.vaediff.diffusion import guide
from augmenters.vaediff.prior import DiffusionPrior, ema_decay
from augmenters.vaediff.vaediff import VaeDiff

SETS, IDS = torch.eye(5)[1:4].bool(), torch.tensor([0, 0, 1, 2])


def make(**options):
    torch.manual_seed(0)
    small = {"latent": 4, "width": 16, "depth": 1, "dropout": 0.0}
    prior = DiffusionPrior(5, VaeDiff.Options.of(small | options))
    # so that the class matters before any training
    torch.nn.init.normal_(prior.denoiser.condition_layers.weight, std=0.3)
    return prior


def calls_of(denoiser, monkeypatch, method):
    """(arguments, result) of every call to a method of a denoiser."""
    calls = []
    spy(monkeypatch, denoiser, method, lambda found, *given: calls.append((given, found)))
    return calls


def test_every_one_of_the_50_steps_sees_the_class(monkeypatch):
    # the official sampler shows it to the first step alone (reference analysis, section 0, item 3)
    prior = make()
    calls = calls_of(prior.denoiser, monkeypatch, "condition")
    prior.sample(SETS, IDS, rng())
    assert [t.unique().tolist() for (t, *_), _ in calls] == [[t] for t in reversed(range(50))]
    for (_, labels, dropped), _ in calls:
        assert torch.equal(labels[:3], SETS.float())
        assert dropped.tolist() == [False, False, False, True]


def test_estimates_of_a_step_are_guided_and_shared_by_both_passes(monkeypatch):
    prior = make(steps=3, guidance=0.3)
    calls = calls_of(prior.denoiser, monkeypatch, "forward")
    prior.sample(SETS, IDS, rng())
    assert calls[0][0][1] is None
    for ((x, estimate, _, index), _), (_, output) in zip(calls[1:], calls[:-1], strict=True):
        expected = guide(*output.chunk(2), 0.3, "paper")
        torch.testing.assert_close(estimate, expected.repeat(2, 1))
        torch.testing.assert_close(x[:4], x[4:])
        assert index.tolist() == [0, 0, 1, 2, 3, 3, 3, 3]


@pytest.mark.parametrize("form", ["paper", "cfg"])
@pytest.mark.parametrize("variance", ["beta", "posterior"])
def test_algorithm_1_line_by_line(form, variance):
    """Each row by itself, each estimate by a call of its own; the posterior as in Eq. (14)."""
    prior = make(steps=5, guidance=0.3, guidance_form=form, variance=variance).double()
    draws, noise = rng(5), lambda: torch.randn(4, 4, generator=draws).double()
    betas, denoiser = prior.diffusion.betas.tolist(), prior.denoiser
    kept = [1.0]
    for beta in betas:
        kept.append(kept[-1] * (1 - beta))
    z, estimates = noise(), [None] * 4
    for t in range(5, 0, -1):  # counted as in the paper
        for row, labels in enumerate(SETS[IDS].double()):
            both = []
            for drop in (False, True):
                given = torch.tensor([t - 1]), labels[None], torch.tensor([drop])
                condition = denoiser.condition(*given)
                both.append(denoiser(z[row][None], estimates[row], condition))
            w = {"paper": 0.3, "cfg": -0.3}[form]
            estimates[row] = (1 - w) * both[0] + w * both[1]
        beta, now, before = betas[t - 1], kept[t], kept[t - 1]
        mean = before**0.5 * beta * torch.cat(estimates) + (1 - beta) ** 0.5 * (1 - before) * z
        variances = {"beta": beta, "posterior": beta * (1 - before) / (1 - now)}
        z = mean / (1 - now) + (variances[variance] ** 0.5 * noise() if t > 1 else 0)
    torch.testing.assert_close(prior._sample(SETS.double(), IDS, rng(5)), z)


def test_what_is_not_needed_in_sampling_is_saved(monkeypatch):
    """Without guidance the unconditional pass, without self-conditioning the estimates."""
    prior = make(steps=3, guidance=0.0, self_condition=0.0)
    calls = calls_of(prior.denoiser, monkeypatch, "forward")
    prior.sample(SETS, IDS, rng())
    assert [(len(x), estimate) for (x, estimate, *_), _ in calls] == [(4, None)] * 3


def test_samples_return_to_the_latents_own_scale(monkeypatch):
    prior = make(steps=3)
    prior.latent_mean.fill_(10.0)
    prior.latent_scale.fill_(0.5)
    monkeypatch.setattr(prior.denoiser, "forward", lambda x, *_: torch.ones_like(x))
    torch.testing.assert_close(prior.sample(SETS, IDS, rng()), torch.full((4, 4), 10.5))
    torch.testing.assert_close(prior.standardise(torch.full((1, 4), 10.5)), torch.ones(1, 4))


def test_scale_is_that_of_the_posterior_means():
    prior = make()
    mean = torch.tensor([[0.0, 1.0, -6.0, 2.0], [4.0, 1.0, 6.0, 2.0]])
    prior.set_scale(mean, torch.full((2, 4), 2 * torch.log(torch.tensor(0.5)).item()))
    assert prior.latent_mean.tolist() == [2.0, 1.0, 0.0, 2.0]
    # deviations 2, 0, 6, 0; where the means do not vary, the posterior's own deviation
    torch.testing.assert_close(prior.latent_scale, torch.tensor([2.0, 0.5, 6.0, 0.5]))


def test_errors_are_squared_distances_summed_over_the_latent():
    prior = make(self_condition=0.0)
    x0 = torch.randn(6, 4, generator=rng())
    denoiser = copy.deepcopy(prior.denoiser)
    denoiser.forward = lambda xt, estimate, condition: x0 + 2.0
    errors = prior.errors(denoiser, x0, torch.eye(5)[[1, 2, 3, 1, 2, 3]], rng())
    torch.testing.assert_close(errors, torch.full((6,), 16.0))


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_self_conditioning_makes_a_first_estimate_without_gradient(monkeypatch, probability):
    prior = make(self_condition=probability)
    denoiser = copy.deepcopy(prior.denoiser).requires_grad_(True)
    calls = calls_of(denoiser, monkeypatch, "forward")
    prior.errors(denoiser, torch.randn(3, 4), SETS.float(), rng()).sum().backward()
    estimates = [estimate for (_, estimate, _), _ in calls]
    assert estimates[0] is None and calls[-1][1].requires_grad
    if probability:
        assert not calls[0][1].requires_grad
        assert len(calls) == 2 and estimates[1] is calls[0][1]


def test_self_conditioning_happens_with_its_probability(monkeypatch):
    prior = make(self_condition=0.5)
    calls = calls_of(prior.denoiser, monkeypatch, "forward")
    draws = rng()
    for _ in range(200):
        prior.errors(prior.denoiser, torch.zeros(1, 4), SETS[:1].float(), draws)
    assert 270 < len(calls) < 330


@pytest.mark.parametrize(("per", "possible"), [("sample", None), ("batch", {0, 50})])
def test_class_is_dropped_per_sample_or_per_batch(monkeypatch, per, possible):
    prior = make(class_drop=0.3, class_drop_per=per, self_condition=0.0)
    calls, draws = calls_of(prior.denoiser, monkeypatch, "condition"), rng()
    x0, labels = torch.zeros(50, 4), SETS[:1].float().repeat(50, 1)
    for _ in range(60):
        prior.errors(prior.denoiser, x0, labels, draws, drop=True)
    dropped = [int(arguments[2].sum()) for arguments, _ in calls]
    assert sum(dropped) / (60 * 50) == pytest.approx(0.3, abs=0.15 if possible else 0.03)
    assert set(dropped) <= possible if possible else len(set(dropped)) > 5


def test_sampling_is_reproducible_and_chunks_do_not_repeat(monkeypatch):
    monkeypatch.setattr("augmenters.vaediff.prior.CHUNK", 3)
    prior, done = make(steps=4), []
    ids = torch.zeros(8, dtype=torch.long)
    first = prior.sample(SETS, ids, rng(), lambda *call: done.append(call))
    assert torch.equal(first, prior.sample(SETS, ids, rng()))
    assert len(first.unique(dim=0)) == 8
    assert done == [(3, 8), (6, 8), (8, 8)]
    assert prior.sample(SETS, ids[:0], rng()).shape == (0, 4)


def test_ema_decay_warms_up():
    assert [ema_decay(n, 0.995) for n in (1, 10, 11)] == [0, 0, 0]
    assert ema_decay(12, 0.995) == pytest.approx(1 - 2 ** (-2 / 3))
    # reached after about 2,800 updates
    assert ema_decay(2830, 0.995) < 0.995 and ema_decay(2850, 0.995) == 0.995
    assert ema_decay(10_000, 0.0) == 0.0
