"""Representations, logits and predictions of the official models at fixed random weights
(float64).
"""

import numpy as np
import pytest
import torch
from parity_files import encoding, read, weights

from backbones.parts.features import localized_context
from benchmark.data.pairs import Pairs
from benchmark.registry import BACKBONES

CLASSES = 97
# The official forward pass returned these losses in float32, all three of them; test_losses.py
# compares the losses themselves at 1e-9. The contrastive part of head_baseline was added in
# float64: with the other part rounded, it agrees as closely.
LOSS = 1e-7


@pytest.fixture
def float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def official(name, backbone, **options):
    """The backbone with the official weights, the batch and the encoding of a parity file."""
    arrays = read(name)
    batch, encoded = encoding(arrays)
    model = BACKBONES[backbone](encoded.states.shape[-1], CLASSES, emb=64, block=16, **options)
    ours, unused = BACKBONES[backbone].official.translate(weights(arrays))
    model.load_state_dict(ours)
    return arrays, model, batch, encoded, unused


def close(found, expected, atol=1e-12):
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-8, atol=atol)


def rows_in(batch, pairs):
    """For every (document, head, tail) of `pairs`, its number in the batch."""
    numbers = {tuple(pair): i for i, pair in enumerate(batch.tolist())}
    return [numbers[tuple(pair)] for pair in pairs.tolist()]


def test_atlop(float64):
    arrays, model, batch, encoded, unused = official("head_atlop", "atlop")
    order = rows_in(batch.pairs, arrays["pairs"])
    context = localized_context(encoded, batch, batch.pairs, heads="mean", epsilon=1e-5)[order]
    close(context, arrays["local_context"])
    logits = model.classify(model.represent(encoded, batch)[order])
    close(logits, arrays["logits"])
    loss = model.pair_loss(logits, torch.from_numpy(arrays["labels"]).double()).mean()
    assert loss.item() == pytest.approx(float(arrays["loss"]), rel=LOSS)
    assert_predictions(model, logits, arrays)
    assert unused == []


@pytest.mark.parametrize("axial", ["masked", "pad_to_42_unmasked"])  # the document has 42 entities
@pytest.mark.parametrize(
    ("name", "options"), [("head_kd_docre", {}), ("head_baseline", {"entropy": "broadcast"})]
)
def test_axial_backbones(float64, name, options, axial):
    backbone = name.removeprefix("head_")
    arrays, model, batch, encoded, unused = official(name, backbone, axial=axial, **options)
    pairs = np.column_stack([np.zeros(len(arrays["pairs"]), dtype=int), arrays["pairs"]])
    # row-major, the diagonal included
    assert rows_in(batch.cells, pairs) == list(range(len(pairs)))
    cells = model.represent_cells(encoded, batch)
    close(cells, arrays["features"], 1e-10)
    assert torch.equal(model.represent(encoded, batch), cells[batch.pair_cell])
    # the official code zeroes the diagonal
    logits = model.classify(cells) * torch.from_numpy(pairs[:, 1] != pairs[:, 2])[:, None]
    close(logits, arrays["logits"], 1e-10)
    labels = torch.from_numpy(arrays["labels"]).double()
    contrast = 0.0
    if name == "head_baseline":
        contrast = model.auxiliary_loss(Pairs(cells, labels), encoded, batch)
    loss = model.pair_loss(logits, labels).mean() + contrast
    assert loss.item() == pytest.approx(float(arrays["loss"]), rel=LOSS)
    assert_predictions(model, logits, arrays)
    assert unused == ["bilinear.weight", "bilinear.bias"]


def assert_predictions(model, logits, arrays):
    facts, margins = model.predict(logits.detach(), max_labels=4)
    predicted = torch.zeros(logits.shape, dtype=torch.bool)
    predicted[facts[:, 0], facts[:, 1]] = True
    np.testing.assert_array_equal(predicted[:, 1:].numpy(), arrays["predictions"][:, 1:] > 0)
    assert (margins > 0).all()
