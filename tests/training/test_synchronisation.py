"""A training step waits for no device: between token ids and gradients nothing asks for a value
that only the device knows.

On the "meta" device, whose tensors have shapes and no values, whatever asks for one fails.
"""

import contextlib

import pytest
import tiny_runs
import torch

from benchmark.config import Choice
from benchmark.data.collation import Collator
from benchmark.data.features import featurise
from benchmark.data.pairs import Pairs
from benchmark.data.sampling import Rows
from benchmark.training.building import build_model

META = torch.device("meta")


@pytest.fixture
def step():
    corpus = tiny_runs.tiny_corpus()

    def of(run):
        model = build_model(run, corpus).train()
        rows = Rows(featurise(corpus.train, corpus, model.encoder.tokenizer, training=True))
        return model, Collator(model.encoder.windows)([rows[0], rows[1], rows[2]])

    return of


class Shrinking:
    """An augmentation without the checks, which do ask for values."""

    changes = {}

    def generate(self, backbone, real, encoded, batch, encode_again):
        positive = real.only_positive()
        count = torch.arange(len(positive.labels), device=META)
        return Pairs(positive.representations * 0.9, positive.labels, count)


@pytest.mark.parametrize("backbone", [*tiny_runs.BACKBONES, "correl"])
@pytest.mark.parametrize("augment", [None, Shrinking()])
def test_a_step_asks_for_no_value(backbone, augment, step, monkeypatch):
    # the meta device has no autocast
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda *_: False)
    run, options = tiny_runs.config(), tiny_runs.BACKBONES.get(backbone, {"emb": 8, "block": 4})
    chosen = Choice(name=backbone, options=options)
    model, batch = step(run.model_copy(update={"backbone": chosen}))
    loss = model.to(META)(batch.to(META), augment)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    trained = [p for p in model.parameters() if p.requires_grad]
    assert loss.device == META and all(p.grad is not None for p in trained)


def test_known_positives_are_those_of_the_labels(step):
    model, batch = step(tiny_runs.config())
    labels = batch.labels(model.classes)
    assert torch.equal(batch.positive, (labels[:, 0] == 0).nonzero().squeeze(1))


def test_a_prepared_mask_means_the_same(step):
    """The mask that the encoder gets on a GPU, against the one that it gets on the CPU: same
    states, padding or not.
    """
    model, batch = step(tiny_runs.config())
    encoder, real = model.eval().encoder.model, batch.window_mask.bool()
    assert not real.all()
    on_cpu = encoder(input_ids=batch.window_ids, attention_mask=batch.window_mask)
    prepared = encoder(input_ids=batch.window_ids, attention_mask=real[:, None, None, :])
    states = on_cpu.last_hidden_state, prepared.last_hidden_state
    torch.testing.assert_close(states[1][real], states[0][real])
