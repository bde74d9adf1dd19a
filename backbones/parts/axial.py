"""Axial attention over the table of a document's entity pairs (Ho et al. 2019, as used by Tan et
al. 2022).

Every pair attends to the pairs of its column (same tail) and of its row (same head). The official
code (Stage_1/model.py) adds both to the input, where the paper's Eq. (21) applies them one after
the other. It also pads every document to 42 x 42 pairs and attends to the padding; here the
attention is masked. Both other readings are values of the option `axial`; see docs/fidelity.md.

Suffixes: D documents, n entities of the largest one, C cells (all ordered pairs, the diagonal
included), d width.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from benchmark.data.batches import Batch
from benchmark.errors import ConfigError

HEADS = 8
# the most entities of a Re-DocRED document; written into the official code in fifteen places
OFFICIAL_ENTITIES = 42
Axial = Literal["masked", "pad_to_42_unmasked", "sequential"]


def require_official_room(entities: int) -> None:
    if entities > OFFICIAL_ENTITIES:
        raise ConfigError(
            f"axial: pad_to_42_unmasked takes documents of at most {OFFICIAL_ENTITIES} "
            f"entities, and one has {entities}: use axial: masked"
        )


class Table(NamedTuple):
    """Where the cells [C, *] of a batch stand in a padded table [D, n, n, *]."""

    shape: tuple[int, int, int]
    index: tuple[Tensor, Tensor, Tensor]
    mask: Tensor | None  # [D * n, 1, 1, n]: which positions are real; None: all

    @classmethod
    def of(cls, batch: Batch) -> Table:
        n = max(1, batch.largest)
        real = torch.arange(n, device=batch.entities.device) < batch.entities.unsqueeze(1)  # [D, n]
        real[:, 0] = True  # a document without entities must not make a softmax over nothing
        mask = real.repeat_interleave(n, 0)[:, None, None, :]
        return cls((len(batch.rows), n, n), batch.cells.unbind(1), mask)

    @classmethod
    def official(cls, batch: Batch) -> Table:
        """42 x 42 cells for every document, all of them computed and in every softmax.

        Raises ConfigError for a document with more entities.
        """
        require_official_room(batch.largest)
        shape = (len(batch.rows), OFFICIAL_ENTITIES, OFFICIAL_ENTITIES)
        everywhere = (torch.arange(size, device=batch.cells.device) for size in shape)
        return cls(shape, torch.cartesian_prod(*everywhere).unbind(1), None)


class AxialAttention(nn.Module):
    """Multi-head self-attention along one axis of the table; the scale is that of a head's width.

    Args:
        axis: "column" attends over heads with the tail fixed, "row" over tails with the head fixed.
    """

    def __init__(self, width: int, axis: str):
        super().__init__()
        if width % HEADS:
            raise ConfigError(
                f"axial attention has {HEADS} heads: the encoder's width must be a multiple of "
                f"that, got {width}"
            )
        self.axis = axis
        self.project = nn.Linear(width, 3 * width, bias=False)  # queries, keys, values
        self.out = nn.Linear(width, width)

    def forward(self, cells: Tensor, table: Table) -> Tensor:
        """[C, d] -> [C, d]."""
        D, n, _ = table.shape
        projected = self.project(cells)  # [C, 3 * d]
        grid = projected.new_zeros(D, n, n, projected.shape[1]).index_put(table.index, projected)
        if self.axis == "column":
            grid = grid.transpose(1, 2)
        # each [D * n, heads, n, d / heads]
        query, key, value = grid.reshape(D * n, n, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        mixed = scaled_dot_product_attention(query, key, value, attn_mask=table.mask)
        mixed = mixed.transpose(1, 2).reshape(D, n, n, -1)
        if self.axis == "column":
            mixed = mixed.transpose(1, 2)
        return self.out(mixed[table.index])


class AxialLayer(nn.Module):
    """Both attentions, a linear map and LayerNorm; [C, d] -> [C, d].

    Args:
        sequential: False (official code): LayerNorm(W (x + column(x) + row(x))). True, Eq. (21):
            r_h = x + column(x), then r_w = r_h + row(r_h) in the place of the sum. Eq. (21) gives
            no linear map and no LayerNorm; they are kept, as in KD-DocRE, since six layers of sums
            would grow without bounds.
    """

    def __init__(self, width: int, *, sequential: bool = False):
        super().__init__()
        self.sequential = sequential
        self.column = AxialAttention(width, "column")
        self.row = AxialAttention(width, "row")
        self.linear = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, cells: Tensor, table: Table) -> Tensor:
        if self.sequential:
            after_column = cells + self.column(cells, table)
            mixed = after_column + self.row(after_column, table)
        else:
            mixed = cells + self.column(cells, table) + self.row(cells, table)
        return self.norm(self.linear(mixed))


class AxialStack(nn.Module):
    """`layers` axial layers over the cells [C, d] of a batch.

    Args:
        axial: "masked": the attentions are added, each over the cells that exist;
            "pad_to_42_unmasked": added, over tables of 42 x 42 cells without a mask, as the
            official code computes them at evaluation, and in stage 3 throughout (published weights
            depend on it); "sequential": Eq. (21), masked.
    """

    def __init__(self, width: int, layers: int, *, axial: str = "masked"):
        super().__init__()
        self.axial = axial
        self.layers = nn.ModuleList(
            AxialLayer(width, sequential=axial == "sequential") for _ in range(layers)
        )

    def forward(self, cells: Tensor, batch: Batch, absent: Tensor | None = None) -> Tensor:
        """[C, d] -> [C, d]; `absent` [1, d], which only "pad_to_42_unmasked" needs, is the cell of
        entities that are not there.
        """
        if self.axial != "pad_to_42_unmasked":
            return self._through(cells, Table.of(batch))
        table, real = Table.official(batch), batch.cells.unbind(1)
        everywhere = absent.expand(*table.shape, -1).index_put(real, cells).flatten(0, 2)
        return self._through(everywhere, table).view(*table.shape, -1)[real]

    def _through(self, cells: Tensor, table: Table) -> Tensor:
        for layer in self.layers:
            cells = layer(cells, table)
        return cells
