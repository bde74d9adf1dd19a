"""On a mixture of well separated classes, `vaediff` as a whole gives the class that it is asked
for.

Six classes in 16 dimensions, 6 to 10 apart at a standard deviation of 0.8 in each dimension (a real
row's own mean is the nearest in 99.9 % of cases). Two label sets with two classes occur in
training: one half way between its classes' modes, one at a mode of its own.
"""

import itertools

import pytest
import torch
from tensors import rng

from augmenters.vaediff.vaediff import VaeDiff

CLASSES, WIDTH, DEVIATION = 6, 16, 0.8
PAIRS = ((0, 1), (2, 3))  # the label sets of two classes that occur in training
EACH = 100  # rows asked for, of each label set
OPTIONS = dict(
    latent=12,
    hidden=32,
    width=48,
    depth=2,
    steps=25,
    epochs=40,
    warmup_epochs=10,
    batch_size=64,
    lr=3e-3,
    lr_prior=2e-3,
    ema=0.98,
    draws=4,
)


def labels_of(sets):
    """Multi-hot [sets, 1 + CLASSES]."""
    labels = torch.zeros(len(sets), 1 + CLASSES)
    for row, classes in enumerate(sets):
        labels[row, [1 + c for c in classes]] = 1
    return labels


SETS = labels_of([*((c,) for c in range(CLASSES)), *PAIRS])
CLASS_MEANS = 1.5 * torch.randn(CLASSES, WIDTH, generator=rng(3)).sign()
JOINT_MEANS = torch.stack(
    [(CLASS_MEANS[0] + CLASS_MEANS[1]) / 2, 1.5 * torch.randn(WIDTH, generator=rng(77)).sign()]
)
MEANS = torch.cat([CLASS_MEANS, JOINT_MEANS])


@pytest.fixture(scope="module")
def model():
    """Fitted to 800 rows of the eight label sets."""
    ids = torch.randint(len(SETS), (800,), generator=rng(1))
    rows = MEANS[ids] + DEVIATION * torch.randn(800, WIDTH, generator=rng(2))
    assert (
        torch.cdist(rows, MEANS).argmin(1) == ids
    ).float().mean() > 0.995  # well separated indeed
    model = VaeDiff(**OPTIONS)
    model.fit(rows, SETS[ids], rng=rng(0))
    model.prepare(SETS[ids], rng=rng(1))
    return model


def generated(model, sets):
    """[sets, EACH, WIDTH] rows for label sets; the real rows given along hold nothing."""
    labels = sets.repeat_interleave(EACH, 0)
    return model.augment(torch.zeros(len(labels), WIDTH), labels, rng=rng(2))[0].view(
        len(sets), EACH, WIDTH
    )


def nearest(rows, means):
    return torch.cdist(rows, means.expand(len(rows), -1, -1)).argmin(-1)


def test_a_requested_class_is_recovered(model):
    found = nearest(generated(model, SETS[:CLASSES]), CLASS_MEANS)
    recovered = (found == torch.arange(CLASSES)[:, None]).float().mean(1)
    assert recovered.mean() >= 0.95, recovered
    assert recovered.min() >= 0.85, recovered  # no class is lost to the average


def test_a_multi_label_request_lands_on_its_joint_mode(model):
    found = nearest(generated(model, SETS[CLASSES:]), MEANS)
    recovered = (found == torch.tensor([[CLASSES], [CLASSES + 1]])).float().mean(1)
    assert recovered.min() >= 0.85, recovered


def test_an_unseen_multi_label_request_lands_between_its_classes(model):
    """Along the line from one mode (0) to the other (1), and nearer to one of the two than to any
    other class.
    """
    pairs = [pair for pair in itertools.combinations(range(CLASSES), 2) if pair not in PAIRS]
    rows = generated(model, labels_of(pairs))
    first, second = (CLASS_MEANS[[pair[side] for pair in pairs]][:, None] for side in (0, 1))
    line = second - first
    position = ((rows - first) * line).sum(-1) / line.square().sum(-1)
    assert ((position > -0.1) & (position < 1.1)).float().mean() >= 0.95
    own = (
        (nearest(rows, CLASS_MEANS)[..., None] == torch.tensor(pairs)[:, None])
        .any(-1)
        .float()
        .mean(1)
    )
    assert own.mean() >= 0.6, own  # a third by chance
