"""What a cell shows, in parts, for renderers that typeset the parts differently (LaTeX, HTML).
`render.py` does plain text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from benchmark.reports.tables import UNDEFINED, Cell, Column, Row


@dataclass(frozen=True)
class Shown:
    """The parts of a cell as text; "" where there is no such part.

    absent: "missing" or "n/a"; the other parts are then empty. number: with its sign, "-" or "+"
        for a difference, "< 0.0001".
    spread: the standard deviation. n: the number of seeds, where it is not the row's.
    """

    absent: str = ""
    number: str = ""
    spread: str = ""
    n: str = ""


def shown(cell: Cell, column: Column, row: Row) -> Shown:
    if cell.absent:
        return Shown(absent="n/a" if cell.absent == UNDEFINED else cell.absent)
    if cell.mean is None:
        return Shown()
    return Shown(
        number=_number(cell.mean, column),
        spread="" if cell.sd is None else f"{cell.sd:.{column.decimals}f}",
        n="" if cell.n == len(row.seeds) else str(cell.n),
    )


def _number(value: float, column: Column) -> str:
    if column.least is not None and value < column.least:
        return f"< {column.least:.{column.decimals}f}"
    text = f"{value:{'+' if column.difference else ''}.{column.decimals}f}"
    return text if float(text) else text.replace("-", "+" if column.difference else "")  # no -0.00


def row_groups(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Neighbouring rows of one group, with its name."""
    return [(name, list(members)) for name, members in groupby(rows, key=lambda row: row.group)]


def headings(columns: Sequence[Column]) -> Iterable[tuple[str, int, int]]:
    """(heading, first, last) of neighbouring columns that share a heading; positions count from
    0.
    """
    first = 0
    for heading, members in groupby(columns, key=lambda column: column.heading):
        last = first + len(list(members)) - 1
        yield heading, first, last
        first = last + 1


def ranked(rows: Sequence[Row]) -> bool:
    """Whether the table needs a column of ranks."""
    return any(row.rank for row in rows)
