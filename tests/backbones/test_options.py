"""What the options of the objectives change: the diagonal, the reduction, the set of contrasts."""

from math import log

import pytest
import torch
from batches_for_tests import random_batch, random_encoded

from backbones.base import Pairs
from backbones.baseline import Baseline
from backbones.kd_docre import KdDocre
from backbones.parts.losses import supervised_contrastive
from benchmark.data.batches import Encoded
from benchmark.errors import ConfigError
from benchmark.registry import BACKBONES
from benchmark.training.model import DocreModel

SMALL = {"emb": 16, "block": 4, "layers": 1}
CLASSES = 6


def one(kind, **options):
    """A backbone, and real and generated pairs for it, in single precision: `loss` computes in
    it.
    """
    torch.manual_seed(0)
    model = kind(16, CLASSES, **SMALL, **options)
    batch = random_batch((4, 3))
    encoded = Encoded(*(x.float() for x in random_encoded(batch)))
    real = Pairs(model.represent(encoded, batch), batch.labels(CLASSES))
    extra = Pairs(
        (real.only_positive().representations * 0.9).detach(), real.only_positive().labels
    )
    return model, real, extra, batch, encoded


def per_pair(model, pairs):
    return model.classification_loss(model.classify(pairs.representations), pairs.labels)


@pytest.mark.parametrize("kind", [Baseline, KdDocre])
def test_a_pair_of_an_entity_with_itself_adds_the_loss_of_zero_logits(kind):
    model, real, extra, _, _ = one(kind)
    # NA with zero logits: 5 relations of log 2, and their mean entropy log 2 (PMTEM); log 6 (AFL)
    constant = 6 * log(2) if kind is Baseline else log(6)
    contrast, P, Q = (
        model.contrastive_loss(real.only_positive()),
        len(real.labels),
        len(extra.labels),
    )
    sums = [per_pair(model, pairs).sum() for pairs in (real, extra)]
    torch.testing.assert_close(
        model.loss(real, diagonal=7), (sums[0] + 7 * constant) / (P + 7) + contrast
    )
    contrast = model.contrastive_loss(real.joined_with(extra).only_positive())
    torch.testing.assert_close(
        model.loss(real, extra, diagonal=7), (sum(sums) + 7 * constant) / (P + 7 + Q) + contrast
    )
    two = model.loss(real, extra, diagonal=7, combination="two_means")
    torch.testing.assert_close(two, (sums[0] + 7 * constant) / (P + 7) + sums[1] / Q + contrast)


def test_the_diagonal_counts_in_the_broadcast_entropy():
    """Its mean of 1 / gamma runs over all pairs of the batch: 1 and 1/5 for an NA pair of 5
    relations.
    """
    model, real, _, _, _ = one(Baseline, entropy="broadcast")
    logits, labels = model.classify(real.representations), real.labels
    more = (
        torch.cat([logits, torch.zeros(7, CLASSES)]),
        torch.cat([labels, torch.eye(CLASSES)[:1].expand(7, -1)]),
    )
    expected = model.classification_loss(*more).mean() + model.contrastive_loss(
        real.only_positive()
    )
    torch.testing.assert_close(model.loss(real, diagonal=7), expected)


def test_a_teacher_says_nothing_of_the_diagonal():
    model, real, _, _, _ = one(KdDocre)
    teacher = model.classify(real.representations).detach() + 2
    added = model.loss(real, teacher=teacher, diagonal=7) - model.loss(real, diagonal=7)
    P = len(real.labels)
    assert added.item() == pytest.approx(4 * P / (P + 7), rel=1e-4)


def test_the_option_counts_the_entities_of_the_batch():
    losses = []
    for diagonal in (False, True):
        model, real, _, batch, encoded = one(KdDocre, diagonal=diagonal)
        batch.encoded = encoded
        losses.append(
            (
                DocreModel(torch.nn.Identity(), model, CLASSES)(batch),
                model.loss(real),
                model.loss(real, diagonal=4 + 3),
            )
        )
    torch.testing.assert_close(losses[0][0], losses[0][1])
    torch.testing.assert_close(losses[1][0], losses[1][2])
    assert losses[1][0] != losses[1][1]


