"""A board of the leaderboard as a Table, for every renderer, and the table of augmenters across all
boards' settings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from benchmark.reports.leaderboard import Board, Entry
from benchmark.reports.significance import Significance
from benchmark.reports.tables import BASELINE, MISSING, Cell, Column, Row, StatedCell, Table
from benchmark.statistics.comparison import ALPHA
from benchmark.statistics.corrections import datasets_with_effect

SCORES = ("test.f1", "test.f1.difference", "test.ign_f1", "test.freq_f1", "test.ltail_f1", "dev.f1")
TIME = Column("minutes", "min/run", "cost", (), decimals=1)


def board_table(board: Board) -> Table:
    """All entries on one dataset, the best first, with their ranks and what a run took."""
    several = len(board.studies) > 1
    known = {column.key: column for study in board.studies for column in study.table.columns}
    columns = tuple(known[key] for key in SCORES if key in known)
    rows = []
    for entry in board.entries:
        cells = (
            *(replace(entry.cell(column.key), best=False) for column in columns),
            _minutes(entry),
        )
        group = f"{entry.row.group} ({entry.study.label})" if several else entry.row.group
        rows.append(
            Row(group, entry.row.label, cells, entry.row.seeds, entry.row.expected, rank=entry.rank)
        )
    devices = sorted(
        {
            str(run.metrics["device"])
            for e in board.entries
            for run in e.runs.values()
            if run.metrics.get("device")
        }
    )
    notes = [note for study in board.studies for note in (*study.board_notes, *study.table.notes)]
    notes.append(
        f"min/run: without the minutes of the `{BASELINE}` run it starts from. Devices: "
        f"{', '.join(devices) or 'unknown'}."
    )
    notes = [
        note for note in dict.fromkeys(notes) if not note.startswith("Bold:")
    ]  # nothing is bold where entries are ranked
    return Table(
        f"{board.heading}: leaderboard",
        tuple(notes),
        "Backbone",
        "Augmenter",
        (*columns, TIME),
        tuple(rows),
    )


def _minutes(entry: Entry) -> Cell:
    seconds = {seed: run.metrics.get("seconds") for seed, run in entry.runs.items()}
    if not seconds or None in seconds.values():
        return Cell(absent=MISSING) if entry.study.runs else Cell()
    return Cell({seed: value / 60 for seed, value in seconds.items()})


def across_settings(found: Mapping[str, Significance]) -> Table | None:
    """On how many of all settings (experiment and dataset, backbone) an augmenter differs from
    `none`; None with fewer than two.

    Args:
        found: by the label of the experiment and its dataset.
    """
    settings: dict[str, list] = {}
    for significance in found.values():
        for contrast in significance.first.values():
            if contrast.difference.values:
                settings.setdefault(contrast.augmenter, []).append(contrast)
    if max(map(len, settings.values()), default=0) < 2:
        return None
    columns = (
        Column("settings", "settings", "test F1", (), decimals=0),
        Column("mean", "mean Δ", "test F1", (), difference=True),
        Column("better", "Δ > 0", "test F1", (), decimals=0),
        Column("tested", "with a p", "test F1", (), decimals=0),
        Column("k_hat", "k-hat", "test F1", (), decimals=0),
    )
    rows = [_across(augmenter, contrasts) for augmenter, contrasts in settings.items()]
    notes = (
        "A setting is a backbone in an experiment on a dataset that has run the augmenter and "
        f"`{BASELINE}` with a common seed. "
        "mean Δ: unweighted mean over settings of the mean difference in test F1. Settings of one "
        "dataset share documents.",
        f"k-hat (Dror et al. 2017, Bonferroni): with {1 - ALPHA:.0%} confidence the augmenter "
        f"differs from `{BASELINE}`, "
        "for better or worse, in at least so many of the settings with a p (two-sided, across "
        "seeds; one seed gives none).",
    )
    return Table("Across settings", notes, "", "Augmenter", columns, tuple(rows))


def _across(augmenter: str, contrasts: Sequence) -> Row:
    means = [contrast.difference.mean for contrast in contrasts]
    p_values = [
        contrast.test.p
        for contrast in contrasts
        if contrast.test is not None and contrast.test.p is not None
    ]
    k_hat = datasets_with_effect(p_values, alpha=ALPHA)
    numbers = (
        len(contrasts),
        sum(means) / len(means),
        sum(mean > 0 for mean in means),
        len(p_values),
        k_hat,
    )
    seeds = tuple(sorted({seed for contrast in contrasts for seed in contrast.difference.values}))
    return Row(
        "",
        augmenter,
        tuple(StatedCell(number=number, over=len(seeds)) for number in numbers),
        seeds,
        seeds,
    )
