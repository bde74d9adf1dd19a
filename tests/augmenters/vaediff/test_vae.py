import pytest
import torch
from tensors import rng

from augmenters.base import AugmenterError
from augmenters.vaediff.vae import Vae
from benchmark.errors import ConfigError

SMALL = {"latent": 6, "hidden": 16, "epochs": 60, "warmup_epochs": 5, "batch_size": 32, "lr": 5e-3}


def mixture(rows=240, seed=0, width=10):
    """Three label sets at well separated centres; the rows, their labels, the centre of each
    row.
    """
    centres = 3 * torch.randn(3, width, generator=rng(50)).sign()
    sets = torch.tensor([[0, 1, 0, 0], [0, 0, 1, 0], [0, 1, 1, 0]], dtype=torch.float32)
    ids = torch.randint(3, (rows,), generator=rng(seed))
    return (
        centres[ids] + 0.2 * torch.randn(rows, width, generator=rng(seed + 1)),
        sets[ids],
        centres[ids],
    )


@pytest.fixture(scope="module")
def fitted():
    vae = Vae(**SMALL)
    rows, labels, _ = mixture()
    held_out = mixture(60, seed=7)[:2]
    return vae, vae.fit(rows, labels, rng=rng(), held_out=held_out)


def test_generated_rows_lie_at_the_centre_of_their_label_set(fitted):
    rows, labels, centres = mixture(seed=20)
    generated, wanted = fitted[0].augment(rows, labels, rng=rng(3))
    assert torch.equal(wanted, labels)
    assert (generated - centres).norm(dim=1).mean() < 0.25 * (centres[0] - centres[1:]).norm(
        dim=1
    ).max()


def test_rows_come_from_the_training_pairs_not_from_the_rows_given(fitted):
    rows, labels, _ = mixture(seed=20)
    first, _ = fitted[0].augment(rows, labels, rng=rng(3))
    again, _ = fitted[0].augment(torch.zeros_like(rows), labels, rng=rng(3))
    assert torch.equal(first, again)


def test_posteriors_are_sampled(fitted):
    _, labels, _ = mixture(1)
    rows, _ = fitted[0].augment(torch.zeros(50, 10), labels.repeat(50, 1), rng=rng(3))
    assert len(rows.unique(dim=0)) == 50


def test_an_unseen_label_set_takes_the_nearest(fitted):
    # {1, 2, 3} was never seen: {1, 2} shares two of three labels
    rows, labels, centres = mixture()
    both = centres[labels[:, 1:3].sum(1) == 2][0]
    generated, _ = fitted[0].augment(
        torch.zeros(20, 10), torch.tensor([[0.0, 1, 1, 1]]).repeat(20, 1), rng=rng(3)
    )
    assert (generated - both).norm(dim=1).max() < 3.0


def test_history_falls_and_the_best_held_out_epoch_is_kept(fitted):
    vae, history = fitted
    assert [epoch["epoch"] for epoch in history] == list(range(1, 61))
    assert history[-1]["held_out"] < history[0]["held_out"] - 5
    assert history[4]["loss"] == pytest.approx(
        history[4]["reconstruction"] + 1e-6 * history[4]["kl"], rel=1e-6
    )  # warm-up
    assert history[-1]["loss"] == pytest.approx(
        history[-1]["reconstruction"] + 1e-3 * history[-1]["kl"], rel=1e-6
    )
    assert history[0]["lr"] > history[-1]["lr"]


def test_the_checkpoint_is_chosen_on_held_out_pairs():
    rows, labels, _ = mixture(64)
    far = rows + 30.0  # held-out pairs that training on `rows` can only get worse at, or at random
    options = {**SMALL, "epochs": 8, "warmup_epochs": 2}
    runs = {}
    for choice in ("best", "last"):
        vae = Vae(**options, checkpoint=choice)
        history = vae.fit(rows, labels, rng=rng(), held_out=(far, labels))
        runs[choice] = (vae.state_dict(), history)
    losses = [epoch["held_out"] for epoch in runs["best"][1]]
    best = min(range(2, 8), key=losses.__getitem__)  # after the warm-up
    same = torch.equal(runs["best"][0]["vae.mean.weight"], runs["last"][0]["vae.mean.weight"])
    assert same == (best == 7)


@pytest.mark.parametrize(
    "options",
    [{"norm": "batchnorm"}, {"reconstruction": "mse"}, {"lr_cycles": 2}, {"kl_weight": 1.0}],
)
def test_options_train(options):
    rows, labels, _ = mixture(65)
    vae = Vae(**{**SMALL, "epochs": 3, "warmup_epochs": 1, **options})
    vae.fit(rows, labels, rng=rng())
    assert vae.augment(rows, labels, rng=rng())[0].isfinite().all()


def test_batchnorm_needs_two_pairs():
    rows, labels, _ = mixture(1)
    with pytest.raises(AugmenterError, match="at least two training pairs"):
        Vae(**SMALL, norm="batchnorm").fit(rows, labels, rng=rng())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"norm": "layernorm"}, "option 'norm': .* 'rmsnorm' or 'batchnorm', got 'layernorm'"),
        ({"epochs": -1}, "option 'epochs': .* greater than or equal to 1, got -1"),
        ({"epochs": 5}, r"option 'warmup_epochs' \(10\) must be below 'epochs' \(5\)"),
        ({"lr": "2e-4"}, "option 'lr': Input should be a valid number"),
        ({"lr": 0}, "option 'lr': Input should be greater than 0"),
        ({"latent": 3.5}, "option 'latent': Input should be a valid integer"),
        ({"norm": "batchnorm", "batch_size": 2}, "option 'batch_size' must be at least 3"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        Vae(**options)


def test_reconstructed_rows_are_nearer_to_their_own_than_any_one_row_could_be(fitted):
    augmenter, rows = fitted[0], mixture()[0]
    error = (augmenter.reconstruct(rows) - rows).square().mean()
    assert error < 0.5 * (rows - rows.mean(0)).square().mean()
    assert torch.equal(augmenter.reconstruct(rows), augmenter.reconstruct(rows))
