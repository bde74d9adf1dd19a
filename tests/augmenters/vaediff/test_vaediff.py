import copy
from itertools import product

import pytest
import torch
from tensors import mixture, rng, spy

import augmenters.vaediff.vaediff
from augmenters.base import silent
from augmenters.vaediff.fitting import Descent
from augmenters.vaediff.prior import DiffusionPrior
from augmenters.vaediff.vae import Vae
from augmenters.vaediff.vaediff import VaeDiff
from benchmark.errors import ConfigError

SETS = torch.tensor([[0.0, 1, 0, 0], [0, 0, 1, 0], [0, 1, 1, 0], [0, 0, 0, 1]])


def pairs_of(rows):
    return mixture(rows, SETS)[0]


def fit(pairs, progress=silent, kind=VaeDiff, **options):
    model = kind(**kind.check_options | options)
    return model, model.fit(*pairs, rng=rng(), progress=progress)


def prepared(pairs, **options):
    model, _ = fit(pairs, **options)
    model.prepare(pairs.labels, rng=rng(1))
    return model


def test_the_prior_sets_in_when_the_warm_up_ends_and_freezes_its_scale(monkeypatch):
    frozen, epochs = [], []
    record = lambda _, prior, mean, log_variance: frozen.append((len(epochs), mean.mean(0)))
    spy(monkeypatch, DiffusionPrior, "set_scale", record)
    progress = lambda *done, **numbers: epochs.append(done)
    model, history = fit(pairs_of(40), progress, epochs=5, warmup_epochs=2, lr=1e-2)
    assert ["prior" in epoch for epoch in history] == [False, False, True, True, True]
    ((after, mean),) = frozen
    assert after == 2
    torch.testing.assert_close(model.prior.latent_mean, mean)
    assert {"prior.latent_mean", "prior.latent_scale"} <= set(model.state_dict())


def test_losses_of_one_step_are_eq_9(monkeypatch):
    """One batch of all pairs, one co-trained epoch: loss = reconstruction + kl_weight (error -
    entropy), summed over the latent.
    """
    seen, losses = [], []

    def record(error, prior, denoiser, latents, *_, **options):
        seen.append((options, latents, error.detach().mean().item()))

    spy(monkeypatch, DiffusionPrior, "errors", record)
    spy(monkeypatch, Descent, "step", lambda _, descent, loss: losses.append(loss.item()))
    _, (epoch,) = fit(pairs_of(8), epochs=1, warmup_epochs=0, kl_weight=0.5)
    (vae_options, latents, cross_entropy), (prior_options, detached, error) = seen
    assert vae_options == {} and prior_options == {"drop": True}  # classes: for the prior only
    # the VAE learns from the prior's error, not the other way round
    assert latents.requires_grad and not detached.requires_grad
    assert torch.equal(latents, detached)
    vae_loss = epoch["reconstruction"] + 0.5 * (cross_entropy - epoch["entropy"])
    # a sum over 6 dimensions, a mean over them
    assert losses == pytest.approx([vae_loss, error / 6], rel=1e-5)
    assert [epoch["loss"], epoch["prior"]] == pytest.approx(losses, rel=1e-5)


def test_sampling_uses_the_average_of_the_denoisers(monkeypatch):
    decays, online = [], []

    def record(_, average, denoiser, decay):
        decays.append(decay)
        online.append(copy.deepcopy(denoiser.state_dict()["enter.weight"]))

    spy(monkeypatch, augmenters.vaediff.vaediff, "update_average", record)
    model, _ = fit(pairs_of(40), epochs=5, warmup_epochs=1)
    assert len(decays) == 4 * 5 and decays[10] == 0 and decays[11] == pytest.approx(0.37, abs=0.01)
    average = online[0]
    for decay, weight in zip(decays, online, strict=True):
        average = decay * average + (1 - decay) * weight
    found = model.prior.denoiser.enter.weight
    torch.testing.assert_close(found, average, rtol=1e-4, atol=1e-6)
    assert not torch.equal(found, online[-1])
    without, _ = fit(pairs_of(40), epochs=5, warmup_epochs=1, ema=0.0)
    assert torch.equal(without.prior.denoiser.enter.weight, online[-1])


