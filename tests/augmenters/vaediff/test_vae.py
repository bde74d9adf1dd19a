import pytest
import torch
from tensors import mixture, rng

from augmenters.base import AugmenterError
from augmenters.vaediff.vae import Vae
from augmenters.vaediff.vaediff import VaeDiff
from benchmark.data.pairs import Pairs

SMALL = {"latent": 6, "hidden": 16, "epochs": 60, "warmup_epochs": 5, "batch_size": 32, "lr": 5e-3}
SETS = torch.tensor([[0.0, 1, 0, 0], [0, 0, 1, 0], [0, 1, 1, 0]])


def fit(pairs, held_out=None, **options):
    vae = Vae(**SMALL | options)
    history = vae.fit(*pairs, rng=rng(), held_out=held_out)
    vae.prepare(pairs.labels, rng=rng())
    return vae, history


@pytest.fixture(scope="module")
def fitted():
    return fit(mixture(240, SETS)[0], held_out=mixture(60, SETS, seed=7)[0])


def test_generated_rows_lie_at_the_centre_of_their_label_set(fitted):
    (rows, labels), centres = mixture(240, SETS, seed=20)
    generated, wanted = fitted[0].augment(rows, labels, rng=rng(3))
    assert torch.equal(wanted, labels)
    apart = (centres[0] - centres[1:]).norm(dim=1).max()
    assert (generated - centres).norm(dim=1).mean() < 0.25 * apart
    # they come from the training pairs, not from the rows given, and posteriors are sampled
    again, _ = fitted[0].augment(torch.zeros_like(rows), labels, rng=rng(3))
    assert torch.equal(generated, again)
    same_set, _ = fitted[0].augment(rows[:50], labels[:1].repeat(50, 1), rng=rng(3))
    assert len(same_set.unique(dim=0)) == 50


def test_an_unseen_label_set_takes_the_nearest(fitted):
    # {1, 2, 3} was never seen: {1, 2} shares two of three labels
    (_, labels), centres = mixture(240, SETS)
    unseen = torch.tensor([[0.0, 1, 1, 1]]).repeat(20, 1)
    generated, _ = fitted[0].augment(torch.zeros(20, 10), unseen, rng=rng(3))
    nearest = centres[(labels == SETS[2]).all(1)][0]
    assert (generated - nearest).norm(dim=1).max() < 3.0


def test_the_history(fitted):
    _, history = fitted
    assert history[-1]["held_out"] < history[0]["held_out"] - 5
    for epoch, weight in ((history[4], 1e-6), (history[-1], 1e-3)):  # in and after the warm-up
        expected = epoch["reconstruction"] + weight * epoch["kl"]
        assert epoch["loss"] == pytest.approx(expected, rel=1e-6)
    assert history[0]["lr"] > history[-1]["lr"]


def test_the_checkpoint_is_chosen_on_held_out_pairs():
    pairs, _ = mixture(64, SETS)
    # held-out pairs that training can only get worse at, or at random
    far = Pairs(pairs.representations + 30.0, pairs.labels)
    weights = {}
    for choice in ("best", "last"):
        vae, history = fit(pairs, held_out=far, epochs=8, warmup_epochs=2, checkpoint=choice)
        weights[choice] = vae.state_dict()["vae.mean.weight"]
    losses = [epoch["held_out"] for epoch in history]
    best = min(range(2, 8), key=losses.__getitem__)  # after the warm-up
    assert torch.equal(weights["best"], weights["last"]) == (best == 7)


@pytest.mark.parametrize(("kind", "warmup_epochs"), [(Vae, 1), (VaeDiff, 0)])
def test_batchnorm_needs_two_pairs(kind, warmup_epochs):
    options = kind.check_options | {"norm": "batchnorm", "warmup_epochs": warmup_epochs}
    with pytest.raises(AugmenterError, match="at least two training pairs"):
        kind(**options).fit(*mixture(1, SETS)[0], rng=rng())


def test_reconstructed_rows_are_nearer_to_their_own_than_any_one_row_could_be(fitted):
    (rows, _), _ = mixture(240, SETS)
    found = fitted[0].reconstruct(rows)
    assert (found - rows).square().mean() < 0.5 * (rows - rows.mean(0)).square().mean()
