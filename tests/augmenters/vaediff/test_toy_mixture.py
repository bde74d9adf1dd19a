"""On a mixture of well separated classes, `vaediff` as a whole gives the class that it is asked
for.

Six classes in 16 dimensions, 6 to 10 apart at a standard deviation of 0.8 in each dimension. Two
label sets with two classes occur in training: one half way between its classes' modes, one at a
mode of its own.
"""

import itertools

import pytest
import torch
from tensors import multi_hot, rng

from augmenters.vaediff.vaediff import VaeDiff

CLASSES, WIDTH, EACH = 6, 16, 100  # rows asked for, of each label set
PAIRS = [(1, 2), (3, 4)]  # the label sets of two classes that occur in training
OPTIONS = dict(latent=12, hidden=32, width=48, depth=2, steps=25, epochs=40, warmup_epochs=10)
OPTIONS |= dict(batch_size=64, lr=3e-3, lr_prior=2e-3, ema=0.98, draws=4)
SETS = multi_hot(*([c] for c in range(1, 7)), *PAIRS, classes=7)
CLASS_MEANS = 1.5 * torch.randn(CLASSES, WIDTH, generator=rng(3)).sign()
OWN_MODE = 1.5 * torch.randn(WIDTH, generator=rng(77)).sign()
MEANS = torch.stack([*CLASS_MEANS, (CLASS_MEANS[0] + CLASS_MEANS[1]) / 2, OWN_MODE])


@pytest.fixture(scope="module")
def model():
    """Fitted to 800 rows of the eight label sets."""
    ids = torch.randint(len(SETS), (800,), generator=rng(1))
    rows = MEANS[ids] + 0.8 * torch.randn(800, WIDTH, generator=rng(2))
    assert (torch.cdist(rows, MEANS).argmin(1) == ids).float().mean() > 0.995  # well separated
    model = VaeDiff(**OPTIONS)
    model.fit(rows, SETS[ids], rng=rng(0))
    model.prepare(SETS[ids], rng=rng(1))
    return model


def generated(model, sets):
    """[sets, EACH, WIDTH] rows for label sets; the real rows given along hold nothing."""
    labels = sets.repeat_interleave(EACH, 0)
    rows, _ = model.augment(torch.zeros(len(labels), WIDTH), labels, rng=rng(2))
    return rows.view(len(sets), EACH, WIDTH)


def nearest(rows, means):
    return torch.cdist(rows, means.expand(len(rows), -1, -1)).argmin(-1)


def test_requested_classes_and_joint_modes_are_recovered(model):
    found = nearest(generated(model, SETS), MEANS)
    recovered = (found == torch.arange(len(SETS))[:, None]).float().mean(1)
    assert recovered[:CLASSES].mean() >= 0.95, recovered
    assert recovered.min() >= 0.85, recovered  # no class is lost to the average


def test_an_unseen_multi_label_request_lands_between_its_classes(model):
    """Along the line from one mode (0) to the other (1), and nearer to one of the two than to any
    other class.
    """
    pairs = [pair for pair in itertools.combinations(range(1, 7), 2) if pair not in PAIRS]
    rows, classes = generated(model, multi_hot(*pairs, classes=7)), torch.tensor(pairs) - 1
    first, second = CLASS_MEANS[classes].unsqueeze(2).unbind(1)
    line = second - first
    position = ((rows - first) * line).sum(-1) / line.square().sum(-1)
    assert ((position > -0.1) & (position < 1.1)).float().mean() >= 0.95
    own = (nearest(rows, CLASS_MEANS)[..., None] == classes[:, None]).any(-1).float().mean(1)
    assert own.mean() >= 0.6, own  # a third by chance