def test_the_pool_holds_the_draws_of_every_label_set():
    pairs, progress = pairs_of(30), []
    model, _ = fit(pairs, draws=3)
    model.prepare(pairs.labels, rng=rng(1), progress=lambda *done: progress.append(done))
    assert len(model._latents) == 3 * 30 and progress[-1] == (90, 90)
    with torch.no_grad():
        decoded, _ = model.vae.decode(model._latents)
    generated, _ = model.augment(*(part.repeat(4, 1) for part in pairs), rng=rng(2))
    nearest = (generated[:, None] - decoded).abs().amax(2).min(1)
    assert nearest.values.max() < 1e-6
    assert len(generated.unique(dim=0)) > 30  # a pair does not meet the same fakes every time
    of_row = model._pool.sets.sets[model._pool.sets.ids.repeat_interleave(3).sort().values]
    assert torch.equal(of_row[nearest.indices].float(), pairs.labels.repeat(4, 1))


def test_label_sets_outside_the_pool_are_generated_on_the_spot(monkeypatch):
    pairs, asked = pairs_of(30), []
    model, (rows, labels) = prepared(pairs), pairs
    record = lambda _, sets, ids, rng: asked.append(sets[ids])
    spy(monkeypatch, model.prior, "sample", record)
    unseen = torch.tensor([[0.0, 1, 1, 1], [0, 1, 0, 1]])
    model.augment(rows[:4], torch.cat([unseen, labels[:2]]), rng=rng(2))
    assert len(asked) == 1 and torch.equal(asked[0].float(), unseen)


def test_per_step_generation_makes_no_pool():
    pairs = pairs_of(30)
    model = prepared(pairs, generate="per_step")
    assert model._pool is None
    first, again = (model.augment(*pairs, rng=rng(seed))[0] for seed in (2, 3))
    assert not torch.equal(first, again)


SHARED = [{"norm": "batchnorm"}, {"reconstruction": "mse"}, {"lr_cycles": 2, "kl_weight": 1.0}]
OWN = [
    {"label_embedding": "sum", "null_class": "learned"},
    {"attention": "one_token"},
    {"class_drop": 0.2, "class_drop_per": "batch"},
    {"guidance_form": "cfg", "variance": "posterior"},
    {"guidance": 0.0, "self_condition": 0.0},
    {"self_condition": 1.0, "class_drop": 0.0},
    {"warmup_epochs": 0, "ema": 0.0},
]


@pytest.mark.parametrize(
    ("kind", "options"), [*product((Vae, VaeDiff), SHARED), *product((VaeDiff,), OWN)]
)
def test_options_train_and_generate(kind, options):
    pairs = pairs_of(20)
    generated, _ = prepared(pairs, kind=kind, **options).augment(*pairs, rng=rng(2))
    assert generated.isfinite().all()


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (Vae, {"epochs": 5}, r"option 'warmup_epochs' \(10\) must be below 'epochs' \(5\)"),
        (Vae, {"norm": "batchnorm", "batch_size": 2}, "option 'batch_size' must be at least 3"),
        (Vae, {"lr": "2e-4"}, "option 'lr': expected a valid number"),
        (VaeDiff, {"epochs": 10}, r"'warmup_epochs' \(10\) must be below 'epochs' \(10\)"),
        (VaeDiff, {"width": 96, "attention": "one_token"}, "must be a multiple of 64 .* got 96"),
        (VaeDiff, {"guidance_form": "free"}, "'guidance_form': .* 'paper' or 'cfg', got 'free'"),
        (VaeDiff, {"ema": 1.0}, "option 'ema': .* less than 1"),
    ],
)
def test_wrong_options_are_named(kind, options, message):
    with pytest.raises(ConfigError, match=message):
        kind(**options)
