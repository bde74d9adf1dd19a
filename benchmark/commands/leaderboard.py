"""leaderboard: all finished runs below some folders as one HTML page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.commands.options import (
    AddPredictions,
    Frequent,
    Gold,
    Train,
    TrainFacts,
    Undirected,
    named_files,
    reference_of,
)
from benchmark.errors import UserError
from benchmark.grid.status import Status, description_of, stored_directories
from benchmark.store.claims import now
from benchmark.store.runs import RunDirectory, StoredRun, find_runs

if TYPE_CHECKING:
    from benchmark.reports.evidence import Evidence
    from benchmark.reports.published import Reported
    from benchmark.reports.significance import Significance
    from benchmark.reports.studies import Study
    from benchmark.reports.tables import Table
    from benchmark.scoring.submission import Reference

    Published = Mapping[tuple[str, str | None], Reported]


def leaderboard(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[DIR]...",
            help="Folders of results, of experiments or of runs; default: results.",
        ),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="FILE",
            help="The file to write: a page (.html), or tables as .md, .tex or .csv.",
        ),
    ] = Path("leaderboard.html"),
    with_published: Annotated[
        bool,
        typer.Option(
            "--with-published",
            help="Show published scores below each board, marked as reported, not run here.",
        ),
    ] = False,
    add_predictions: AddPredictions = None,
    gold: Gold = None,
    train: Train = None,
    train_facts: TrainFacts = None,
    frequent: Frequent = None,
    undirected: Undirected = False,
) -> None:
    """Make the leaderboard of all finished runs.

    A page, one HTML file that needs no network: sortable, filterable by dataset, backbone and
    augmenter, each row with its scores per relation and its configuration; or the same rows as
    tables. Rank 1 is shared where the difference to the best is within noise; a difference to none
    is marked where it is significant (Holm). Runs that are damaged are left out, and named. Needs
    no GPU and no model.

    Examples:

      \b
      python run_benchmark.py leaderboard

      \b
      python run_benchmark.py leaderboard results/demo --out demo.html

      \b
      python run_benchmark.py leaderboard --out leaderboard.tex

      \b
      python run_benchmark.py leaderboard \\
          --add-predictions "My system=mine.json" --gold test.json \\
          --train train.json
    """
    from benchmark.reports.board_table import across_sentence, across_settings
    from benchmark.reports.published import reported_beside
    from benchmark.reports.studies import folder_of, studies
    from benchmark.store.files import written_atomically

    if out.suffix not in FORMATS:
        raise UserError(f"--out {out}: expected a name that ends in {', '.join(FORMATS)}")
    files = named_files(add_predictions, gold, train, train_facts, frequent, undirected)
    reference = reference_of(gold, train, train_facts, frequent, undirected) if files else None
    folders = folders or [Path("results")]
    runs, left_out = _read(directory for folder in folders for directory in find_runs(folder))
    experiments = sorted({folder_of(run) for run in runs})
    expected, descriptions = {}, {}
    for experiment in experiments:
        try:
            descriptions[experiment] = description_of(experiment)
            expected[experiment] = _expected(experiment, folders)
        except UserError as error:  # a torn experiment.json hides what is missing, and nothing else
            left_out.append(f"what {experiment} asks for: {error}")
    found, refused = studies(runs, expected, descriptions)
    left_out += refused
    for sentence in left_out:
        typer.echo(f"left out: {sentence}", err=True)
    if not found:
        raise UserError(f"{', '.join(map(str, folders))}: no finished run to show")
    boards = _boards(found)
    evidence = {data: _evidence(members) for data, members in boards.items()}
    tested = [pair for data, members in boards.items() for pair in _tested(members, evidence[data])]
    shown = _ranked([study for study, _ in tested], evidence)
    across = across_settings(significance for _, significance in tested)
    said = [
        sentence
        for study, plain in tested
        for sentence in _said(study, plain, evidence[study.dataset, study.digest])
    ]
    said += across_sentence(across)
    if files:
        shown += _elsewhere(files, reference, evidence, str(gold))
    published = {
        data: reported_beside(
            _runs(members), {row.group for study in members for row in study.table.rows}
        )
        for data, members in (boards.items() if with_published else ())
    }
    text = FORMATS[out.suffix](shown, published, left_out, across, said)
    try:
        with written_atomically(out) as part:
            part.write_text(text, encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{out}: its folder does not exist") from None
    typer.echo(
        f"written: {out} ({sum(len(seeds) for study in found for seeds in study.runs.values())} "
        "runs)",
        err=True,
    )


def _read(directories: Iterable[RunDirectory]) -> tuple[list[StoredRun], list[str]]:
    """The runs that can be read, and why the others cannot."""
    runs, damaged = [], []
    for directory in directories:
        try:
            runs.append(directory.read())
        except UserError as error:
            damaged.append(str(error))
    return runs, damaged


def _boards(found: Iterable[Study]) -> dict[tuple[str, str | None], list[Study]]:
    """By dataset and version of the data, in the order in which they come."""
    boards: dict[tuple[str, str | None], list[Study]] = {}
    for study in found:
        boards.setdefault((study.dataset, study.digest), []).append(study)
    return boards


def _runs(members: Iterable[Study]) -> list[StoredRun]:
    return [run for study in members for seeds in study.runs.values() for run in seeds.values()]


def _evidence(members: Iterable[Study]) -> Evidence:
    from benchmark.reports.evidence import Evidence

    return Evidence(_runs(members))


def _page(
    shown: list[Study],
    published: Published,
    left_out: list[str],
    across: Table | None,
    said: list[str],
) -> str:
    from benchmark.reports.render.page import page

    made = f"Made {now()} with: python run_benchmark.py leaderboard"
    return page(
        shown, published=published, left_out=left_out, across=across, made=made, summary=said
    )


def _tables(shown: list[Study], published: Published, across: Table | None) -> list[Table]:
    """A table for each board, the published ones of its dataset below it, and the one across all
    settings.
    """
    from benchmark.reports.board_table import board_table
    from benchmark.reports.leaderboard import boards

    tables = []
    for board in boards(shown):
        tables.append(board_table(board))
        reported = published.get(board.data)
        tables += reported.tables if reported is not None else []
    return [*tables, *([across] if across else [])]


def _markdown(
    shown: list[Study],
    published: Published,
    left_out: list[str],
    across: Table | None,
    said: list[str],
) -> str:
    from benchmark.reports.render.text import markdown

    return markdown(_tables(shown, published, across), said)


def _latex(
    shown: list[Study],
    published: Published,
    left_out: list[str],
    across: Table | None,
    said: list[str],
) -> str:
    from benchmark.reports.render.latex import latex

    return latex(_tables(shown, published, across))


def _csv(
    shown: list[Study],
    published: Published,
    left_out: list[str],
    across: Table | None,
    said: list[str],
) -> str:
    from benchmark.reports.render.text import csv_text

    return csv_text(
        _tables(shown, {}, across)
    )  # whoever averages over our rows meets no published one


FORMATS = {".html": _page, ".md": _markdown, ".tex": _latex, ".csv": _csv}


def _tested(members: Sequence[Study], evidence: Evidence) -> list[tuple[Study, Significance]]:
    """The studies of one board with marks and intervals."""
    from dataclasses import replace

    from benchmark.reports.difference_table import marked, without_counts
    from benchmark.reports.significance import significance

    tested = []
    for study in members:
        runs = _runs([study])
        found = significance(
            runs, {(row.group, row.label): row.expected for row in study.table.rows}, evidence
        )
        table = marked(study.table, found)
        table = replace(table, notes=(*table.notes, *without_counts(found, len(runs))))
        tested.append((replace(study, table=table, intervals=found.intervals), found))
    return tested


def _said(study: Study, plain: Significance, evidence: Evidence) -> list[str]:
    """The summary of a study's numbers."""
    from benchmark.reports.cells import has_calibrated
    from benchmark.reports.significance import FURTHER, significance
    from benchmark.reports.summary import summary

    runs = _runs([study])
    expected = {(row.group, row.label): row.expected for row in study.table.rows}
    calibrated = has_calibrated(runs)
    further = significance(runs, expected, evidence, FURTHER) if calibrated else None
    return summary(runs, plain, further, evidence) if plain else []


