"""The leaderboard page: one HTML file that needs a browser and nothing else.

The tables and figures are part of the HTML, so the page can be read without JavaScript.
`assets/page.js` adds sorting, filters and the panel of each row, from JSON data in the file. A
Content-Security-Policy allows this script and style sheet alone and forbids every connection, so
that nothing in a run's files can run or call home.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmark.reports.leaderboard import Board, Data, Entry, Member
from benchmark.reports.published import Reported
from benchmark.reports.render.html import html, number_html, text_of, whole_page
from benchmark.reports.svg import (
    Difference,
    SeedPairs,
    change_bar,
    differences,
    paired_dots,
    relation_changes,
)
from benchmark.reports.tables import BASELINE, MISSING, Cell, Column, Table
from benchmark.texts import escape

ASSETS = Path(__file__).with_name("assets")
_DIFFERENCE = "test.f1.difference"
_HEADINGS = {"test.f1": "Test F1", "dev.f1": "Dev F1"}  # other columns keep their label


def page(
    boards: Sequence[Board],
    *,
    published: Mapping[Data, Reported] | None = None,
    left_out: Sequence[str] = (),
    across: Table | None = None,
    title: str = "Leaderboard",
    made: str = "",
    summary: Sequence[str] = (),
) -> str:
    """The page as one text.

    Args:
        published: tables of papers to show below the boards.
        left_out: sentences on what could not be shown.
        across: the table of augmenters over all settings, for the end.
        made: when and how, for the foot of the page.
        summary: paragraphs on what the numbers show, for its head.
    """
    style, script = ((ASSETS / f"page.{kind}").read_text("utf-8") for kind in ("css", "js"))
    entries = [entry for board in boards for entry in board.entries]
    data = {
        "studies": [member.relations for board in boards for member in board.members],
        "entries": [entry.data() for entry in entries],
    }
    said = "".join(f"<p>{text_of(paragraph)}</p>" for paragraph in summary)
    shown = "".join(_board(board, (published or {}).get(board.data)) for board in boards)
    if across:
        heading = f"<h2>{escape(across.title)}</h2>"
        shown += f'<section class="across">{heading}{html([across])}</section>\n'
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in left_out)
    body = f"""<header>
