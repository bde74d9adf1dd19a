"""The leaderboard page: one HTML file that needs nothing but itself, and a browser.

The tables and figures are in the file as they are, so that it can be read without JavaScript;
`assets/page.js` adds sorting, filters and the panel of each row, from data that lies in the file as
JSON. A Content-Security-Policy lets only this very script and style sheet in (by their SHA-256) and
forbids every connection: what a run's files say can neither run nor call home.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmark.reports.figures import (
    Difference,
    Pairs,
    change_bar,
    differences,
    paired_dots,
    relation_changes,
)
from benchmark.reports.leaderboard import Board, Entry, boards, relations_of
from benchmark.reports.published import Reported
from benchmark.reports.render.html import html, number_html, text_of
from benchmark.reports.studies import Study
from benchmark.reports.tables import BASELINE, MISSING, Cell, Table
from benchmark.texts import escape

ASSETS = Path(__file__).with_name("assets")

_COLUMNS = {  # of the ablation table: key -> heading
    "test.f1": "Test F1",
    "test.f1.difference": "Δ F1",
    "test.ign_f1": "Ign F1",
    "test.freq_f1": "Freq F1",
    "test.ltail_f1": "LTail F1",
    "dev.f1": "Dev F1",
}


def page(
    studies: Sequence[Study],
    *,
    published: Mapping[tuple[str, str | None], Reported] | None = None,
    left_out: Sequence[str] = (),
    across: Table | None = None,
    title: str = "Leaderboard",
    made: str = "",
    summary: Sequence[str] = (),
) -> str:
    """The page as one text.

    Within a dataset (and version of its data) entries are ordered by their mean test F1, those
    without one last.

    Args:
        studies: see benchmark/reports/studies.py; their tables' ranks and marks are shown, and
            their intervals drawn.
        published: by dataset and digest, tables of papers to stand below the board, apart from its
            entries.
        left_out: sentences on what could not be shown.
        across: the table of augmenters over all settings, for the end.
        made: when and how, for the foot of the page.
        summary: paragraphs on what the numbers show, for its head.
    """
    found = boards(studies)
    style, script = (
        (ASSETS / name).read_text(encoding="utf-8") for name in ("page.css", "page.js")
    )
    data = {
        "studies": [relations_of(study) for study in studies],
        "entries": [e.data() for board in found for e in board.entries],
    }
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_policy(style, script)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<header>
<h1>{escape(title)}</h1>
<p>{_summary(found)}</p>
{"".join(f"<p>{text_of(paragraph)}</p>" for paragraph in summary)}
{_filters(found)}
</header>
<main>
{_boards(found, published or {})}
{_across(across)}</main>
<footer>
{_left_out(left_out)}<p>{escape(made)}</p>
</footer>
<script type="application/json" id="data">{_json(data)}</script>
<script>{script}</script>
</body>
</html>
"""


def _boards(found: Sequence[Board], published: Mapping) -> str:
    parts = [_board(board, published.get(_data_of(board))) for board in found]
    return "".join(parts) or "<p>No finished run.</p>"


def _across(table: Table | None) -> str:
    return (
        f'<section class="across"><h2>{escape(table.title)}</h2>{html([table])}</section>\n'
        if table
        else ""
    )


def _data_of(board: Board) -> tuple[str, str | None]:
    return board.studies[0].dataset, board.studies[0].digest


def _board(board: Board, published: Reported | None) -> str:
    several = len(board.studies) > 1
    return (
        f'<section class="board" data-dataset="{escape(board.dataset)}" '
        f'aria-labelledby="board-{board.number}">\n'
        f'<h2 id="board-{board.number}">{escape(board.heading)}</h2>\n{_table(board, several)}\n'
        + _board_notes(board)
        + "".join(_notes(study, several) for study in board.studies)
        + "".join(_figures(board, study, several) for study in board.studies)
        + _per_relation(board)
        + "".join(_ablation(study) for study in board.studies if study.runs)
        + _published(published)
        + "</section>\n"
    )


def _table(board: Board, with_experiment: bool) -> str:
    columns = {
        key: text
        for key, text in _COLUMNS.items()
        if any(e.cell(key) != Cell() for e in board.entries)
    }
    heads = [
        _th("#", "number", "number", "rank"),
        _th("Backbone", style="backbone"),
        _th("Augmenter"),
    ]
    heads += [_th("Experiment")] if with_experiment else []
    heads += [_th(text, "number", "number", key) for key, text in columns.items()]
    heads += [
        _th("Seeds", "number", "number"),
        _th("Time per run", "number", "number"),
        _th("Device"),
    ]
    means = [entry.cell("test.f1.difference").mean for entry in board.entries]
    most = max((abs(mean) for mean in means if mean is not None), default=0)
    rows = "\n".join(_row(entry, columns, with_experiment, most) for entry in board.entries)
    caption = (
        f"{board.heading}: scores in percent, by test F1. Δ F1: against {BASELINE} with the same "
        "backbone and seed."
    )
    return (
        '<div class="scroll" role="region" tabindex="0" '
        f'aria-labelledby="board-{board.number}">\n<table class="leaderboard">\n'
        f"<caption>{escape(caption)}</caption>\n<thead><tr>{''.join(heads)}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>\n</div>"
    )


