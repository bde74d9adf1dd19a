"""leaderboard: all finished runs below some folders as one HTML page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from benchmark.commands.options import (
    AddPredictions,
    Frequent,
    Gold,
    Train,
    TrainFacts,
    Undirected,
    WithPublished,
    added_predictions,
    argument,
    option,
    reference_of,
    require_place,
)
from benchmark.errors import ConfigError, UserError
from benchmark.grid.status import description_of, seeds_by_cell, stored_directories
from benchmark.store.claims import now
from benchmark.store.runs import StoredRun, find_runs

if TYPE_CHECKING:
    from benchmark.reports.leaderboard import Board, Data
    from benchmark.reports.published import Reported
    from benchmark.reports.study import Study
    from benchmark.reports.tables import Table

FORMATS = (".html", ".md", ".tex", ".csv")

Folders = argument(list[Path] | None, "Folders of results or runs; default: results.", "[DIR]...")
Out = option(Path, "A page (.html), or tables as .md, .tex or .csv.", metavar="FILE")


def leaderboard(
    folders: Folders = None,
    out: Out = Path("leaderboard.html"),
    with_published: WithPublished = False,
    add_predictions: AddPredictions = None,
    gold: Gold = None,
    train: Train = None,
    train_facts: TrainFacts = None,
    frequent: Frequent = None,
    undirected: Undirected = False,
) -> None:
    """Make the leaderboard of all finished runs.

    One HTML page that needs no network (sortable, filterable, with figures), or the same rows as
    tables. Rank 1 is shared where the difference to the best is within noise; a difference
    to none is marked where it is significant (Holm). Damaged runs are left out, and named. Needs no
    GPU and no model.

    Examples:

      \b
      python run_benchmark.py leaderboard results/demo --out demo.html
      python run_benchmark.py leaderboard results/small --out leaderboard.tex
      python run_benchmark.py leaderboard results/small \\
          --add-predictions "My system=mine.json" --gold test.json --train train.json
    """
    from benchmark.reports.evidence import Evidence
    from benchmark.reports.leaderboard import boards, by_data, count_runs
    from benchmark.reports.published import reported_beside
    from benchmark.reports.render.page import page
    from benchmark.reports.settings import across_sentence, across_settings, protocols_sentence
    from benchmark.reports.significance import calibrated_significance
    from benchmark.reports.submitted import predictions_tables
    from benchmark.reports.summary import summary
    from benchmark.statistics.advice import counted
    from benchmark.store.files import write_text

    require_place(out)
    if out.suffix not in FORMATS:
        raise UserError(f"--out {out}: expected a name that ends in {', '.join(FORMATS)}")
    files, options = added_predictions(add_predictions), (train, train_facts, frequent, undirected)
    if bool(files) != (gold is not None) or (any(options) and not files):
        raise ConfigError(
            "--gold, --train, --train-facts, --frequent and --undirected go with --add-predictions,"
            " which needs --gold, the test documents with facts"
        )
    found, left_out = _studies(folders or [Path("results")])
    together = by_data(found)
    evidence = {
        data: Evidence(run for study in studies for run in study.runs)
        for data, studies in together.items()
    }
    elsewhere = {}
    if files:
        elsewhere = predictions_tables(files, reference_of(gold, *options), evidence)
    shown = boards(found, evidence, elsewhere)
    tested = [member.found for board in shown for member in board.members if member.found]
    across, said = across_settings(tested), []
    for plain in tested:
        of = f"{plain.study.label}: " if len(tested) > 1 else ""
        further = calibrated_significance(plain.study, plain.evidence)
        said += [of + paragraph for paragraph in summary(plain, further)]
    said += across_sentence(across) + protocols_sentence(tested)
    published = {data: reported_beside(of) for data, of in together.items() if with_published}
    if out.suffix == ".html":
        text = page(
            shown,
            published=published,
            left_out=left_out,
            across=across,
            made=f"Made {now()} with: python run_benchmark.py leaderboard",
            summary=said,
        )
    else:
        text = _tables(out.suffix, shown, published, [across] if across else [], said)
    write_text(out, text)
    typer.echo(f"written: {out} ({counted(count_runs(shown), 'run')})", err=True)


def _studies(folders: list[Path]) -> tuple[list[Study], list[str]]:
    """The experiments with finished runs, and sentences on what is left out, also printed."""
    from benchmark.reports.study import folder_of, studies

    runs, left_out = readable_runs(folders, whole=True)
    roots = [folder.resolve() for folder in folders]
    expected, descriptions = {}, {}
    for experiment in sorted({folder_of(run) for run in runs}):
        try:
            descriptions[experiment] = description_of(experiment)
            asked = stored_directories(experiment)
        except UserError as error:  # a torn experiment.json hides what is missing, and nothing else
            left_out.append(f"rows that {experiment} asks for and has not run: {error}")
            continue
        below = [run for run in asked if any(map(run.path.is_relative_to, roots))]
        expected[experiment] = seeds_by_cell(below)
    found, refused = studies(runs, expected, descriptions)
    left_out += refused
    for sentence in left_out:
        typer.echo(f"left out: {sentence}", err=True)
    if not found:
        raise UserError(f"{', '.join(map(str, folders))}: no finished run to show")
    return found, left_out


def _tables(
    ending: str,
    shown: list[Board],
    published: Mapping[Data, Reported],
    across: list[Table],
    said: list[str],
) -> str:
    """A table for each board with the published ones below it, and the one across settings."""
    from benchmark.reports.leaderboard import board_table
    from benchmark.reports.render.latex import latex
    from benchmark.reports.render.text import csv_text, markdown

    if ending == ".csv":  # so that nobody averages published rows with ours
        return csv_text([*map(board_table, shown), *across])
    tables = []
    for board in shown:
        tables.append(board_table(board))
        tables += published[board.data].tables if board.data in published else []
    return latex([*tables, *across]) if ending == ".tex" else markdown([*tables, *across], said)


def readable_runs(
    folders: Iterable[Path], *, whole: bool = False
) -> tuple[list[StoredRun], list[str]]:
    """The finished runs below some folders that can be read, and why the others cannot.

    whole: none of a run's files may be damaged, not only those that are read here.
    """
    runs, damaged = [], []
    for directory in (directory for folder in folders for directory in find_runs(folder)):
        try:
            run = directory.read()
            if whole:
                directory.verify()
            runs.append(run)
        except UserError as error:
            damaged.append(str(error))
    return runs, damaged
