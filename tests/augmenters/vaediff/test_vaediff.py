import copy

import pytest
import torch
from tensors import rng

import augmenters.vaediff.vaediff
from augmenters.vaediff.vaediff import VaeDiff
from benchmark.errors import ConfigError

TINY = VaeDiff.check_options


def mixture(rows=300, seed=0, width=10):
    """Four label sets at well separated centres: rows, labels, ids, the four label sets, the four
    centres.
    """
    centres = 3 * torch.randn(4, width, generator=rng(50)).sign()
    sets = torch.tensor(
        [[0, 1, 0, 0], [0, 0, 1, 0], [0, 1, 1, 0], [0, 0, 0, 1]], dtype=torch.float32
    )
    ids = torch.randint(4, (rows,), generator=rng(seed))
    return (
        centres[ids] + 0.2 * torch.randn(rows, width, generator=rng(seed + 1)),
        sets[ids],
        ids,
        sets,
        centres,
    )


def fit(rows, labels, seed=0, held_out=None, **options):
    model = VaeDiff(**{**TINY, **options})
    history = model.fit(rows, labels, rng=rng(seed), held_out=held_out)
    return model, history


def test_warm_up_trains_the_vae_alone():
    rows, labels, *_ = mixture(40)
    model, history = fit(rows, labels, epochs=4, warmup_epochs=2)
    assert ["prior" in epoch for epoch in history] == [False, False, True, True]
    assert [epoch["epoch"] for epoch in history] == [1, 2, 3, 4]


def test_latent_scale_is_frozen_when_the_warm_up_ends(monkeypatch):
    rows, labels, *_ = mixture(40)
    frozen, epochs = [], []
    original = augmenters.vaediff.vaediff.DiffusionPrior.set_scale

    def watch(prior, mean, log_variance):
        original(prior, mean, log_variance)
        frozen.append((len(epochs), mean, prior.latent_mean.clone(), prior.latent_scale.clone()))

    monkeypatch.setattr(augmenters.vaediff.vaediff.DiffusionPrior, "set_scale", watch)
    model = VaeDiff(**{**TINY, "epochs": 5, "warmup_epochs": 2, "lr": 1e-2})
    model.fit(rows, labels, rng=rng(), progress=lambda *done, **numbers: epochs.append(done))
    ((after, means, mean, scale),) = frozen
    assert after == 2
    torch.testing.assert_close(mean, means.mean(0))
    assert torch.equal(model.prior.latent_mean, mean) and torch.equal(
        model.prior.latent_scale, scale
    )
    assert {"prior.latent_mean", "prior.latent_scale"} <= set(model.state_dict())


def test_losses_of_one_step_are_eq_9(monkeypatch):
    """One batch of all pairs, one co-trained epoch: loss = reconstruction + kl_weight (error -
    entropy), summed over the latent.
    """
    rows, labels, *_ = mixture(8)
    seen, losses = [], []
    errors, step = (
        augmenters.vaediff.vaediff.DiffusionPrior.errors,
        augmenters.vaediff.vaediff.Descent.step,
    )

    def watch_errors(prior, denoiser, standard, *arguments, **options):
        result = errors(prior, denoiser, standard, *arguments, **options)
        seen.append((options, standard, result.detach()))
        return result

    def watch_step(descent, loss):
        losses.append(loss.item())
        step(descent, loss)

    monkeypatch.setattr(augmenters.vaediff.vaediff.DiffusionPrior, "errors", watch_errors)
    monkeypatch.setattr(augmenters.vaediff.vaediff.Descent, "step", watch_step)
    _, (epoch,) = fit(rows, labels, epochs=1, warmup_epochs=0, kl_weight=0.5)
    (vae_options, latents, cross_entropy), (prior_options, detached, error) = seen
    assert vae_options == {} and prior_options == dict(
        drop=True
    )  # classes are dropped for the prior only
    assert (
        latents.requires_grad and not detached.requires_grad
    )  # the VAE learns from the prior's error, not the other way round
    assert torch.equal(latents, detached)
    vae_loss = epoch["reconstruction"] + 0.5 * (cross_entropy.mean().item() - epoch["entropy"])
    assert losses == pytest.approx(
        [vae_loss, error.mean().item() / 6], rel=1e-5
    )  # a sum over 6 dimensions, a mean over them
    assert epoch["loss"] == pytest.approx(vae_loss, rel=1e-5) and epoch["prior"] == pytest.approx(
        losses[1], rel=1e-5
    )


