"""The cache of a frozen encoder's outputs is bound to all that decides them."""

import pytest
from samples import ADA, ROME, corpus

from backbones.encoders.tiny import Tiny
from benchmark.data.features import featurise
from benchmark.progress import Progress
from benchmark.training.cache import encode_once


@pytest.mark.parametrize("change", ["nothing", "heads", "weights"])
def test_the_same_encoder_is_found_and_another_is_not(tmp_path, change):
    import torch

    torch.manual_seed(0)
    encoder = Tiny(ADA["sentences"], vocabulary=60, width=8, layers=1, heads=2).eval()
    made = corpus([ADA, ROME])
    features = featurise(made.train, made, encoder.tokenizer, training=True)
    folder, cpu = tmp_path / "cache", torch.device("cpu")
    encode_once(encoder, features, folder, cpu, Progress.silent())
    if change == "heads":
        encoder.model.config.num_attention_heads = 4
    if change == "weights":
        next(encoder.model.parameters()).data.add_(1)
    encode_once(encoder, features, folder, cpu, Progress.silent())
    assert len(list(folder.glob("encoded-*"))) == (1 if change == "nothing" else 2)


@pytest.mark.parametrize("part", [0, 0.3, 0.99])
def test_a_torn_file_is_replaced(tmp_path, part):
    import torch

    torch.manual_seed(0)
    encoder = Tiny(ADA["sentences"], vocabulary=60, width=8, layers=1, heads=2).eval()
    made = corpus([ADA, ROME])
    features = featurise(made.train, made, encoder.tokenizer, training=True)
    before = encode_once(encoder, features, tmp_path, torch.device("cpu"), Progress.silent())
    (file,) = tmp_path.glob("encoded-*")
    content = file.read_bytes()
    # `before` reads from it as it goes: a file that shrinks below it would be the end of the
    # process
    file.unlink()
    file.write_bytes(content[: int(part * len(content))])
    after = encode_once(encoder, features, tmp_path, torch.device("cpu"), Progress.silent())
    assert torch.equal(before.states, after.states) and torch.equal(before.rows, after.rows)
