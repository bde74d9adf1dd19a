"""The leaderboard page: one HTML file that needs a browser and nothing else.

The tables and figures are part of the HTML, so the page can be read without JavaScript.
`assets/page.js` adds sorting, filters and the panel of each row, from JSON data in the file. A
Content-Security-Policy allows this script and style sheet alone and forbids every connection, so
that nothing in a run's files can run or call home.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from benchmark.reports.leaderboard import Board, Data, Entry, Member
from benchmark.reports.published import Reported
from benchmark.reports.render.html import html, rendered, whole_page
from benchmark.reports.svg import (
    Difference,
    SeedPairs,
    change_bar,
    differences,
    paired_dots,
    relation_changes,
)
from benchmark.reports.tables import BASELINE, MISSING, Cell, Column, Table

_DIFFERENCE = "test.f1.difference"


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
    entries = [entry for board in boards for entry in board.entries]
    data = {
        "studies": [member.relations for board in boards for member in board.members],
        "entries": [entry.data() for entry in entries],
    }
    augmenters = {entry.row.label for entry in entries}
    datasets = dict.fromkeys(board.data[0] for board in boards)
    body = rendered(
        "page.html",
        boards=boards,
        published=published or {},
        left_out=left_out,
        across=across,
        title=title,
        made=made,
        summary=summary,
        data=_json(data),
        choices={
            "dataset": datasets,
            "backbone": sorted({entry.row.group for entry in entries}),
            "augmenter": sorted(augmenters, key=lambda name: (name != BASELINE, name)),
        },
        totals=(
            (sum(len(entry.runs) for entry in entries), "finished run", "finished runs"),
            (len(entries), "entry", "entries"),
            (len(datasets), "dataset", "datasets"),
        ),
        BASELINE=BASELINE,
        MISSING=MISSING,
        html=html,
        columns_of=_columns,
        largest_of=_largest,
        ablation_of=lambda member: html([replace(member.table, notes=())]),
        figures_of=_figures,
        relations_of=_relation_figures,
        change_bar=change_bar,
        time=_time,
    )
    return whole_page(body, title, "page.css", "page.js")


def _columns(board: Board) -> list[Column]:
    """Those in which some entry has something."""
    return [c for c in board.columns if any(e.cell(c.key) != Cell() for e in board.entries)]


def _largest(board: Board) -> float:
    """The largest difference, of either sign."""
    means = [entry.cell(_DIFFERENCE).mean for entry in board.entries]
    return max((abs(mean) for mean in means if mean is not None), default=0)


def _figures(board: Board, member: Member) -> Iterator[tuple[str, str, dict[str, str]]]:
    """(SVG, caption, attributes): differences to `none` of all backbones, then seed by seed, a
    figure per backbone.
    """
    own = sorted((e for e in board.entries if e.member is member), key=lambda e: e.row.group)
    of = f" ({member.label})" if len(board.members) > 1 else ""
    if rows := [_difference(entry) for entry in own if entry.cell(_DIFFERENCE).mean is not None]:
        title = f"Difference in test F1 to {BASELINE}, in points{of}"
        yield differences(rows, title), title + _explained(own, rows), {}
    for backbone, entries in groupby(own, key=lambda entry: entry.row.group):
        pairs = [SeedPairs(entry.row.label, _seed_pairs(entry)) for entry in entries]
        if any(pair.values for pair in pairs):
            title = f"{backbone}, seed by seed: test F1 with {BASELINE} (hollow) and with the "
            title += f"augmenter (filled){of}"
            yield paired_dots(pairs, title), title, {"data-backbone": backbone}


def _relation_figures(board: Board) -> Iterator[tuple[str, str, dict[str, str]]]:
    for entry in board.entries:
        if entry.changes:
            title = f"{entry.name}: change of test F1 per relation, against {BASELINE}"
            attributes = {"id": f"relations-{entry.number}"}
            yield relation_changes(entry.changes, title), title, attributes


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


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _json(value: Any) -> str:
    """JSON for a script element: nothing in it can end the element or begin a comment."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
