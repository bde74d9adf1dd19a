"""leaderboard: all finished runs below some folders as one HTML page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.claims import now
from benchmark.commands.elsewhere import AddPredictions, Gold, named_files
from benchmark.commands.score import Frequent, Train, TrainFacts, Undirected, reference_of
from benchmark.errors import UserError
from benchmark.results import RunDirectory, StoredRun, find_runs
from benchmark.status import Status, description_of, stored_directories

if TYPE_CHECKING:
    from benchmark.reports.evidence import Evidence
    from benchmark.reports.studies import Study
    from benchmark.scoring.submission import Reference


def leaderboard(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[DIR]...", help="Folders of results, of experiments or of runs; default: results."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The HTML file to write.")] = Path("leaderboard.html"),
    with_published: Annotated[
        bool, typer.Option("--with-published", help="Show published scores below each board, marked as reported, not run here.")
    ] = False,
    add_predictions: AddPredictions = None,
    gold: Gold = None,
    train: Train = None,
    train_facts: TrainFacts = None,
    frequent: Frequent = None,
    undirected: Undirected = False,
) -> None:
    """Make the leaderboard page of all finished runs.

    One HTML file that needs no network: sortable, filterable by dataset, backbone and augmenter, each row with its scores per
    relation and its configuration. Rank 1 is shared where the difference to the best is within noise; a difference to none is
    marked where it is significant (Holm). Runs that are damaged are left out, and named. Needs no GPU and no model.

    Examples:

      python run_benchmark.py leaderboard

      python run_benchmark.py leaderboard results/demo --out demo.html

      python run_benchmark.py leaderboard --add-predictions "My system=mine.json" --gold test.json --train train.json
    """
    from benchmark.files import written_atomically
    from benchmark.reports.page import page
    from benchmark.reports.published import reported_beside
    from benchmark.reports.studies import folder_of, studies

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
    shown = [study for data, members in boards.items() for study in _tested(members, evidence[data])]
    if files:
        shown += _elsewhere(files, reference, evidence, str(gold))
    published = {
        data: reported_beside(_runs(members), {row.group for study in members for row in study.table.rows})
        for data, members in (boards.items() if with_published else ())
    }
    made = f"Made {now()} with: python run_benchmark.py leaderboard"
    text = page(shown, published=published, left_out=left_out, made=made)
    try:
        with written_atomically(out) as part:
            part.write_text(text, encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{out}: its folder does not exist") from None
    typer.echo(f"written: {out} ({sum(len(seeds) for study in found for seeds in study.runs.values())} runs)", err=True)


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


def _tested(members: Sequence[Study], evidence: Evidence) -> list[Study]:
    """The studies of one board with marks, intervals and ranks."""
    from dataclasses import replace

    from benchmark.reports.difference_table import without_counts
    from benchmark.reports.ranks import with_ranks
    from benchmark.reports.significance import marked, significance

    tested = []
    for study in members:
        runs = _runs([study])
        found = significance(runs, {(row.group, row.label): row.expected for row in study.table.rows}, evidence)
        table = marked(study.table, found)
        table = replace(table, notes=(*table.notes, *without_counts(found, len(runs))))
        tested.append(replace(study, table=table, intervals=found.intervals))
    return with_ranks(tested, evidence)


def _elsewhere(
    files: Mapping[str, Path], reference: Reference, evidence: Mapping[tuple[str, str | None], Evidence], gold: str
) -> list[Study]:
    """A study without runs on each board whose test documents the gold documents are."""
    from benchmark.reports.elsewhere import LABEL, predictions_table, require_same_documents
    from benchmark.reports.studies import Study

    fits = require_same_documents(reference, list(evidence.values()), gold)
    return [
        Study(LABEL, *data, predictions_table(files, reference, each, data[0]), {})
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
