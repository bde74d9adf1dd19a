"""Augmenters that learn nothing, against hand-computed cases."""

import math

import pytest
import torch
from tensors import rng

from augmenters.base import AugmenterError
from augmenters.check import encoding
from augmenters.class_balanced import ClassBalanced
from augmenters.copies import Copies
from augmenters.dropout_view import DropoutView
from augmenters.era import Era
from augmenters.gaussian import GaussianNoise, spread
from augmenters.input_dropout import InputDropout
from augmenters.logit_adjustment import LogitAdjustment
from augmenters.none import NoAugmentation
from backbones.parts.pooling import entity_attention, localized_context
from benchmark.data.batches import Encoded
from benchmark.errors import ConfigError
from benchmark.registry import AUGMENTERS

ROWS = torch.tensor([[0.0, 10.0, 5.0], [2.0, 30.0, 5.0]])
TWO = torch.eye(3)[1:]


@pytest.mark.parametrize(
    ("augmenter", "count"), [(NoAugmentation(), 0), (Copies(), 2), (GaussianNoise(scale=0.0), 2)]
)
def test_nothing_and_copies(augmenter, count):
    rows, labels = augmenter.augment(ROWS, TWO, rng=rng())
    assert torch.equal(rows, ROWS[:count]) and torch.equal(labels, TWO[:count])


def test_noise_is_scaled_by_each_dimensions_spread():
    # columns (0, 2), (10, 30), (5, 5): population deviations 1, 10, 0
    assert spread(ROWS).tolist() == [1, 10, 0]
    many, labels = ROWS.repeat(20_000, 1), TWO.repeat(20_000, 1)
    noise = GaussianNoise(scale=0.5).augment(many, labels, rng=rng())[0] - many
    assert noise.std(0).tolist() == pytest.approx([0.5, 5.0, 0.0], rel=0.02)
    assert noise.mean(0).tolist() == pytest.approx([0, 0, 0], abs=0.1)


def test_rows_without_spread_take_their_own_size():
    row = torch.tensor([[0.3, -4.0]])
    for rows in (row, row.repeat(3, 1)):
        torch.testing.assert_close(spread(rows), row[0].abs())


@pytest.mark.parametrize("scale", [-1, float("nan"), "0.1", True])
def test_scale_must_be_a_number(scale):
    with pytest.raises(ConfigError, match="option 'scale'"):
        GaussianNoise(scale=scale)


# controls

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
    assert controls == {
        *("bank", "class_balanced", "copies", "copies_detached", "copies_rare"),
        *("input_dropout", "logit_adjustment"),
    }


# views


def test_era_hides_tokens_from_each_positive_pair_on_its_own():
    encoded, batch = encoding()
    seen = Era(rate=0.4).view(encoded, batch, rng=rng())
    assert torch.equal(seen.states, encoded.states) and torch.equal(seen.rows, encoded.rows)
    positive = torch.zeros(seen.kept.shape[:3], dtype=torch.bool)
    positive[tuple(batch.pairs[batch.positive].T)] = True
    assert seen.kept[~positive].all()
    hidden = ~seen.kept[positive]
    assert len(hidden.unique(dim=0)) == len(hidden) > 1
    assert hidden.float().mean().item() == pytest.approx(0.4, abs=0.1)
    everywhere = Era(rate=0.4, pairs="all").view(encoded, batch, rng=rng())
    assert (~everywhere.kept[tuple(batch.pairs.T)]).any(1).all()


def test_a_context_without_a_token_lacks_just_its_term():
    """c' = sum over l of p_l q_l H_l, with q as it is normalised for all tokens."""
    encoded, batch = encoding()
    settings = {"heads": "mean", "epsilon": 1e-5}
    seen = Era(rate=0.3, pairs="all").view(encoded, batch, rng=rng())
    found = localized_context(seen, batch, batch.pairs, **settings)
    attention = entity_attention(encoded.rows, batch)
    head, tail = batch.entity_of(batch.pairs)
    q = (attention[head] * attention[tail]).mean(1)
    q = q / (q.sum(1, keepdim=True) + 1e-5) * seen.kept[tuple(batch.pairs.T)]
    expected = torch.einsum("pl,pld->pd", q, encoded.states[batch.pairs[:, 0]])
    torch.testing.assert_close(found, expected)
    whole = encoded._replace(kept=torch.ones_like(seen.kept))
    assert torch.equal(
        localized_context(whole, batch, batch.pairs, **settings),
        localized_context(encoded, batch, batch.pairs, **settings),
    )


def test_era_says_that_it_needs_attention():
    encoded, batch = encoding()
    with pytest.raises(AugmenterError, match="has none"):
        Era().view(Encoded(encoded.states, None), batch, rng=rng())


def test_dropout_view_is_the_encoding_that_it_is_given():
    encoded, batch = encoding()
    seen = DropoutView().view(encoded, batch, rng=rng())
    assert torch.equal(seen.states, encoded.states) and torch.equal(seen.rows, encoded.rows)
