"""The leaderboard page: one HTML file that needs a browser and nothing else.

Everything is part of the HTML, so the page can be read without JavaScript; `assets/page.js` adds
sorting and filters and folds the panel of each row (its F1 per relation, its configuration). A
Content-Security-Policy allows this script and style sheet alone and forbids every connection, so
that nothing in a run's files can run or call home.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from benchmark.reports.leaderboard import Board, Data, Entry, count_runs
from benchmark.reports.published import Reported
from benchmark.reports.render.html import html, rendered, whole_page
from benchmark.reports.svg import differences, paired_dots, points, relation_changes
from benchmark.reports.tables import BASELINE, Row, Table

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

    published: tables of papers to show below the boards.
    left_out: sentences on what could not be shown.
    across: the table of augmenters over all settings, for the end.
    made: when and how, for the foot of the page.
    summary: paragraphs on what the numbers show, for its head; all but their first sentences are
        folded.
    """
    entries = [entry for board in boards for entry in board.entries]
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
        summary=[_lead(paragraph) for paragraph in summary],
        choices={
            "dataset": datasets,
            "backbone": sorted({entry.row.group for entry in entries}),
            "augmenter": sorted(augmenters, key=lambda name: (name != BASELINE, name)),
        },
        totals=(
            (count_runs(boards), "finished run", "finished runs"),
            (len(entries), "entry", "entries"),
            (len(datasets), "dataset", "datasets"),
            *[(len(boards), "", "versions of the data")] * (len(boards) > len(datasets)),
        ),
        BASELINE=BASELINE,
        html=html,
        ablation_of=lambda member: html([replace(member.table, notes=())]),
        figures_of=_figures,
        changes_of=_changes,
        points=_points,
    )
    return whole_page(body, title, "page.css", "page.js")


def _lead(paragraph: str, sentences: int = 3) -> tuple[str, str]:
    """The first sentences of a paragraph, and the rest."""
    *first, rest = re.split(r"(?<=\.) (?=[A-Z])", paragraph, maxsplit=sentences)
    return (" ".join(first), rest) if len(first) == sentences else (paragraph, "")


def _figures(board: Board) -> Iterator[tuple[str, str]]:
    """(SVG, caption) of each member: its differences to `none`, with intervals and seeds; then
    seed by seed, for each backbone.
    """
    for member in board.members:
        own = sorted((e for e in board.entries if member in e.members), key=lambda e: e.row.group)
        own = [entry for entry in own if entry.row.cell(_DIFFERENCE).mean is not None]
        of = f" ({member.label})" if board.several else ""
        if own:
            title = f"Difference in test F1 to {BASELINE}, in points{of}"
            rows = [
                (e.name, e.row.cell(_DIFFERENCE), e.interval and e.interval.points) for e in own
            ]
            yield differences(rows, title), title + _told(own)
        for backbone, entries in groupby(own, key=lambda entry: entry.row.group):
            title = f"{backbone}, seed by seed: test F1 with {BASELINE} (hollow) and with the "
            title += f"augmenter (filled){of}"
            pairs = {entry.row.label: _seed_pairs(entry.row) for entry in entries}
            yield paired_dots(pairs, title), title


def _changes(entry: Entry) -> tuple[str, str] | None:
    """(SVG, caption) of the changes per relation, where there is one."""
    if all(relation.change is None for relation in entry.relations):
        return None
    title = f"{entry.name}: change of test F1 per relation, against {BASELINE}"
    return relation_changes(entry.relations, title), title


def _seed_pairs(row: Row) -> dict[int, tuple[float, float]]:
    """Seed -> test F1 with `none` and with the augmenter."""
    values, change = row.cell("test.f1").values, row.cell(_DIFFERENCE).values
    return {seed: (values[seed] - change[seed], values[seed]) for seed in change}


def _points(value: float | None, sign: str = "") -> str:
    text = "n/a" if value is None else points(value, 1)
    return text if sign else text.removeprefix("+")


def _told(entries: Sequence[Entry]) -> str:
    known = [e.interval for e in entries if e.interval and e.interval.low is not None]
    kinds = dict.fromkeys(f"{interval.level:.0%}, {interval.name}" for interval in known)
    told = f". Bars: intervals ({'; '.join(kinds)})" if kinds else ". No intervals were computed"
    several = any(entry.row.cell(_DIFFERENCE).n > 1 for entry in entries)
    return told + (". Small ticks: the seeds" if several else "")
