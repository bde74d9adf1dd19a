"""Axial attention over the table of a document's entity pairs (Ho et al. 2019, as used by Tan et al. 2022).

Every pair attends to the pairs of its column (same tail) and of its row (same head). The official code adds both to the input,
unlike the paper's Eq. (21), which applies them one after the other; see docs/fidelity.md. It also pads every document to 42 x
42 pairs and attends to the padding; here the linear maps run on the cells that exist and the attention is masked.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from benchmark.data.batches import Batch

HEADS = 8


class Table:
    """Where the cells [C, *] of a batch stand in a padded table [D, n, n, *], and which of its positions are real."""

    def __init__(self, batch: Batch):
        n = max(1, batch.largest)
        self.shape = (len(batch.rows), n, n)
        self.index = tuple(batch.cells.unbind(1))
        real = torch.arange(n, device=batch.entities.device) < batch.entities.unsqueeze(1)  # [D, n]
        real[:, 0] = True  # a document without entities must not make a softmax over nothing
        self.mask = real.repeat_interleave(n, 0)[:, None, None, :]  # [D * n, 1, 1, n]

    def scatter(self, cells: Tensor) -> Tensor:
        return cells.new_zeros(*self.shape, cells.shape[-1]).index_put(self.index, cells)

    def gather(self, table: Tensor) -> Tensor:
        return table[self.index]


class AxialAttention(nn.Module):
    """Multi-head self-attention along one axis of the table; the scale is that of a head's width.

    Args:
        axis: "column" attends over heads with the tail fixed, "row" over tails with the head fixed.
    """

    def __init__(self, width: int, axis: str):
        super().__init__()
        self.axis = axis
        self.project = nn.Linear(width, 3 * width, bias=False)  # queries, keys, values
        self.out = nn.Linear(width, width)

    def forward(self, cells: Tensor, table: Table) -> Tensor:
        """[C, d] -> [C, d]."""
        D, n, _ = table.shape
        grid = table.scatter(self.project(cells))  # [D, n, n, 3 * d]
        if self.axis == "column":
            grid = grid.transpose(1, 2)
        query, key, value = grid.reshape(D * n, n, 3, HEADS, -1).permute(2, 0, 3, 1, 4)  # each [D * n, heads, n, d / heads]
        mixed = scaled_dot_product_attention(query, key, value, attn_mask=table.mask)
        mixed = mixed.transpose(1, 2).reshape(D, n, n, -1)
        if self.axis == "column":
            mixed = mixed.transpose(1, 2)
        return self.out(table.gather(mixed))


class AxialLayer(nn.Module):
    """x -> LayerNorm(W (x + column(x) + row(x)))."""

    def __init__(self, width: int):
        super().__init__()
        self.column = AxialAttention(width, "column")
        self.row = AxialAttention(width, "row")
        self.linear = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, cells: Tensor, table: Table) -> Tensor:
        return self.norm(self.linear(cells + self.column(cells, table) + self.row(cells, table)))


class AxialStack(nn.Module):
    """`layers` axial layers over the cells [C, d] of a batch."""

    def __init__(self, width: int, layers: int):
        super().__init__()
        self.layers = nn.ModuleList(AxialLayer(width) for _ in range(layers))

    def forward(self, cells: Tensor, batch: Batch) -> Tensor:
        table = Table(batch)
        for layer in self.layers:
            cells = layer(cells, table)
        return cells
