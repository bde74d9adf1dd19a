"""The prediction rule, parts of several backbones, and gradients that repeat bit for bit."""

import pytest
import torch
from made_up_batches import random_batch, random_documents, random_encoded

from backbones.base import Backbone
from backbones.parts.bilinear import GroupedBilinear, _blocks
from backbones.parts.binary import with_few_negatives
from backbones.parts.pooling import entity_embeddings
from benchmark.data.batches import Encoded
from benchmark.data.made_up import made_up_batch
from benchmark.registry import BACKBONES

SMALL = {"atlop": {"emb": 16, "block": 4}, "kd_docre": {"emb": 16, "block": 4, "layers": 2}}
CLASSES = 6


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", SMALL)
def test_two_threads_give_the_same_gradients_every_time(name, two_threads):
    """The second document's pairs are the middle ones, so that both threads add to its entities'
    gradients.
    """
    torch.manual_seed(0)
    backbone = BACKBONES[name](16, CLASSES, **SMALL[name] | {"emb": 512, "block": 1})
    batch = random_batch((12, 35, 16, 20))
    encoded = Encoded(*(tensor.float() for tensor in random_encoded(batch)))
    weights = torch.randn(len(batch.pair_cell), backbone.width)

    def gradient():
        backbone.zero_grad()
        (backbone.represent(encoded, batch) * weights).sum().backward()
        return torch.cat([p.grad.flatten() for p in backbone.parameters() if p.grad is not None])

    first = gradient()
    assert all(torch.equal(gradient(), first) for _ in range(9))


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_runs_in_bfloat16(name):
    kind = BACKBONES[name]
    backbone = kind(16, CLASSES, **kind.check_options)
    batch = made_up_batch(random_documents((3, 5, 2)), kind.needs)
    with torch.autocast("cpu", torch.bfloat16):
        encoded = Encoded(*(tensor.float() for tensor in random_encoded(batch)))
        logits = backbone.classify(backbone.represent(encoded, batch))
    assert logits.isfinite().all()


def test_prediction_rule():
    #            threshold  relations
    logits = torch.tensor(
        [
            [0.0, 1.0, -1.0, 2.0, 3.0, 4.0],
            [5.0, 1.0, 2.0, 3.0, 4.0, 4.9],
            [0.0, 0.5, -1.0, -1.0, -1.0, -1.0],
        ]
    )
    facts, margins = Backbone().predict(logits, max_labels=3)
    assert facts.tolist() == [[0, 3], [0, 4], [0, 5], [2, 1]]
    assert margins.tolist() == [2.0, 3.0, 4.0, 0.5]


@pytest.mark.parametrize(
    ("fit", "blocks"), [(100, 1), (10, 2), (3, 2 * 4), (0, 2 * 10)]
)  # products of so many pairs and groups fit
def test_grouped_bilinear_against_all_products(monkeypatch, fit, blocks):
    monkeypatch.setattr("backbones.parts.bilinear.BLOCK_BYTES", fit * 4 * 4 * 8)
    torch.manual_seed(0)
    layer = GroupedBilinear(8, 4, 5, bias=True).double()
    head, tail = (torch.randn(10, 8, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert len(list(_blocks(head.view(10, 2, 4)))) == blocks
    products = torch.einsum("pgi,pgj->pgij", head.view(10, 2, 4), tail.view(10, 2, 4)).flatten(1)
    torch.testing.assert_close(layer(head, tail), layer.linear(products))
    assert torch.autograd.gradcheck(layer, (head, tail))
    naive = torch.autograd.grad(
        layer.linear(products).sin().sum(), [head, tail, *layer.parameters()], retain_graph=True
    )
    ours = torch.autograd.grad(layer(head, tail).sin().sum(), [head, tail, *layer.parameters()])
    torch.testing.assert_close(ours, naive)
    assert layer(head[:0], tail[:0]).shape == (0, 5)


def test_half_precision_weight_gradients_are_summed_in_single(monkeypatch):
    torch.manual_seed(0)
    layer = GroupedBilinear(8, 4, 5, bias=False)
    head, tail = torch.randn(600, 8), torch.randn(600, 8)
    gradients = []
    for fit in (1, 2 * 600):  # products of so many pairs and groups at a time
        monkeypatch.setattr("backbones.parts.bilinear.BLOCK_BYTES", fit * 4 * 4 * 2)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = layer(head, tail)
        gradients.append(torch.autograd.grad(output.float().sin().sum(), layer.linear.weight)[0])
    torch.testing.assert_close(*gradients, rtol=0.02, atol=0.15)


def test_entity_embeddings_of_large_states_are_finite():
    batch = random_batch()
    states = (random_encoded(batch).states * 1e4).requires_grad_()
    found = entity_embeddings(states, batch)
    found.sum().backward()
    assert found.isfinite().all() and states.grad.isfinite().all()


@pytest.mark.parametrize(("factor", "least", "kept"), [(2, 1, 6), (0, 5, 7), (9, 1, 20)])
def test_few_negatives(factor, least, kept):
    """All positives count, few negatives, and the mean is that of those."""
    labels = torch.zeros(20, 3)
    labels[:2, 1] = labels[2:, 0] = 1
    losses = torch.arange(1.0, 21.0)
    found = with_few_negatives(losses, labels, factor, least)
    counted = found > 0
    assert counted[:2].all() and counted.sum() == kept
    torch.testing.assert_close(found.mean(), losses[counted].mean())
