"""The controls against hand-computed cases."""

import math

import pytest
import torch
from tensors import rng

from augmenters.class_balanced import ClassBalanced
from augmenters.copies import Copies
from augmenters.input_dropout import InputDropout
from augmenters.logit_adjustment import LogitAdjustment
from benchmark.registry import AUGMENTERS

# relation 1 in four pairs, relation 2 in one of these, relation 3 in one pair, relation 4 in none
LABELS = torch.tensor(
    [[0, 1, 0, 0, 0], [0, 1, 0, 0, 0], [0, 1, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 1, 0]]
).float()
NEGATIVE = torch.tensor([[1.0, 0, 0, 0, 0]])


def test_logit_adjustment_shifts_by_the_centred_log_frequency():
    augmenter = LogitAdjustment(tau=0.5)
    augmenter.prepare(LABELS, rng=rng())
    shift = augmenter.adjust(torch.zeros(1, 5), NEGATIVE)[0]
    mean = math.log(4) / 3  # of log 4, log 1, log 1
    expected = [0.0, 0.5 * (math.log(4) - mean), -0.5 * mean, -0.5 * mean, 0.0]
    assert shift.tolist() == pytest.approx(expected)


def test_class_balanced_weighs_by_the_effective_number():
    augmenter = ClassBalanced(beta=0.5)
    augmenter.prepare(LABELS, rng=rng())
    of_4, of_1 = 0.5 / (1 - 0.5**4), 1.0
    raw = [of_4, of_4, of_4, (of_4 + of_1) / 2, of_1]
    mean = sum(raw) / 5
    weights = augmenter.weigh(torch.cat([LABELS, NEGATIVE]))
    assert weights.tolist() == pytest.approx([w / mean for w in raw] + [1.0])


def test_input_dropout_keeps_the_mean_and_drops_its_share():
    given = torch.ones(2000, 10)
    labels = NEGATIVE.repeat(2000, 1)
    changed = InputDropout(rate=0.2).perturb(given, labels, rng=rng())
    assert set(changed.unique().tolist()) == {0.0, 1.25}
    assert (changed == 0).float().mean().item() == pytest.approx(0.2, abs=0.01)
    assert torch.equal(InputDropout(rate=0).perturb(given, labels, rng=rng()), given)


def test_rare_copies_are_drawn_by_their_rarest_relation():
    augmenter = Copies(rarity=1.0)
    augmenter.prepare(LABELS, rng=rng())
    given = torch.arange(5.0)[:, None].repeat(400, 1)
    copied, labels = augmenter.augment(given, LABELS.repeat(400, 1), rng=rng())
    share = torch.bincount(copied[:, 0].long(), minlength=5) / 2000
    # weights 1/4, 1/4, 1/4, 1, 1
    expected = torch.tensor([1, 1, 1, 4, 4]) / 11
    assert torch.allclose(share, expected, atol=0.03)
    assert torch.equal(labels, LABELS[copied[:, 0].long()])


def test_which_augmenters_are_controls():
    controls = {name for name, entry in AUGMENTERS.entries().items() if entry.control}
    assert controls == {name for name in AUGMENTERS if AUGMENTERS[name].control}
    assert controls == {"bank", "class_balanced", "copies", "input_dropout", "logit_adjustment"}