<h1>{escape(title)}</h1>
<p>{_summary(entries, boards)}</p>
{said}
{_filters(entries, boards)}
</header>
<main>
{shown or "<p>No finished run.</p>"}</main>
<footer>
{f"<h2>Left out</h2><ul>{items}</ul>" if items else ""}<p>{escape(made)}</p>
</footer>
<script type="application/json" id="data">{_json(data)}</script>"""
    return whole_page(body, title, style, script)


def _board(board: Board, published: Reported | None) -> str:
    several = len(board.members) > 1
    parts = [_table(board, several)]
    parts += [_list(board.notes)] if board.notes else []
    for member in board.members:
        about = f"About {member.label if several else 'this table'}"
        parts.append(_folded(about, _list(member.table.notes)))
    parts += [_figures(board, member, several) for member in board.members]
    if changes := "".join(map(_relation_figure, board.entries)):
        parts.append(_folded("Change of F1 per relation", changes, "per-relation"))
    for member in (member for member in board.members if member.study):
        table = html([replace(member.table, notes=())])
        parts.append(_folded(f"Ablation table of {member.label}, dev and test", table))
    if published is not None:
        content = html(published.tables) or f"<p>{text_of(published.instead)}</p>"
        heading = "Published scores: reported, not run here"
        parts.append(_folded(heading, content, "published", opened=True))
    return (
        f'<section class="board" data-dataset="{escape(board.data[0])}" '
        f'aria-labelledby="board-{board.number}">\n'
        f'<h2 id="board-{board.number}">{escape(board.heading)}</h2>\n'
        + "\n".join(filter(None, parts))
        + "\n</section>\n"
    )


def _table(board: Board, with_experiment: bool) -> str:
    columns = [c for c in board.columns if any(e.cell(c.key) != Cell() for e in board.entries)]
    heads = [_th("#", "number", "number", "rank"), _th("Backbone", style="backbone")]
    heads += [_th(text) for text in ("Augmenter", *["Experiment"] * with_experiment)]
    heads += [
        _th(_HEADINGS.get(column.key, column.label), "number", "number", column.key)
        for column in columns
    ]
    heads += [_th(text, "number", "number") for text in ("Seeds", "Time per run")]
    means = [entry.cell(_DIFFERENCE).mean for entry in board.entries]
    most = max((abs(mean) for mean in means if mean is not None), default=0)
    rows = "\n".join(_row(entry, columns, with_experiment, most) for entry in board.entries)
    caption = (
        f"{board.heading}: scores in percent, by test F1. Δ F1: against {BASELINE} with the same "
        "backbone and seed."
    )
    return (
        '<div class="scroll" role="region" tabindex="0" '
        f'aria-labelledby="board-{board.number}">\n<table class="leaderboard">\n'
        f"<caption>{escape(caption)}</caption>\n"
        f"<thead><tr>{''.join([*heads, _th('Device')])}</tr></thead>\n"
        f"<tbody>\n{rows}\n</tbody>\n</table>\n</div>"
    )


def _row(entry: Entry, columns: Iterable[Column], with_experiment: bool, most: float) -> str:
    row = entry.row
    # the augmenter's cell names the backbone too, for screens without room for its column
    label = f'<span class="with">{escape(row.group)} + </span>{escape(row.label)}'
    cells = [
        _td(escape(row.rank), row.rank or None, "number rank"),
        _td(escape(row.group), row.group, "backbone"),
        f'<th scope="row" data-value="{escape(row.label)}">{label}</th>',
    ]
    if with_experiment:
        cells.append(_td(escape(entry.member.label), entry.member.label, "experiment"))
    cells += [_score(entry, column, most) for column in columns]
    unknown = f'<span class="absent">{MISSING}</span>' if entry.member.study else ""
    seconds, devices = entry.seconds, ", ".join(entry.devices)
    mean = sum(seconds.values()) / len(seconds) if seconds else None
    cells += [
        _td(escape(row.coverage), len(row.seeds), "number"),
        _td(unknown if mean is None else _time(mean), mean, "number"),
        _td(escape(devices) or unknown, devices or None),
    ]
    names = (
        f'data-entry="{entry.number}" data-backbone="{escape(row.group)}" '
        f'data-augmenter="{escape(row.label)}"'
    )
    return f"<tr {names}>{''.join(cells)}</tr>"


def _score(entry: Entry, column: Column, most: float) -> str:
    cell = entry.cell(column.key)
    text = number_html(cell, column, entry.row)
    if column.difference and cell.mean is not None:
        text = f"{_arrow(cell.mean, column.decimals)}{text} {change_bar(cell.mean, most)}"
    return _td(text, cell.mean, "number")


def _figures(board: Board, member: Member, several: bool) -> str:
    """Differences to `none` of all backbones, then seed by seed, a figure per backbone."""
    own = sorted((e for e in board.entries if e.member is member), key=lambda e: e.row.group)
    of, figures = f" ({member.label})" if several else "", []
    if rows := [_difference(entry) for entry in own if entry.cell(_DIFFERENCE).mean is not None]:
        title = f"Difference in test F1 to {BASELINE}, in points{of}"
        figures.append(_figure(differences(rows, title), title + _explained(own, rows)))
    for backbone, entries in groupby(own, key=lambda entry: entry.row.group):
        pairs = [SeedPairs(entry.row.label, _seed_pairs(entry)) for entry in entries]
        if any(pair.values for pair in pairs):
            title = f"{backbone}, seed by seed: test F1 with {BASELINE} (hollow) and with the "
            title += f"augmenter (filled){of}"
            attribute = f' data-backbone="{escape(backbone)}"'
            figures.append(_figure(paired_dots(pairs, title), title, attribute))
    return f'<div class="figures">{"".join(figures)}</div>' if figures else ""


def _relation_figure(entry: Entry) -> str:
    if not entry.changes:
        return ""
    title = f"{entry.name}: change of test F1 per relation, against {BASELINE}"
    svg = relation_changes(entry.changes, title)
    return _figure(svg, title, f' id="relations-{entry.number}"')


def _difference(entry: Entry) -> Difference:
    cell = entry.cell(_DIFFERENCE)
    interval = entry.member.interval(entry.row)
    ends = (interval and interval.points) or (None, None)
    return Difference(entry.name, cell.mean, *ends, tuple(cell.values.values()))


def _explained(entries: Sequence[Entry], rows: Sequence[Difference]) -> str:
    intervals = (entry.member.interval(entry.row) for entry in entries)
    known = [interval for interval in intervals if interval and interval.low is not None]
    kinds = dict.fromkeys(f"{interval.level:.0%}, {interval.name}" for interval in known)
    told = f". Bars: intervals ({'; '.join(kinds)})" if kinds else ". No intervals were computed"
    return told + (". Small ticks: the seeds" if any(len(row.values) > 1 for row in rows) else "")


def _seed_pairs(entry: Entry) -> dict[int, tuple[float, float]]:
    values, change = entry.cell("test.f1").values, entry.cell(_DIFFERENCE).values
    return {seed: (values[seed] - change[seed], values[seed]) for seed in change if seed in values}


def _figure(svg: str, caption: str, attributes: str = "") -> str:
    region = f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(caption)}">'
    caption = f"<figcaption>{text_of(caption)}</figcaption>"
    return f"<figure{attributes}>{region}{svg}</div>{caption}</figure>\n"


def _folded(summary: str, content: str, style: str = "", *, opened: bool = False) -> str:
    attributes = (f' class="{style}"' if style else "") + " open" * opened
    return f"<details{attributes}><summary>{escape(summary)}</summary>{content}</details>"


def _list(notes: Iterable[str]) -> str:
    return f'<ul class="notes">{"".join(f"<li>{text_of(note)}</li>" for note in notes)}</ul>'


def _summary(entries: Sequence[Entry], found: Sequence[Board]) -> str:
    many = lambda n, one, more: f"{n} {one if n == 1 else more}"
    runs = sum(len(entry.runs) for entry in entries)
    datasets = len({board.data[0] for board in found})
    return (
        f"{many(runs, 'finished run', 'finished runs')}, "
        f"{many(len(entries), 'entry', 'entries')}, {many(datasets, 'dataset', 'datasets')}."
    )


def _filters(entries: Sequence[Entry], found: Sequence[Board]) -> str:
    """Hidden until the script shows them, since they do nothing without it."""
    augmenters = sorted({e.row.label for e in entries}, key=lambda name: (name != BASELINE, name))
    choices = {
        "dataset": dict.fromkeys(board.data[0] for board in found),
        "backbone": sorted({entry.row.group for entry in entries}),
        "augmenter": augmenters,
    }
    option = lambda value: f'<option value="={escape(value)}">{escape(value)}</option>'
    selects = "".join(
        f'<label>{name.capitalize()} <select name="{name}"><option value="">all</option>'
        f"{''.join(map(option, values))}</select></label>"
        for name, values in choices.items()
    )
    theme = '<button type="button" id="theme">Theme: system</button>'
    return f'<form id="filters" hidden>{selects}{theme}<p role="status" id="shown"></p></form>'


def _th(text: str, kind: str = "text", style: str = "", key: str = "") -> str:
    """kind: how the script sorts the column. key: the score in it."""
    attributes = (f' class="{style}"' if style else "") + (f' data-key="{key}"' if key else "")
    return f'<th scope="col" data-kind="{kind}"{attributes}>{escape(text)}</th>'


def _td(content: str, value: Any = None, style: str = "") -> str:
    """content: HTML. value: what the script sorts by; None comes last."""
    attributes = "" if value is None else f' data-value="{escape(str(value))}"'
    attributes += f' class="{style}"' if style else ""
    return f"<td{attributes}>{content}</td>"


def _arrow(mean: float, decimals: int) -> str:
    """Up or down before a difference, so that its sign needs neither colour nor a close look."""
    rounded = round(mean, decimals)
    kind, glyph = ("gain", "▲") if rounded > 0 else ("loss", "▼") if rounded < 0 else ("same", "=")
    return f'<span class="arrow {kind}" aria-hidden="true">{glyph}</span> '


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _json(value: Any) -> str:
    """JSON for a script element: nothing in it can end the element or begin a comment."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