def test_sampling_uses_the_average_of_the_denoisers(monkeypatch):
    rows, labels, *_ = mixture(40)
    decays, online = [], []

    def watch(average, denoiser, decay):
        decays.append(decay)
        online.append(copy.deepcopy(denoiser.state_dict()))
        before = copy.deepcopy(average.state_dict())
        original(average, denoiser, decay)
        for key, value in average.state_dict().items():
            torch.testing.assert_close(
                value, decay * before[key] + (1 - decay) * online[-1][key], rtol=1e-4, atol=1e-6
            )

    original = augmenters.vaediff.vaediff.update_average
    monkeypatch.setattr(augmenters.vaediff.vaediff, "update_average", watch)
    model, _ = fit(rows, labels, epochs=5, warmup_epochs=1)
    assert len(decays) == 4 * 5 and decays[10] == 0 and decays[11] == pytest.approx(0.37, abs=0.01)
    assert not torch.equal(model.prior.denoiser.enter.weight, online[-1]["enter.weight"])
    without, _ = fit(rows, labels, epochs=5, warmup_epochs=1, ema=0.0)
    assert torch.equal(without.prior.denoiser.enter.weight, online[-1]["enter.weight"])


def test_pool_holds_the_draws_of_every_label_set():
    rows, labels, ids, sets, _ = mixture(30)
    model, _ = fit(rows, labels, draws=3)
    progress = []
    model.prepare(labels, rng=rng(1), progress=lambda *done, **numbers: progress.append(done))
    assert len(model._pool.latents) == 3 * 30 and progress[-1] == (90, 90)
    known = model._pool.lookup(sets)
    assert model._pool._rows._count[known].tolist() == (3 * torch.bincount(ids)).tolist()


def test_augment_draws_from_the_pool():
    rows, labels, *_ = mixture(30)
    model, _ = fit(rows, labels, draws=3)
    model.prepare(labels, rng=rng(1))
    with torch.no_grad():
        decoded, _ = model.vae.decode(model._pool.latents)
    generated, _ = model.augment(rows.repeat(4, 1), labels.repeat(4, 1), rng=rng(2))
    distance = (generated[:, None] - decoded).abs().amax(2)
    assert distance.min(1).values.max() < 1e-6
    assert len(generated.unique(dim=0)) > 30  # a pair does not meet the same fakes every time


def test_label_sets_outside_the_pool_are_generated_on_the_spot(monkeypatch):
    rows, labels, *_ = mixture(30)
    model, _ = fit(rows, labels)
    model.prepare(labels, rng=rng(1))
    asked = []
    original = model.prior.sample
    monkeypatch.setattr(
        model.prior,
        "sample",
        lambda sets, ids, rng: asked.append(sets[ids]) or original(sets, ids, rng),
    )
    unseen = torch.tensor([[0.0, 1, 1, 1], [0, 1, 0, 1]])
    model.augment(rows[:4], torch.cat([unseen, labels[:2]]), rng=rng(2))
    assert len(asked) == 1 and torch.equal(asked[0].float(), unseen)


def test_per_step_generation_makes_no_pool():
    rows, labels, *_ = mixture(30)
    model, _ = fit(rows, labels, generate="per_step")
    model.prepare(labels, rng=rng(1))
    assert model._pool is None
    first, again = (model.augment(rows, labels, rng=rng(seed))[0] for seed in (2, 3))
    assert not torch.equal(first, again)


@pytest.mark.parametrize(
    "options",
    [
        {"norm": "batchnorm"},
        {"reconstruction": "mse"},
        {"label_embedding": "sum", "null_class": "learned"},
        {"attention": "one_token"},
        {"class_drop": 0.2, "class_drop_per": "batch"},
        {"guidance_form": "cfg", "variance": "posterior"},
        {"guidance": 0.0},
        {"self_condition": 0.0},
        {"self_condition": 1.0, "class_drop": 0.0},
        {"lr_cycles": 3, "ema": 0.0},
        {"warmup_epochs": 0, "kl_weight": 1.0},
    ],
)
def test_options_train_and_generate(options):
    rows, labels, *_ = mixture(20)
    model, _ = fit(rows, labels, **options)
    model.prepare(labels, rng=rng(1))
    assert model.augment(rows, labels, rng=rng(2))[0].isfinite().all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"guidance_form": "free"}, "option 'guidance_form': .* 'paper' or 'cfg', got 'free'"),
        ({"epochs": 10}, r"option 'warmup_epochs' \(10\) must be below 'epochs' \(10\)"),
        ({"width": 33}, "option 'width': .* multiple of 2"),
        ({"width": 96, "attention": "one_token"}, "'width' must be a multiple of 64 .* got 96"),
        ({"class_drop": 1.5}, "option 'class_drop': .* less than or equal to 1"),
        ({"ema": 1.0}, "option 'ema': .* less than 1"),
        ({"draws": True}, "option 'draws': Input should be a valid integer"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        VaeDiff(**options)
