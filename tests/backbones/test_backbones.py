"""Every backbone: packed and one-by-one computation agree, order does not matter, losses are finite
with few positives.
"""

import pytest
import torch
from made_up_batches import COLLATE, only, random_batch, random_encoded, random_row

from backbones.parts.axial import AxialStack
from backbones.parts.bilinear import GroupedBilinear, _blocks
from benchmark.data.batches import Encoded
from benchmark.registry import BACKBONES

SMALL = {
    "atlop": {"emb": 16, "block": 4},
    "kd_docre": {"emb": 16, "block": 4, "layers": 2},
    "baseline": {"emb": 16, "block": 4, "layers": 2},
}
CLASSES = 6


@pytest.fixture(params=SMALL)
def backbone(request):
    torch.manual_seed(0)
    return BACKBONES[request.param](16, CLASSES, **SMALL[request.param]).double()


def test_packed_and_one_by_one_agree(backbone):
    rows = [random_row(number, n) for number, n in enumerate((3, 5, 2, 0, 1))]
    batch = COLLATE(rows)
    encoded = random_encoded(batch)
    together = backbone.represent(encoded, batch)
    assert together.shape == (6 + 20 + 2, backbone.width)
    alone = torch.cat(
        [
            backbone.represent(e, b)
            for b, e in (only(batch, encoded, number, rows) for number in range(5))
        ]
    )
    torch.testing.assert_close(together, alone, rtol=1e-10, atol=1e-12)


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


def test_the_order_of_entities_does_not_matter(backbone):
    batch = random_batch((4,))
    encoded = random_encoded(batch)
    order = torch.tensor([2, 0, 3, 1])  # the new number of each entity
    row = random_row(0, 4)
    renamed = COLLATE(
        [
            {
                **row,
                "mention_entity": order[row["mention_entity"]].numpy(),
                "fact_head": (),
                "fact_tail": (),
                "fact_class": (),
            }
        ]
    )
    before, after = backbone.represent(encoded, batch), backbone.represent(encoded, renamed)
    number = {tuple(pair): i for i, pair in enumerate(renamed.pairs.tolist())}
    moved = [number[0, int(order[h]), int(order[t])] for _, h, t in batch.pairs.tolist()]
    torch.testing.assert_close(after[moved], before, rtol=1e-9, atol=1e-11)


def test_prediction_rule(backbone):
    #            threshold  relations
    logits = torch.tensor(
        [
            [0.0, 1.0, -1.0, 2.0, 3.0, 4.0],
            [5.0, 1.0, 2.0, 3.0, 4.0, 4.9],
            [0.0, 0.5, -1.0, -1.0, -1.0, -1.0],
        ]
    )
    facts, margins = backbone.predict(logits, max_labels=3)
    assert facts.tolist() == [[0, 3], [0, 4], [0, 5], [2, 1]]
    assert margins.tolist() == [2.0, 3.0, 4.0, 0.5]


def test_axial_stack_against_its_formula():
    """Column and row attention written out for every cell of one document among others."""
    torch.manual_seed(1)
    stack = AxialStack(16, 1).double()
    batch = random_batch((3, 4))
    cells = torch.randn(len(batch.cells), 16, dtype=torch.float64)
    found = stack(cells, batch)
    layer = stack.layers[0]
    table = {tuple(cell): x for cell, x in zip(batch.cells.tolist(), cells, strict=True)}
    for index, (d, h, t) in enumerate(batch.cells.tolist()):
        n = (3, 4)[d]
        total = table[d, h, t]
        for attention, line in (
            (layer.column, [(d, i, t) for i in range(n)]),
            (layer.row, [(d, h, i) for i in range(n)]),
        ):
            query = attention.project(table[d, h, t])[:16].view(8, 2)
            _, key, value = (
                attention.project(torch.stack([table[c] for c in line])).view(n, 3, 8, 2).unbind(1)
            )
            weight = torch.einsum("hk,nhk->hn", query, key).div(2**0.5).softmax(-1)
            total = total + attention.out(torch.einsum("hn,nhk->hk", weight, value).flatten())
        torch.testing.assert_close(found[index], layer.norm(layer.linear(total)))


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
