"""One Table, three faces: Markdown, CSV with every digit and every seed, and the terminal."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

from benchmark.reports.cells import ranked, shown
from benchmark.reports.tables import Cell, Column, Row, Table
from benchmark.texts import markdown_escaped as _escaped
from benchmark.texts import plain


def markdown(tables: Iterable[Table], summary: Sequence[str] = ()) -> str:
    """GitHub Markdown; the best of a column is bold, marks stand behind the cell.

    summary: paragraphs that come first.
    """
    said = [f"{_escaped(paragraph)}\n" for paragraph in summary]
    return "\n".join([*said, *(_markdown(table) for table in tables)])


def csv_text(tables: Iterable[Table]) -> str:
    """One line per cell: mean, sd, n, mark and the value of each seed, in percent (a p as it is)
    and at full precision.
    """
    tables = list(tables)
    seeds = sorted(
        {seed for table in tables for row in table.rows for seed in (*row.seeds, *row.expected)}
    )
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [
            "table",
            "backbone",
            "augmenter",
            "score",
            "mean",
            "sd",
            "n",
            "expected",
            "best",
            "mark",
            "absent",
            *(f"seed {seed}" for seed in seeds),
        ]
    )
    for table in tables:
        for row in table.rows:
            if row.rank:
                writer.writerow([table.title, row.group, row.label, "rank", row.rank])
            for column, cell in zip(table.columns, row.cells, strict=True):
                if cell.mean is None and not cell.absent:  # the difference of `none` to itself
                    continue
                numbers = ["" if value is None else repr(value) for value in (cell.mean, cell.sd)]
                each = [repr(cell.values[seed]) if seed in cell.values else "" for seed in seeds]
                identity = [table.title, row.group, row.label, column.key]
                marks = [int(cell.best), cell.mark, cell.absent or ""]
                writer.writerow([*identity, *numbers, cell.n, len(row.expected), *marks, *each])
    return text.getvalue()


def terminal(tables: Iterable[Table], console=None, summary: Sequence[str] = ()) -> None:
    """Print the tables with rich. What is too wide for the terminal gets the spread below the mean,
    or several parts.
    """
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
    stub, rule = (["Rank"], ["---:"]) if ranked(table.visible) else ([], [])
    header = [
        *stub,
        table.group_label,
        table.row_label,
        "seeds",
        *(f"{c.heading} {c.label}" for c in table.columns),
    ]
    rule += ["---", "---", *["---:"] * (len(table.columns) + 1)]
    lines = [f"### {_escaped(table.title)}", "", _line(header), _line(rule)]
    for row, group in _with_group(table.visible):
        texts = (
            _text(cell, column, row) for cell, column in zip(row.cells, table.columns, strict=True)
        )
        marked = [
            (f"**{text}**" if cell.best else text) + re.sub(r"([\\*_`|])", r"\\\1", cell.mark)
            for text, cell in zip(texts, row.cells, strict=True)
        ]
        rank = [row.rank] if stub else []
        lines.append(_line([*rank, _escaped(group), _escaped(row.label), row.coverage, *marked]))
    return "\n".join([*lines, "", *(f"{_escaped(note)}  " for note in table.notes), ""])


def _line(fields: Iterable[str]) -> str:
    return "| " + " | ".join(fields) + " |"


def _with_group(rows: Sequence[Row]) -> Iterable[tuple[Row, str]]:
    """Each row with its group's name, blank but on the group's first row."""
    previous = None
    for row in rows:
        yield row, "" if row.group == previous else row.group
        previous = row.group


def _text(cell: Cell, column: Column, row: Row, separator: str = " ") -> str:
    """A cell as text, without its mark: "71.12 ± 0.34"; with its number of seeds where that is not
    the row's.
    """
    parts = shown(cell, column, row)
    spread, n = (f"± {parts.spread}" if parts.spread else ""), (f"(n={parts.n})" if parts.n else "")
    return parts.absent or separator.join(filter(None, [parts.number, spread, n]))


def _fitting(table: Table, console) -> list:
    """The table in the widest layout that the console holds: whole; with the spread below the mean;
    split between columns.
    """
    from rich.measure import Measurement

    unlimited = console.options.update(max_width=10_000)
    fits = lambda part: Measurement.get(console, unlimited, part).maximum <= console.width
    everything = list(range(len(table.columns)))
    for separator in (" ", "\n"):
        whole = _rich(table, everything, separator)
        if fits(whole):
            return [whole]
    parts: list[list[int]] = []
    for index in everything:
        same_heading = parts and table.columns[parts[-1][0]].heading == table.columns[index].heading
        if same_heading and fits(_rich(table, [*parts[-1], index], "\n")):
            parts[-1].append(index)
        else:
            parts.append([index])
    return [_rich(table, part, "\n") for part in parts]


def _rich(table: Table, columns: Sequence[int], separator: str):
    """The columns at these positions as a rich table."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    title = Text(plain(table.title))
    out = RichTable(
        title=title,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    out.add_column(Text(table.group_label), no_wrap=True)
    out.add_column(Text(table.row_label), no_wrap=True)
    out.add_column("seeds", justify="right", no_wrap=True)
    for index in columns:
        column = table.columns[index]
        out.add_column(
            Text(f"{column.heading}\n{column.label}", justify="right"),
            justify="right",
            no_wrap=True,
        )
    previous = None
    for row, group in _with_group(table.visible):
        if previous is not None and row.group != previous:
            out.add_section()
        previous = row.group
        texts = (
            Text(
                _text(cell, table.columns[i], row, separator) + cell.mark,
                style="bold green" if cell.best else "",
            )
            for i, cell in ((i, row.cells[i]) for i in columns)
        )
        out.add_row(Text(plain(group)), Text(plain(row.label)), Text(row.coverage), *texts)
    return out
