"""The other readings of the axial attention: the official padded table and Eq. (21), each against
loops over cells.
"""

import pytest
import torch
from made_up_batches import random_batch, random_encoded

from backbones.kd_docre import KdDocre
from backbones.parts.axial import AxialStack
from benchmark.errors import ConfigError

SMALL = {"emb": 16, "block": 4, "layers": 2}


def attended(attention, line, at):
    """Attention of the cell `at` over a line of cells [n, d], written out head by head."""
    d = line.shape[1]
    query, key, value = (attention.project.weight[i * d : (i + 1) * d] for i in range(3))
    heads = []
    for part in torch.arange(d).split(d // 8):
        scores = (line @ key[part].t()) @ (query[part] @ line[at]) / (d // 8) ** 0.5
        heads.append(scores.softmax(0) @ (line @ value[part].t()))
    return attention.out(torch.cat(heads))


def axes(layer, table):
    """Column and row attention of every cell of a dense table [n, n, d]."""
    heads = tails = range(len(table))
    column = [attended(layer.column, table[:, t], h) for h in heads for t in tails]
    row = [attended(layer.row, table[h], t) for h in heads for t in tails]
    return (torch.stack(cells).view_as(table) for cells in (column, row))


def test_padded_to_42_against_a_dense_table(monkeypatch):
    """A padded cell has head, tail and context of zeros; it is projected, attends and is attended
    to like any other.

    With tables of 5 x 5, so that the loops end soon.
    """
    monkeypatch.setattr("backbones.parts.axial.OFFICIAL_ENTITIES", 5)
    torch.manual_seed(0)
    model = KdDocre(16, 6, **SMALL, axial="pad_to_42_unmasked").double()
    batch = random_batch((3, 5, 2, 0))
    encoded = random_encoded(batch)
    head, tail = model.features(encoded, batch, batch.cells)
    nothing = torch.zeros(1, 32, dtype=torch.float64)
    sides = (model.features.head, model.features.tail)
    absent = model.projection(*(side(nothing).tanh() for side in sides))
    projected = model.projection(head, tail)
    found = model.represent_cells(encoded, batch)
    for document, n in enumerate((3, 5, 2)):
        mine = batch.cells[:, 0] == document
        start = absent.expand(5, 5, -1).clone()
        start[:n, :n] = projected[mine].view(n, n, -1)
        table = start
        for layer in model.axial.layers:
            column, row = axes(layer, table)
            table = layer.norm(layer.linear(table + column + row))
        torch.testing.assert_close(found[mine], (table + start)[:n, :n].flatten(0, 1))
    masked = KdDocre(16, 6, **SMALL).double()
    masked.load_state_dict(model.state_dict())
    full, without = batch.cells[:, 0] == 1, masked.represent_cells(encoded, batch)
    torch.testing.assert_close(found[full], without[full])  # the document without padding
    assert (found - without)[~full].abs().max() > 0.01


def test_the_padded_table_has_room_for_42_entities():
    model = KdDocre(8, 6, emb=8, block=4, layers=1, axial="pad_to_42_unmasked").double()
    batch = random_batch((2, 43))
    with pytest.raises(
        ConfigError, match="axial: pad_to_42_unmasked .* at most 42 entities, and one has 43"
    ):
        model.represent(random_encoded(batch, width=8), batch)


def test_sequential_is_eq_21():
    torch.manual_seed(1)
    stack = AxialStack(16, 2, axial="sequential").double()
    batch = random_batch((3, 4))
    cells = torch.randn(len(batch.cells), 16, dtype=torch.float64)
    found = stack(cells, batch)
    for document, n in enumerate((3, 4)):
        mine = batch.cells[:, 0] == document
        table = cells[mine].view(n, n, -1)
        for layer in stack.layers:
            column, _ = axes(layer, table)
            _, row = axes(layer, table + column)
            table = layer.norm(layer.linear(table + column + row))
        torch.testing.assert_close(found[mine], table.flatten(0, 1))
    parallel = AxialStack(16, 2).double()
    parallel.load_state_dict(stack.state_dict())
    assert (parallel(cells, batch) - found).abs().max() > 0.01
