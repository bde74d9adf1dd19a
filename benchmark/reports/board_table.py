"""A board of the leaderboard as a Table, and the table of augmenters across all settings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmark.reports.ablation import TO_CONTROL
from benchmark.reports.leaderboard import Board
from benchmark.reports.protocols import setting
from benchmark.reports.significance import Contrast, Significance
from benchmark.reports.study import is_control
from benchmark.reports.submitted import LABEL
from benchmark.reports.tables import BASELINE, Cell, Column, Row, Table
from benchmark.statistics.comparison import ALPHA
from benchmark.statistics.corrections import datasets_with_effect

ACROSS = (
    Column("settings", "settings", "test F1", (), decimals=0),
    Column("mean", "mean Δ", "test F1", (), difference=True),
    Column("better", "Δ > 0", "test F1", (), decimals=0),
    Column("tested", "with a p", "test F1", (), decimals=0),
    Column("k_hat", "k-hat", "test F1", (), decimals=0),
)


def board_table(board: Board) -> Table:
    """All entries on one dataset, the best first, with their ranks and the time of a run."""
    rows = [entry.row for entry in board.entries]
    if board.several:
        rows = [entry.with_experiment for entry in board.entries]
    told: dict[str, list[str]] = {}  # note -> whose it is
    for member in board.members:
        for note in member.table.notes:
            told.setdefault(note, []).append(member.label)
    whole = [member.label for member in board.members if member.study], [LABEL]
    notes = [*board.notes]
    for note, labels in told.items():
        if not note.startswith(("Bold:", f"{TO_CONTROL.label}:")):  # of the ablation table alone
            of_some = board.several and labels not in whole
            notes.append(f"Of {', '.join(labels)}: {note}" if of_some else note)
    devices = sorted({device for entry in board.entries for device in entry.devices})
    notes.append(
        f"min/run: without the minutes of the `{BASELINE}` run it starts from. Devices: "
        f"{', '.join(devices) or 'unknown'}."
    )
    title = f"{board.heading}: leaderboard"
    return Table(title, tuple(notes), "Backbone", "Augmenter", board.columns, tuple(rows))


def across_settings(found: Iterable[Significance]) -> Table | None:
    """In how many settings an augmenter differs from `none`; None with fewer than two.

    A setting is a backbone in an experiment on a dataset. Where several experiments hold the same
    runs, they are one setting: that of the experiment with most seeds.
    """
    settings: dict[str, dict[tuple, Contrast]] = {}
    for significance in found:
        for cell, contrast in significance.first.items():
            if contrast.difference.values:
                run = next(iter(significance.study.cells[cell].values()))
                key = (significance.study.data, *cell, setting(run))
                of = settings.setdefault(contrast.augmenter, {})
                of[key] = max(of.get(key, contrast), contrast, key=lambda each: each.difference.n)
    if max(map(len, settings.values()), default=0) < 2:
        return None
    rows = tuple(_across(augmenter, list(of.values())) for augmenter, of in settings.items())
    notes = (
        "A setting is a backbone in an experiment on a dataset that has run the augmenter and "
        f"`{BASELINE}` with a common seed. mean Δ: unweighted mean over settings of the mean "
        "difference in test F1. Settings of one dataset share documents; runs that several "
        "experiments hold are one setting.",
        f"k-hat (Dror et al. 2017, Bonferroni): with {1 - ALPHA:.0%} confidence the augmenter "
        f"differs from `{BASELINE}`, for better or worse, in at least so many of the settings with "
        "a p (two-sided, across seeds; one seed gives none). Where the interval over seeds and "
        "documents includes 0, p counts as 1. Each augmenter by itself, without a correction for "
        "how many there are; a mark in a table of an experiment asks for more.",
    )
    return Table("Across settings", notes, "", "Augmenter", ACROSS, rows)


def across_sentence(table: Table | None) -> list[str]:
    """k-hat in a sentence, for the augmenters that were tested in several settings."""
    counts = []
    for row in table.rows if table else ():
        tested, k_hat = (row.cells[key].mean for key in ("tested", "k_hat"))
        if tested > 1:
            counts.append(f"`{row.label}` in at least {k_hat} of {tested}")
    said = "Settings (a backbone in an experiment) in which an augmenter, each taken by itself, "
    said += "differs from `none` in test F1 (k-hat): "
    return [f"{said}{', '.join(counts)}."] if counts else []


def _across(augmenter: str, contrasts: Sequence[Contrast]) -> Row:
    means = [contrast.difference.mean for contrast in contrasts]
    tested = [c for c in contrasts if c.test is not None and c.test.p is not None]
    # as a mark does, an effect asks for an interval that excludes 0, too
    p_values = [c.test.p if c.excludes_zero else 1.0 for c in tested]
    numbers = {
        "settings": len(means),
        "mean": sum(means) / len(means),
        "better": sum(mean > 0 for mean in means),
        "tested": len(p_values),
        "k_hat": datasets_with_effect(p_values, alpha=ALPHA),
    }
    seeds = tuple(sorted({seed for contrast in contrasts for seed in contrast.difference.values}))
    cells = {name: Cell(number=number, over=len(seeds)) for name, number in numbers.items()}
    return Row("", augmenter, cells, seeds, seeds, control=is_control(augmenter))
