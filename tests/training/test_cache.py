"""The cache of a frozen encoder's outputs is bound to all that decides them."""

import pytest
import torch
from samples import ADA, ROME, corpus

from backbones.encoders.tiny import Tiny
from benchmark.data.features import featurise
from benchmark.progress import Progress
from benchmark.training.cache import encode_once


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return Tiny(ADA["sentences"], vocabulary=60, width=8, layers=1, heads=2).eval()


@pytest.fixture
def encode(encoder, tmp_path):
    made = corpus([ADA, ROME])
    features = featurise(made.train, made, encoder.tokenizer, training=True)
    where = {"device": torch.device("cpu"), "progress": Progress.silent()}
    return lambda: encode_once(encoder, features, tmp_path, **where)


@pytest.mark.parametrize("change", ["nothing", "heads", "weights"])
def test_the_same_encoder_is_found_and_another_is_not(encoder, encode, tmp_path, change):
    encode()
    if change == "heads":
        encoder.model.config.num_attention_heads = 4
    if change == "weights":
        next(encoder.model.parameters()).data.add_(1)
    encode()
    assert len(list(tmp_path.glob("encoded-*"))) == (1 if change == "nothing" else 2)


@pytest.mark.parametrize("part", [0, 0.3, 0.99])
def test_a_torn_file_is_replaced(encode, tmp_path, part):
    before = encode()
    (file,) = tmp_path.glob("encoded-*")
    content = file.read_bytes()
    file.unlink()  # `before` reads from it as it goes, and must not see it shrink
    file.write_bytes(content[: int(part * len(content))])
    after = encode()
    assert torch.equal(before.states, after.states) and torch.equal(before.rows, after.rows)
