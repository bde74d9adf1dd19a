"""A backbone that appends a token for each class to every window: trained, stored, restored, cached
and seen by augmenters.
"""

import math
from dataclasses import replace

import pytest
import torch
from samples import ADA, ROME, corpus
from tiny_runs import config, execute, tiny_corpus

from backbones.encoders.tiny import Tiny
from benchmark.config import AugmentConfig, Choice
from benchmark.data.collation import Collator
from benchmark.data.features import featurise
from benchmark.data.sampling import Rows
from benchmark.progress import Progress
from benchmark.registry import BACKBONES
from benchmark.training.building import build_model, restore_model
from benchmark.training.cache import EncodedCollator, encode_once

CLASSES = 4
CHOSEN = Choice(name="correl", options={"emb": 8, "block": 4})


def labelled(**changes):
    return config(epochs=1).model_copy(update={"backbone": CHOSEN, **changes})


@pytest.fixture
def batches():
    """An encoder with label tokens, its features and a batch of documents of several windows."""
    torch.manual_seed(0)
    encoder = Tiny(ADA["sentences"], vocabulary=60, width=8, layers=1, heads=2).eval()
    encoder.append_tokens(CLASSES)
    encoder.windows = replace(encoder.windows, size=18, overlap=4)
    made = corpus([ADA, ROME])
    features = featurise(made.train, made, encoder.tokenizer, training=True)
    rows, collate = Rows(features), Collator(encoder.windows)
    batch = collate([rows[0], rows[1]])
    assert len(batch.window_ids) > 3
    return encoder, features, batch, collate


def label_text(encoded, batch):
    backbone = BACKBONES["correl"](8, CLASSES, emb=8, block=4)
    return backbone.label_text(encoded, batch)


def test_states_and_rows_are_those_of_the_windows(batches):
    """The states are means over a document's windows, the rows of a mention are added up."""
    encoder, _, batch, _ = batches
    found = label_text(encoder(batch), batch)
    encoder.model.set_attn_implementation("eager")
    output = encoder.model(
        batch.window_ids, attention_mask=batch.window_mask, output_attentions=True
    )
    first = encoder.windows.appended[0]
    start = (batch.window_ids == first).nonzero()[:, 1].tolist()
    document = torch.where(batch.window_target < 2 * batch.width, batch.window_target, -1)
    document = document.amax(1) // batch.width
    states = [output.last_hidden_state[w, s : s + CLASSES] for w, s in enumerate(start)]
    for d in range(2):
        mine = [states[w] for w in range(len(states)) if document[w] == d]
        torch.testing.assert_close(found.states[d], torch.stack(mine).mean(0))
    for mention in range(len(batch.mention_state)):
        shares, total = torch.zeros(2, CLASSES), 0.0
        for o in (batch.occurrence_mention == mention).nonzero().flatten().tolist():
            w, column = int(batch.occurrence_window[o]), int(batch.occurrence_column[o])
            row = output.attentions[-1][w, :, column]
            shares += row[:, start[w] : start[w] + CLASSES]
            total += row[:, batch.window_target[w] < 2 * batch.width].sum(1, keepdim=True)
        torch.testing.assert_close(found.rows[mention], shares / total)


def test_the_cache_of_encodings_keeps_them(batches, tmp_path):
    encoder, features, batch, collate = batches
    where = {"device": torch.device("cpu"), "progress": Progress.silent()}
    split = encode_once(encoder, features, tmp_path, **where)
    stored = EncodedCollator(collate, [split])([Rows(features)[0], Rows(features)[1]]).encoded
    with torch.no_grad():
        expected = encoder(batch)
    torch.testing.assert_close(stored, expected)
    assert label_text(stored, batch).states.abs().sum() > 0


def test_a_run_is_stored_and_restored(tmp_path, batches):
    directory = execute(tmp_path, labelled())
    assert math.isfinite(directory.read_history()[-1]["loss"])
    models = [restore_model(labelled(), directory.path, CLASSES).eval() for _ in range(2)]
    first, second = (model.encoder.model.embeddings.word_embeddings for model in models)
    windows, words = models[0].encoder.windows, first.num_embeddings
    assert windows.appended == tuple(range(words - CLASSES, words))
    row = dict(Rows(batches[1])[0])
    batch = Collator(windows)([row | {"tokens": row["tokens"] % 20}])
    logits, again = (model.logits(batch) for model in models)
    assert torch.equal(logits, again) and logits.isfinite().all()
    with torch.no_grad():
        second.weight[-CLASSES:] = 0
    assert not torch.equal(models[1].logits(batch), logits)


@pytest.mark.parametrize("augmenter", ["none", "gaussian", "era", "dropout_view"])
@pytest.mark.parametrize("stage3", ["head", "retrain"])
def test_under_both_protocols(tmp_path, stage3, augmenter):
    execute(tmp_path, labelled())
    if (stage3, augmenter) == ("retrain", "none"):
        return
    augment = AugmentConfig(stage3=stage3, warmup_epochs=1, passes=2)
    run = labelled(augment=augment, augmenter=Choice(name=augmenter))
    assert execute(tmp_path, run).read_json("metrics.json")["epochs"] == 1


@pytest.mark.parametrize("freeze", ["all", "lower:0"])
def test_in_a_frozen_encoder_they_stay_as_they_were_drawn(tmp_path, freeze):
    run = labelled(encoder=config().encoder.model_copy(update={"freeze": freeze}))
    trained = restore_model(run, execute(tmp_path, run).path, CLASSES)
    models = trained, build_model(run, tiny_corpus())
    words = [m.encoder.model.embeddings.word_embeddings for m in models]
    assert torch.equal(*(table.weight for table in words))
