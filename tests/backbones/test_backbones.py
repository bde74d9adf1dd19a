"""The prediction rule, parts of several backbones, and gradients that repeat bit for bit."""

import contextlib
import itertools

import pytest
import torch
from made_up_batches import random_batch, random_documents, random_encoded
from torch.overrides import TorchFunctionMode

from backbones.base import Backbone
from backbones.parts.bilinear import GroupedBilinear, _blocks
from backbones.parts.binary import BinaryRelations, few_negatives
from backbones.parts.pooling import entity_embeddings
from backbones.parts.unet import MaskedBatchNorm
from benchmark.data.made_up import made_up_batch, made_up_document, made_up_encoding
from benchmark.errors import ConfigError
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
    encoded = random_encoded(batch).changed(torch.Tensor.float)
    weights = torch.randn(len(batch.pair_cell), backbone.width)

    def gradient():
        backbone.zero_grad()
        (backbone.represent(encoded, batch) * weights).sum().backward()
        return torch.cat([p.grad.flatten() for p in backbone.parameters() if p.grad is not None])

    first = gradient()
    assert all(torch.equal(gradient(), first) for _ in range(9))


class WideExponentials(TorchFunctionMode):
    """As in the autocast of a GPU, which computes `exp` in single precision."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function in (torch.exp, torch.Tensor.exp):
            args = tuple(arg.float() for arg in args)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("wide", [contextlib.nullcontext, WideExponentials])
@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_runs_in_bfloat16(name, wide):
    kind = BACKBONES[name]
    backbone = kind(16, CLASSES, **kind.check_options)
    batch = made_up_batch(random_documents((3, 5, 2)), kind.needs, kind.label_tokens)
    with torch.autocast("cpu", torch.bfloat16), wide():
        encoded = random_encoded(batch).changed(torch.Tensor.float)
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
    """All positives count, and few negatives, other ones each time."""
    labels = torch.zeros(20, 3)
    labels[:2, 1] = labels[2:, 0] = 1
    draws = [few_negatives(labels, factor, least) for _ in range(20)]
    assert all(drawn[:2].all() and drawn.sum() == kept for drawn in draws)
    assert torch.stack(draws).any(0).all()


def test_binary_relations_have_no_limit():
    """Six of six, where three are allowed and class 0 is above them all."""
    model = BinaryRelations()
    model.move_threshold(0.5)
    logits = torch.tensor([[9.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [0.0, 0.5, 0.4, 0.6, 0, 0, 0]])
    facts, margins = model.predict(logits, max_labels=3)
    assert facts.tolist() == [*([0, r] for r in range(1, 7)), [1, 3]]
    torch.testing.assert_close(margins[-1].item(), 0.1, atol=1e-6, rtol=0)


def test_the_evidence_loss_of_two_processes_is_that_of_the_whole_batch():
    """Their gradients are averaged; the first has no evidence at all."""
    kind = BACKBONES["dreeam"]
    torch.manual_seed(0)
    model = kind(16, CLASSES, **kind.check_options)
    documents = [made_up_document(number, n) for number, n in enumerate((4, 3))]
    made = lambda some: made_up_batch(some, kind.needs)
    whole, first, second = made(documents), made(documents[:1]), made(documents[1:])
    whole.evidence = whole.evidence[whole.pairs[whole.evidence[:, 0], 0] == 1]
    first.evidence = first.evidence[:0]
    assert len(whole.evidence) == len(second.evidence) > 0 and len(first.positive)
    second.share = 2 * len(second.positive) / len(whole.positive)
    loss = lambda batch: model.auxiliary_loss(None, made_up_encoding(batch), batch)
    torch.testing.assert_close((loss(first) + loss(second)) / 2, loss(whole))


def test_the_batch_normalisation_of_a_table_is_that_of_its_cells():
    """In training: statistics, running ones too, of the cells that exist; the others are 0."""
    torch.manual_seed(0)
    ours, plain = MaskedBatchNorm(3).double(), torch.nn.BatchNorm1d(3).double()
    for norm in (ours, plain):
        torch.nn.init.constant_(norm.weight, 2.0)
        torch.nn.init.constant_(norm.bias, 0.5)
    table = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    real = torch.zeros(2, 1, 4, 4, dtype=torch.float64)
    real[0, 0, :3, :3] = real[1, 0, :2, :2] = 1
    places = [tuple(place) for place in real[:, 0].nonzero().tolist()]
    expected = torch.zeros_like(table)
    normal = plain(torch.stack([table[d, :, i, j] for d, i, j in places]))
    for (d, i, j), cell in zip(places, normal, strict=True):
        expected[d, :, i, j] = cell
    torch.testing.assert_close(ours(table, real), expected)
    for name in ("running_mean", "running_var"):
        torch.testing.assert_close(getattr(ours, name), getattr(plain, name))


def test_docunets_table_has_room_for_so_many_entities():
    kind = BACKBONES["docunet"]
    model, batch = kind(16, CLASSES, **kind.check_options | {"side": 4}), random_batch((5, 2))
    model.require_room(4)
    for refused in (
        lambda: model.require_room(5),
        lambda: model.represent(random_encoded(batch), batch),
    ):
        with pytest.raises(ConfigError, match="room for 4: set side to at least 5"):
            refused()


def test_gains_attention_weighs_the_paths_of_a_pair():
    """Against a loop over pairs and paths. One sentence names entities 0 to 3, another 3 and 4."""
    torch.manual_seed(0)
    kind = BACKBONES["gain"]
    model = kind(16, CLASSES, **kind.check_options, paths="softmax").double().eval()
    batch = made_up_batch([made_up_document(0, 5)], kind.needs)
    shared = torch.zeros(1, 5, 5, dtype=torch.float64)
    for sentence in ((0, 1, 2, 3), (3, 4)):
        for i, j in itertools.permutations(sentence, 2):
            shared[0, i, j] = 1
    model.shared_sentences = lambda batch: shared
    entities = torch.randn(5, model.attention.in_features // 2, dtype=torch.float64)
    found = model.paths(entities, batch)[0]
    u = entities[:, -model.edge.out_features :]
    edge = lambda i, j: model.edge(torch.cat([u[i], u[j]])).relu()
    for i, j in itertools.permutations(range(5), 2):
        middles = [m for m in range(5) if shared[0, i, m] and shared[0, m, j]]
        steps = [((i, m), (m, j), (j, m), (m, i)) for m in middles]
        paths = [torch.cat([edge(*step) for step in path]) for path in steps]
        expected = torch.zeros(found.shape[2], dtype=torch.float64)
        if paths:
            wanted = model.attention(torch.cat([entities[i], entities[j]]))
            scores = torch.stack([wanted @ path for path in paths]).softmax(0)
            expected = (scores[:, None] * torch.stack(paths)).sum(0)
        torch.testing.assert_close(found[i, j], expected)
    assert not found[0, 4].eq(0).all() and len(middles) == 0
    found.sum().backward()
    assert all(p.grad.isfinite().all() for p in model.attention.parameters())
