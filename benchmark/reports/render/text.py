"""A Table as Markdown, as CSV with every digit and every seed, and in the terminal."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from benchmark.reports.tables import Cell, Column, Row, Table, shown
from benchmark.texts import markdown_escaped, plain

_OF_CELL = ("table", "backbone", "augmenter", "score", "mean", "sd", "n", "expected", "best")
_REPORTED = ("reported", "reported spread", "reported runs", "method", "encoder", "counterpart")


def markdown(
    tables: Iterable[Table], summary: Sequence[str] = (), below: Sequence[str] = ()
) -> str:
    """GitHub Markdown; the best of a column is bold, marks follow the number.

    summary, below: paragraphs before and after the tables.
    """
    before, after = ([f"{markdown_escaped(text)}\n" for text in part] for part in (summary, below))
    return "\n".join([*before, *map(_markdown, tables), *after])


def csv_text(tables: Iterable[Table], reported: Iterable[Table] = ()) -> str:
    """One line per cell, in percent (a p-value as it is) and at full precision.

    reported: published tables. Their numbers get columns of their own, so that an average over
        ours never includes them.
    """
    tables, reported = list(tables), list(reported)
    rows = [row for table in tables for row in table.rows]
    seeds = sorted({seed for row in rows for seed in (*row.seeds, *row.expected)})
    names = [*_OF_CELL, "mark", "absent", *(f"seed {seed}" for seed in seeds)]
    names += [*_REPORTED, "copied from"] if reported else []
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(line for table in tables for line in _csv_lines(table))
    writer.writerows(line for table in reported for line in _reported_lines(table))
    return text.getvalue()


def terminal(tables: Iterable[Table], console=None, summary: Sequence[str] = ()) -> None:
    """Print the tables with rich; one that is too wide is split or puts spreads below means."""
    from rich.console import Console

    console = console or Console()
    for paragraph in summary:
        console.print()
        console.print(plain(paragraph), markup=False, highlight=False)
    for table in tables:
        for part in _fitting(table, console):
            console.print()
            console.print(part)
        console.print()
        for note in table.notes:
            console.print(plain(note), style="dim", markup=False, highlight=False)


def _markdown(table: Table) -> str:
    columns = [f"{column.heading} {column.label}" for column in table.columns]
    rule = ["---:"] * table.ranked + ["---", "---"] + ["---:"] * (len(columns) + 1)
    lines = [_line([*table.stub, *columns]), _line(rule)]
    for row, (*texts, coverage) in table.lines():
        cells = [
            (f"**{text}**" if cell.best else text) + re.sub(r"([\\*_`|])", r"\\\1", cell.mark)
            for cell, text in zip(row.cells, _texts(row, table.columns), strict=True)
        ]
        lines.append(_line([*map(markdown_escaped, texts), coverage, *cells]))
    notes = [f"{markdown_escaped(note)}  " for note in table.notes]
    return "\n".join([f"### {markdown_escaped(table.title)}", "", *lines, "", *notes, ""])


def _line(fields: Iterable[str]) -> str:
    return "| " + " | ".join(fields) + " |"


def _texts(row: Row, columns: Sequence[Column], separator: str = " ") -> list[str]:
    return [_text(*pair, row, separator) for pair in zip(row.cells, columns, strict=True)]


def _text(cell: Cell, column: Column, row: Row, separator: str) -> str:
    """A cell without its mark: "71.12 ± 0.34", with its number of seeds if not the row's."""
    parts = shown(cell, column, row)
    spread, n = (f"± {parts.spread}" if parts.spread else ""), (f"(n={parts.n})" if parts.n else "")
    return parts.absent or separator.join(filter(None, [parts.number, spread, n]))


def _csv_lines(table: Table) -> Iterator[dict[str, Any]]:
    for row in table.rows:
        of_row = {"table": table.title, "backbone": row.group, "augmenter": row.label}
        if row.rank:
            yield of_row | {"score": "rank", "mean": row.rank}
        for column, cell in zip(table.columns, row.cells, strict=True):
            if cell.mean is None and not cell.absent:  # the difference of `none` to itself
                continue
            numbers = {"score": column.key, "mean": cell.mean, "sd": cell.sd, "n": cell.n}
            numbers |= {"expected": len(row.expected), "best": int(cell.best)}
            numbers |= {"mark": cell.mark, "absent": cell.absent}
            each = {f"seed {seed}": value for seed, value in cell.values.items()}
            yield of_row | numbers | each


def _reported_lines(table: Table) -> Iterator[dict[str, Any]]:
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            if cell.mean is not None:
                line = {"table": table.title, "score": column.key, "method": row.label}
                line |= {"reported": cell.mean, "reported spread": cell.sd}
                yield line | row.origin[column.heading]


def _fitting(table: Table, console) -> list:
    """The table in the first layout that fits: whole, with spreads below means, or in parts."""
    from rich.measure import Measurement

    unlimited = console.options.update(max_width=10_000)
    fits = lambda part: Measurement.get(console, unlimited, part).maximum <= console.width
    everything = list(range(len(table.columns)))
    for separator in (" ", "\n"):
        if fits(whole := _rich(table, everything, separator)):
            return [whole]
    parts: list[list[int]] = []
    for index in everything:
        same_heading = parts and table.columns[parts[-1][0]].heading == table.columns[index].heading
        if same_heading and fits(_rich(table, [*parts[-1], index], "\n")):
            parts[-1].append(index)
        else:
            parts.append([index])
    return [_rich(table, part, "\n") for part in parts]


def _rich(table: Table, chosen: Sequence[int], separator: str):
    """The columns at these positions as a rich table."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    out = RichTable(
        title=Text(plain(table.title)),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    for label in table.stub:
        justify = "right" if label in ("Rank", "seeds") else "left"
        out.add_column(Text(label), justify=justify, no_wrap=True)
    for column in (table.columns[index] for index in chosen):
        heading = Text(f"{column.heading}\n{column.label}", justify="right")
        out.add_column(heading, justify="right", no_wrap=True)
    previous = None
    for row, stub in table.lines():
        if previous is not None and row.group != previous:
            out.add_section()
        previous, texts = row.group, _texts(row, table.columns, separator)
        cells = (
            Text(texts[i] + row.cells[i].mark, style="bold green" if row.cells[i].best else "")
            for i in chosen
        )
        out.add_row(*(Text(plain(text)) for text in stub), *cells)
    return out