def _board_notes(board: Board) -> str:
    notes = dict.fromkeys(note for study in board.studies for note in study.board_notes)
    return (
        f'<ul class="notes">{"".join(f"<li>{text_of(note)}</li>" for note in notes)}</ul>\n'
        if notes
        else ""
    )


def _published(reported: Reported | None) -> str:
    """Tables of papers in a block of their own: no entries, no part of sorting, filters and
    ranks.
    """
    if reported is None:
        return ""
    content = html(reported.tables) if reported.tables else f"<p>{text_of(reported.instead)}</p>"
    return (
        '<details class="published" open><summary>Published scores: reported, not run '
        f"here</summary>{content}</details>\n"
    )


def _notes(study: Study, several: bool) -> str:
    of = f" {escape(study.label)}" if several else ""
    notes = "".join(f"<li>{text_of(note)}</li>" for note in study.table.notes)
    return (
        f"<details><summary>About{of or ' this table'}</summary>"
        f'<ul class="notes">{notes}</ul></details>\n'
    )


def _figures(board: Board, study: Study, several: bool) -> str:
    """Differences to `none` of all backbones, then seed by seed, a figure per backbone."""
    own = sorted((e for e in board.entries if e.study is study), key=lambda e: e.row.group)
    of, figures = f" ({study.label})" if several else "", []
    if rows := [
        _difference(entry) for entry in own if entry.cell("test.f1.difference").mean is not None
    ]:
        title = f"Difference in test F1 to {BASELINE}, in points{of}"
        figures.append(_figure(differences(rows, title), title + _explained(study, rows)))
    for backbone, entries in groupby(own, key=lambda entry: entry.row.group):
        pairs = [Pairs(entry.row.label, _seed_pairs(entry)) for entry in entries]
        if any(pair.values for pair in pairs):
            title = (
                f"{backbone}, seed by seed: test F1 with {BASELINE} (hollow) and with the "
                f"augmenter (filled){of}"
            )
            figures.append(
                _figure(paired_dots(pairs, title), title, f' data-backbone="{escape(backbone)}"')
            )
    return f'<div class="figures">{"".join(figures)}</div>\n' if figures else ""


def _per_relation(board: Board) -> str:
    figures = "".join(_relation_figure(entry) for entry in board.entries)
    return (
        '<details class="per-relation"><summary>Change of F1 per '
        f"relation</summary>{figures}</details>\n"
        if figures
        else ""
    )


def _ablation(study: Study) -> str:
    summary = f"Ablation table of {study.label}, dev and test"
    table = replace(
        study.table, notes=(), rows=tuple(replace(row, rank="") for row in study.table.rows)
    )  # ranks are the board's
    return f"<details><summary>{escape(summary)}</summary>{html([table])}</details>\n"


def _row(entry: Entry, columns: Mapping[str, str], with_experiment: bool, most: float) -> str:
    row, runs = entry.row, entry.runs
    cells = [
        _td(escape(entry.rank), _first_number(entry.rank), "number rank"),
        _td(escape(row.group), row.group, "backbone"),
    ]
    # where there is no room for the backbone
    label = f'<span class="with">{escape(row.group)} + </span>{escape(row.label)}'
    cells.append(f'<th scope="row" data-value="{escape(row.label)}">{label}</th>')
    if with_experiment:
        cells.append(_td(escape(entry.study.label), entry.study.label, "experiment"))
    for key in columns:
        cell, column = (
            entry.cell(key),
            next(column for column in entry.study.table.columns if column.key == key),
        )
        text = number_html(cell, column, row)
        if column.difference and cell.mean is not None:
            text = f"{_arrow(cell.mean, column.decimals)}{text} {change_bar(cell.mean, most)}"
        cells.append(_td(text, cell.mean, "number"))
    seconds = [run.metrics.get("seconds") for run in runs.values()]
    mean = None if not seconds or None in seconds else sum(seconds) / len(seconds)
    devices = ", ".join(
        sorted({str(run.metrics["device"]) for run in runs.values() if run.metrics.get("device")})
    )
    elsewhere, missing = not entry.study.runs, row.coverage == MISSING
    unknown = "" if elsewhere else _absent()
    coverage = unknown if missing else escape(row.coverage)
    cells += [
        _td(coverage, len(row.seeds), "number"),
        _td(unknown if mean is None else _time(mean), mean, "number"),
    ]
    cells.append(_td(escape(devices) or unknown, devices or None))
    names = (
        f'data-entry="{entry.number}" data-backbone="{escape(row.group)}" '
        f'data-augmenter="{escape(row.label)}"'
    )
    return f"<tr {names}{' class=missing' if missing else ''}>{''.join(cells)}</tr>"


