"""What the options of the objectives change, and mistakes in them."""

import pytest
import torch
from made_up_batches import random_batch, random_encoded

from backbones.baseline import Baseline
from backbones.parts.losses import supervised_contrastive
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
    encoded = random_encoded(batch).changed(torch.Tensor.float)
    pairs = Pairs(model.represent(encoded, batch), batch.labels(CLASSES))
    without = pairs.representations[pairs.labels[:, 0] == 1]
    assert len(without) > 0
    expected = supervised_contrastive(
        *pairs.only_positive(), temperature=1.0, base_temperature=0.5, form=form, contrasts=without
    )
    torch.testing.assert_close(model.auxiliary_loss(pairs, encoded, batch), expected)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("baseline", {"axial": "padded"}, "'axial': .* 'masked', .* or 'sequential', got 'padded'"),
        ("baseline", {"base_temperature": float("nan")}, "'base_temperature': .* finite number"),
        ("kd_docre", {"layers": -1}, "'layers': .* greater than or equal to 0"),
        ("kd_docre", {"layer": 1}, "'layer': Extra inputs are not permitted"),
        ("gain", {"rate": 2}, "'rate': .* less than or equal to 1, got 2"),
        ("jerex", {"rate": 2}, "'rate': .* less than or equal to 1, got 2"),
        ("rsman", {"rate": 2}, "'rate': .* less than or equal to 1, got 2"),
        ("ssan", {"rate": 2}, "'rate': .* less than or equal to 1, got 2"),
    ],
)
def test_mistakes_are_named(name, options, message):
    with pytest.raises(ConfigError, match=f"option {message}"):
        BACKBONES[name](16, 3, **options)


def test_an_encoder_whose_width_the_axial_heads_do_not_divide_is_named():
    with pytest.raises(ConfigError, match="must be a multiple of that, got 12"):
        BACKBONES["kd_docre"](12, 3, emb=8, block=4, layers=1)