def _ranked(
    studies: list[Study], evidence: Mapping[tuple[str, str | None], Evidence]
) -> list[Study]:
    """The studies with ranks, board by board."""
    from benchmark.reports.ranks import with_ranks

    return [
        study
        for data, members in _boards(studies).items()
        for study in with_ranks(members, evidence[data])
    ]


UNRANKED = (
    "Predictions made elsewhere stand at their score, without a rank: compare them with a run by "
    "`compare`."
)


def _elsewhere(
    files: Mapping[str, Path],
    reference: Reference,
    evidence: Mapping[tuple[str, str | None], Evidence],
    gold: str,
) -> list[Study]:
    """A study without runs on each board whose test documents the gold documents are."""
    from benchmark.reports.studies import Study
    from benchmark.reports.submitted import LABEL, predictions_table, require_same_documents

    fits = require_same_documents(reference, list(evidence.values()), gold)
    return [
        Study(
            LABEL,
            *data,
            predictions_table(files, reference, each, data[0]),
            {},
            board_notes=(UNRANKED,),
        )
        for (data, each), fit in zip(evidence.items(), fits, strict=True)
        if fit
    ]


def _expected(experiment: Path, folders: Iterable[Path]) -> dict[tuple[str, str], list[int]]:
    """The cells and seeds that an experiment asks for, those below `folders` alone."""
    roots, cells = [folder.resolve() for folder in folders], {}
    for directory in stored_directories(experiment):
        if any(directory.path.is_relative_to(root) for root in roots):
            status = Status(directory, "")
            cells.setdefault(status.cell, []).append(status.seed)
    return cells
