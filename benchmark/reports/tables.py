"""A table as data: numbers with their spread, seeds and marks. `render/` formats them.

Scores are in percent. A cell averages over seeds. A cell that lacks a seed, or whose score is
undefined, shows what it has and is never marked as the best.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

BASELINE = "none"
MISSING, UNDEFINED = "missing", "undefined"


@dataclass(frozen=True)
class Column:
    """One column; its key finds its cells in the rows.

    heading: the text above the labels of neighbouring columns ("dev", "test").
    path: leads to the score in `metrics.json`.
    difference: the cells hold differences, paired by seed, and are shown with their sign.
    least: a smaller number is shown as "< least", as for a p-value.
    """

    key: str
    label: str
    heading: str
    path: tuple[str, ...] = ()
    difference: bool = False
    decimals: int = 2
    least: float | None = None


@dataclass(frozen=True)
class Cell:
    """A number over seeds, in percent.

    values: seed -> value.
    absent: why there is no number, MISSING (no run) or UNDEFINED (no such score).
    mark: the text beside the number; the table's notes explain it.
    number, spread, over: a number that is no mean of the seeds' values (a p-value, a published
        score), its standard deviation, and the number of seeds behind it.
    """

    values: Mapping[int, float] = field(default_factory=dict)
    absent: str | None = None
    best: bool = False
    mark: str = ""
    number: float | None = None
    spread: float | None = None
    over: int = 0

    @property
    def n(self) -> int:
        return len(self.values) or self.over

    @property
    def mean(self) -> float | None:
        return math.fsum(self.values.values()) / self.n if self.values else self.number

    @property
    def sd(self) -> float | None:
        """Standard deviation with n - 1 in the denominator; None with fewer than two seeds."""
        if len(self.values) < 2:
            return self.spread
        squares = ((value - self.mean) ** 2 for value in self.values.values())
        return math.sqrt(math.fsum(squares) / (self.n - 1))


@dataclass(frozen=True)
class Row:
    """One augmenter (`label`) of one backbone (`group`).

    cells: by the key of their column; a column without one stays blank.
    seeds, expected: the seeds that have run, and those that the experiment asks for.
    rank: as text, since several rows may share one.
    elsewhere: for a system that was not run here, what the seeds column says; None for our runs.
    control: whether the augmenter is one: a kind of its own, named so beside the label.
    """

    group: str
    label: str
    cells: Mapping[str, Cell]
    seeds: tuple[int, ...] = ()
    expected: tuple[int, ...] = ()
    rank: str = ""
    elsewhere: str | None = None
    control: bool = False

    @property
    def shown_label(self) -> str:
        return f"{self.label} (control)" if self.control else self.label

    @property
    def complete(self) -> bool:
        return self.elsewhere is None and set(self.expected) <= set(self.seeds)

    @property
    def coverage(self) -> str:
        """The seeds column: "3", "2/3" or "missing"."""
        if self.elsewhere is not None:
            return self.elsewhere
        if not self.seeds:
            return MISSING
        if self.complete:
            return str(len(self.seeds))
        return f"{len(set(self.seeds) & set(self.expected))}/{len(self.expected)}"

    @property
    def visible(self) -> bool:
        """Whether to show the row: it has run or holds a number."""
        return bool(self.seeds) or any(cell.mean is not None for cell in self.cells.values())

    def cell(self, key: str) -> Cell:
        return self.cells.get(key, Cell())

    def changed(self, key: str, **changes: Any) -> Row:
        """The row with fields of one of its cells replaced."""
        return replace(self, cells={**self.cells, key: replace(self.cells[key], **changes)})


@dataclass(frozen=True)
class Table:
    """What every renderer gets; `notes` are the sentences of the caption."""

    title: str
    notes: tuple[str, ...]
    group_label: str
    row_label: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    @property
    def groups(self) -> list[tuple[str, list[Row]]]:
        """Neighbouring visible rows of one group, with its name."""
        visible = (row for row in self.rows if row.visible)
        return [(name, list(rows)) for name, rows in groupby(visible, lambda row: row.group)]

    @property
    def ranked(self) -> bool:
        return any(row.rank for row in self.rows)

    @property
    def stub(self) -> list[str]:
        """The labels of the columns that come before the numbers."""
        return [*(["Rank"] if self.ranked else []), self.group_label, self.row_label, "seeds"]

    def lines(self) -> list[tuple[Row, list[str]]]:
        """Each visible row with the texts of its stub; a group is named in its first row only."""
        return [
            (row, [*([row.rank] if self.ranked else []), first, row.shown_label, row.coverage])
            for name, rows in self.groups
            for row, first in zip(rows, [name, *[""] * len(rows)], strict=False)
        ]


def headings(columns: tuple[Column, ...]) -> list[tuple[str, int]]:
    """Each heading with the number of neighbouring columns that share it."""
    return [(name, len(list(of))) for name, of in groupby(columns, lambda column: column.heading)]


@dataclass(frozen=True)
class Shown:
    """The parts of a cell as text; "" where there is no such part.

    absent: "missing" or "n/a"; the other parts are then empty. n: where it is not the row's.
    """

    absent: str = ""
    number: str = ""
    spread: str = ""
    n: str = ""


def shown(row: Row, column: Column) -> Shown:
    """The parts of a row's cell, for renderers that typeset them differently."""
    cell = row.cell(column.key)
    if cell.absent:
        return Shown(absent="n/a" if cell.absent == UNDEFINED else cell.absent)
    if cell.mean is None:
        return Shown()
    return Shown(
        number=_number(cell.mean, column),
        spread="" if cell.sd is None else f"{cell.sd:.{column.decimals}f}",
        n="" if cell.n == len(row.seeds) else str(cell.n),
    )


def signed(value: float, decimals: int = 2) -> str:
    """ "+0.44", and never "-0.00"."""
    text = f"{value:+.{decimals}f}"
    return text if float(text) else text.replace("-", "+")


def _number(value: float, column: Column) -> str:
    if column.least is not None and value < column.least:
        return f"< {column.least:.{column.decimals}f}"
    text = signed(value, column.decimals)
    return text if column.difference else text.removeprefix("+")