def test_the_sum_over_pairs():
    model, real, extra, _, _ = one(Baseline, reduction="sum")
    scale = {"temperature": 1.0, "base_temperature": 0.5}
    anchors = real.only_positive()
    contrast = supervised_contrastive(*anchors, **scale) * len(anchors.labels)
    torch.testing.assert_close(model.loss(real), per_pair(model, real).sum() + contrast)
    anchors = real.joined_with(extra).only_positive()
    contrast = supervised_contrastive(*anchors, **scale) * len(anchors.labels)
    expected = per_pair(model, real).sum() + 0.5 * per_pair(model, extra).sum() + contrast
    for combination in ("concatenate", "two_means"):
        torch.testing.assert_close(
            model.loss(real, extra, weight=0.5, combination=combination), expected
        )


@pytest.mark.parametrize("form", ["cosine", "dot"])
def test_all_pairs_of_the_batch_as_contrasts(form):
    model, real, extra, _, _ = one(Baseline, contrast_with="all", contrastive=form)
    union = real.joined_with(extra)
    na = union.representations[union.labels[:, 0] == 1]
    assert len(na) > 0
    contrast = supervised_contrastive(
        *union.only_positive(), temperature=1.0, base_temperature=0.5, form=form, contrasts=na
    )
    classification = torch.cat([per_pair(model, pairs) for pairs in (real, extra)]).mean()
    torch.testing.assert_close(model.loss(real, extra), classification + contrast)
    loss = model.loss(
        Pairs(real.representations, torch.eye(CLASSES)[:1].expand(len(real.labels), -1))
    )  # no positive pair
    loss.backward()
    assert loss.isfinite() and all(
        p.grad.isfinite().all() for p in model.parameters() if p.grad is not None
    )


def test_the_contrastive_loss_can_be_left_out():
    model, real, _, _, _ = one(Baseline)
    torch.testing.assert_close(model.loss(real, contrastive=False), per_pair(model, real).mean())


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        (
            "axial",
            "padded",
            "axial must be one of masked, pad_to_42_unmasked, sequential, not 'padded'",
        ),
        ("diagonal", "yes", "diagonal must be true or false, not 'yes'"),
        (
            "entropy",
            "off",
            "entropy must be one of vectorised, per_pair, broadcast, none, not 'off'",
        ),
        ("contrastive", "euclid", "contrastive must be one of cosine, dot, not 'euclid'"),
        (
            "contrast_with",
            "negatives",
            "contrast_with must be one of positives, all, not 'negatives'",
        ),
        ("reduction", "max", "reduction must be one of mean, sum, not 'max'"),
    ],
)
def test_mistakes_are_named(option, value, message):
    with pytest.raises(ConfigError) as caught:
        Baseline(16, CLASSES, **SMALL, **{option: value})
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("kd_docre", {"gamma": "abc"}, "gamma must be a finite number"),
        ("kd_docre", {"gamma": -5.0}, "gamma must be a finite number of at least 0"),
        ("kd_docre", {"layers": -1}, "layers must be a whole number of at least 0"),
        ("baseline", {"temperature": 0}, "temperature must be a finite number above 0"),
        (
            "baseline",
            {"base_temperature": float("nan")},
            "base_temperature must be a finite number",
        ),
    ],
)
def test_numbers_out_of_range_are_named(name, options, message):
    with pytest.raises(ConfigError, match=message):
        BACKBONES[name](16, 3, **{"emb": 8, "block": 4, "layers": 1, **options})


def test_an_encoder_whose_width_the_axial_heads_do_not_divide_is_named():
    with pytest.raises(ConfigError, match="must be a multiple of that, it is 12"):
        BACKBONES["kd_docre"](12, 3, emb=8, block=4, layers=1)
