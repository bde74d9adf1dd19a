"""What the options of the objectives change, and mistakes in them."""

import pytest
import torch
from made_up_batches import random_batch, random_encoded

from backbones.baseline import Baseline
from backbones.parts.losses import supervised_contrastive
from benchmark.data.batches import Encoded
from benchmark.data.pairs import Pairs
from benchmark.errors import ConfigError
from benchmark.registry import BACKBONES

SMALL = {"emb": 16, "block": 4, "layers": 1}
CLASSES = 6


@pytest.mark.parametrize("form", ["cosine", "dot"])
def test_all_pairs_of_the_batch_as_contrasts(form):
    torch.manual_seed(0)
    model = Baseline(16, CLASSES, **SMALL, contrast_with="all", contrastive=form)
    batch = random_batch((4, 3))
    encoded = Encoded(*(x.float() for x in random_encoded(batch)))
    pairs = Pairs(model.represent(encoded, batch), batch.labels(CLASSES))
    without = pairs.representations[pairs.labels[:, 0] == 1]
    assert len(without) > 0
    expected = supervised_contrastive(
        *pairs.only_positive(), temperature=1.0, base_temperature=0.5, form=form, contrasts=without
    )
    torch.testing.assert_close(model.auxiliary_loss(pairs, encoded, batch), expected)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        (
            "axial",
            "padded",
            "axial must be one of masked, pad_to_42_unmasked, sequential, not 'padded'",
        ),
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
