"""A Table as Markdown, as CSV with every digit and every seed, and in the terminal."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from benchmark.reports.tables import Column, Row, Table, shown
from benchmark.texts import markdown_escaped, plain

if TYPE_CHECKING:
    from rich.console import Console

_OF_CELL = ("table", "backbone", "augmenter", "score", "mean", "sd", "n", "expected", "best")
_OF_CELL += ("mark", "absent")
_WIDEST = 10_000  # characters: no table is wrapped in it


def markdown(
    tables: Iterable[Table], summary: Sequence[str] = (), below: Sequence[str] = ()
) -> str:
    """GitHub Markdown; the best of a column is bold, marks follow the number.

    summary, below: paragraphs before and after the tables.
    """
    before, after = ([f"{markdown_escaped(text)}\n" for text in part] for part in (summary, below))
    return "\n".join([*before, *map(_markdown, tables), *after])


def csv_text(tables: Iterable[Table]) -> str:
    """One line per cell, in percent (a p-value as it is) and at full precision."""
    tables = list(tables)
    rows = [row for table in tables for row in table.rows]
    seeds = sorted({seed for row in rows for seed in (*row.seeds, *row.expected)})
    text = io.StringIO()
    names = [*_OF_CELL, *(f"seed {seed}" for seed in seeds)]
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(line for table in tables for line in _csv_lines(table))
    return text.getvalue()


def terminal(tables: Iterable[Table], console: Console, summary: Sequence[str] = ()) -> None:
    """Print the tables with rich; one that is too wide comes in parts."""
    from rich.markdown import Markdown

    shown_as_is = {"markup": False, "highlight": False}
    for paragraph in summary:
        console.print()
        console.print(plain(paragraph), **shown_as_is)
    for table in tables:
        console.print()
        console.print(plain(table.title), style="italic", **shown_as_is)
        for part in _parts(table, console):
            console.print(Markdown(_grid(part)))
        for note in table.notes:
            console.print(plain(note), style="dim", **shown_as_is)


def _parts(table: Table, console: Console) -> list[Table]:
    """The table with as many of its columns at a time as fit the width."""
    from rich.markdown import Markdown

    def width(columns: tuple[Column, ...]) -> int:
        drawn = Markdown(_grid(replace(table, columns=columns)))
        lines = console.render_lines(drawn, console.options.update(width=_WIDEST), pad=False)
        return max(sum(part.cell_length for part in line) for line in lines)

    parts: list[list[Column]] = [[]]
    for column in table.columns:
        if parts[-1] and width((*parts[-1], column)) > console.width:
            parts.append([])
        parts[-1].append(column)
    return [replace(table, columns=tuple(part)) for part in parts]


def _markdown(table: Table) -> str:
    notes = [f"{markdown_escaped(note)}  " for note in table.notes]
    return "\n".join([f"### {markdown_escaped(table.title)}", "", _grid(table), "", *notes, ""])


def _grid(table: Table) -> str:
    """The table proper, as Markdown: its heading and the visible rows."""
    heading = [*table.stub, *(f"{column.heading} {column.label}" for column in table.columns)]
    rule = ["---:"] * table.ranked + ["---", "---"] + ["---:"] * (len(table.columns) + 1)
    lines = [heading, rule]
    for row, (*texts, coverage) in table.lines():
        fields = [*map(markdown_escaped, texts), coverage]
        for column in table.columns:
            cell, text = row.cell(column.key), _text(row, column)
            mark = re.sub(r"([\\*_`|])", r"\\\1", cell.mark)
            fields.append((f"**{text}**" if cell.best else text) + mark)
        lines.append(fields)
    return "\n".join(f"| {' | '.join(fields)} |" for fields in lines)


def _text(row: Row, column: Column) -> str:
    """A cell without its mark: "71.12 ± 0.34", with its number of seeds if not the row's."""
    parts = shown(row, column)
    spread, n = (f" ± {parts.spread}" if parts.spread else ""), f" (n={parts.n})" if parts.n else ""
    return parts.absent or parts.number + spread + n


def _csv_lines(table: Table) -> Iterator[dict[str, Any]]:
    for row in table.rows:
        named = zip(_OF_CELL, (table.title, row.group, row.label), strict=False)
        of_row = {name: plain(text) for name, text in named}
        if row.rank:
            yield of_row | {"score": "rank", "mean": row.rank}
        for column in table.columns:
            cell = row.cell(column.key)
            if cell.mean is None and not cell.absent:  # the difference of `none` to itself
                continue
            numbers = {"score": column.key, "mean": cell.mean, "sd": cell.sd, "n": cell.n}
            numbers |= {"expected": len(row.expected), "best": int(cell.best)}
            numbers |= {"mark": cell.mark, "absent": cell.absent}
            yield of_row | numbers | {f"seed {seed}": value for seed, value in cell.values.items()}