def _relation_figure(entry: Entry) -> str:
    changes = entry.changes()
    if not changes:
        return ""
    title = f"{entry.name}: change of test F1 per relation, against {BASELINE}"
    return _figure(relation_changes(changes, title), title, f' id="relations-{entry.number}"')


def _difference(entry: Entry) -> Difference:
    cell, interval = (
        entry.cell("test.f1.difference"),
        entry.study.intervals.get((entry.row.group, entry.row.label)),
    )
    known = interval is not None and interval.low is not None and interval.high is not None
    low, high = (100 * interval.low, 100 * interval.high) if known else (None, None)
    return Difference(entry.name, cell.mean, low, high, tuple(cell.values.values()))


def _explained(study: Study, rows: Sequence[Difference]) -> str:
    kinds = dict.fromkeys(
        f"{interval.level:.0%}, {interval.name}"
        for interval in study.intervals.values()
        if interval.low is not None
    )
    told = f". Bars: intervals ({'; '.join(kinds)})" if kinds else ". No intervals were computed"
    return told + (". Small ticks: the seeds" if any(len(row.values) > 1 for row in rows) else "")


def _seed_pairs(entry: Entry) -> dict[int, tuple[float, float]]:
    values, change = entry.cell("test.f1").values, entry.cell("test.f1.difference").values
    return {seed: (values[seed] - change[seed], values[seed]) for seed in change if seed in values}


def _figure(svg: str, caption: str, attributes: str = "") -> str:
    box = (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(caption)}">{svg}</div>'
    )
    return f"<figure{attributes}>{box}<figcaption>{text_of(caption)}</figcaption></figure>\n"


def _summary(found: Sequence[Board]) -> str:
    entries = [entry for board in found for entry in board.entries]
    runs = _many(sum(len(entry.runs) for entry in entries), "finished run")
    return (
        f"{runs}, {_many(len(entries), 'entry', 'entries')}, "
        f"{_many(len({board.dataset for board in found}), 'dataset')}."
    )


def _many(n: int, one: str, more: str = "") -> str:
    return f"{n} {one if n == 1 else more or one + 's'}"


def _filters(found: Sequence[Board]) -> str:
    """Hidden until the script, which alone can act on them, shows them."""
    entries = [entry for board in found for entry in board.entries]
    choices = {
        "dataset": [board.dataset for board in found],
        "backbone": sorted({entry.row.group for entry in entries}),
        "augmenter": sorted(
            {entry.row.label for entry in entries}, key=lambda name: (name != BASELINE, name)
        ),
    }
    selects = "".join(
        f'<label>{name.capitalize()} <select name="{name}"><option value="">all</option>'
        + "".join(
            f'<option value="={escape(value)}">{escape(value)}</option>'
            for value in dict.fromkeys(values)
        )
        + "</select></label>"
        for name, values in choices.items()
    )
    if any(entry.row.coverage == MISSING for entry in entries):
        selects += (
            '<label class="box"><input type="checkbox" id="with-missing" checked> missing '
            "entries</label>"
        )
    theme = '<button type="button" id="theme">Theme: system</button>'
    return f'<form id="filters" hidden>{selects}{theme}<p role="status" id="shown"></p></form>'


def _left_out(sentences: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f"<h2>Left out</h2>\n<ul>{items}</ul>\n" if items else ""


def _th(text: str, kind: str = "text", style: str = "", key: str = "") -> str:
    """kind: how the script sorts the column. key: the score in it."""
    attributes = (f' class="{style}"' if style else "") + (f' data-key="{key}"' if key else "")
    return f'<th scope="col" data-kind="{kind}"{attributes}>{escape(text)}</th>'


def _td(content: str, value: Any = None, style: str = "") -> str:
    """content: HTML. value: what the script sorts by; None: nothing, and last."""
    attributes = ("" if value is None else f' data-value="{escape(str(value))}"') + (
        f' class="{style}"' if style else ""
    )
    return f"<td{attributes}>{content}</td>"


def _first_number(rank: str) -> str | None:
    """What a rank is sorted by: "2" of a shared "2-4"."""
    found = re.match(r"\d+", rank)
    return found and found[0]


def _arrow(mean: float, decimals: int) -> str:
    """Up or down before a difference, so that its sign needs neither colour nor a close look."""
    rounded = round(mean, decimals)
    kind, glyph = ("gain", "▲") if rounded > 0 else ("loss", "▼") if rounded < 0 else ("same", "=")
    return f'<span class="arrow {kind}" aria-hidden="true">{glyph}</span> '


def _absent() -> str:
    return f'<span class="absent">{MISSING}</span>'


def _time(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 90
        else f"{seconds / 60:.0f} min"
        if seconds < 5400
        else f"{seconds / 3600:.1f} h"
    )


def _policy(style: str, script: str) -> str:
    """A Content-Security-Policy that lets in these two inline texts, by their digests, and nothing
    else.
    """
    digest = lambda text: (
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
    )
    allowed = f"style-src {digest(style)}; script-src {digest(script)}; img-src data:"
    return f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"


def _json(value: Any) -> str:
    """JSON that can stand in a script element: nothing in it can end the element or begin a
    comment.
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
