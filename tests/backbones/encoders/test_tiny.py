"""The made-on-the-spot BERT: near positions first, from a seed, restored through its configuration
and safetensors alone.
"""

import pytest
import torch
from samples import ADA, ROME

from backbones.encoders.tiny import Tiny
from benchmark.errors import ConfigError

WORDS = [sentence for row in (ADA, ROME) for sentence in row["sentences"]]


def made(seed=0, **options):
    torch.manual_seed(seed)
    return Tiny(WORDS, **{"vocabulary": 200, "layers": 2, **options})


def attentions(encoder, ids):
    """[layers, heads, T, T] of one window."""
    encoder.model.eval().set_attn_implementation("eager")
    return torch.cat(encoder.model(input_ids=ids, output_attentions=True).attentions)


@pytest.fixture(scope="module")
def ids():
    return torch.randint(5, 40, (1, 60), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "size", [{"width": 64, "heads": 4}, {"width": 128, "heads": 4}, {"width": 32, "heads": 2}]
)
def test_every_head_attends_to_near_positions_whatever_the_words(ids, size):
    for layer, share in zip(attentions(made(**size), ids), (0.7, 0.25), strict=True):
        # [heads, T, T]; 7 of 60 would be 0.12. Heads differ in what they read there only
        assert layer.allclose(layer[:1].expand_as(layer), atol=1e-5)
        windows = torch.stack([layer[0, at, at - 3 : at + 4] for at in range(10, 50)])
        assert (windows.argmax(1) - 3).abs().max() <= 1 and windows.sum(1).min() > share
        # words change a row a little: the layer normalisation divides by their length
        mean = windows.mean(0)
        assert mean[3] > mean[4] > mean[5] > mean[6]
        torch.testing.assert_close(mean, mean.flip(0), atol=0.02, rtol=0)  # both sides alike


@pytest.mark.parametrize(
    "size", [{"heads": 1}, {"width": 60, "heads": 4}, {"width": 12, "heads": 4}]
)
def test_sizes_that_do_not_fit_are_named(size):
    with pytest.raises(ConfigError, match="heads"):
        made(**size)


def test_a_window_has_room_for_a_token():
    assert made(positions=3).windows.room == 1
    with pytest.raises(ConfigError, match="positions"):
        made(positions=2)
