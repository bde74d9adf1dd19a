"""leaderboard: all finished runs below some folders as one HTML page."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from benchmark.claims import now
from benchmark.errors import UserError
from benchmark.results import RunDirectory, StoredRun, find_runs
from benchmark.status import Status, description_of, stored_directories


def leaderboard(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[DIR]...", help="Folders of results, of experiments or of runs; default: results."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The HTML file to write.")] = Path("leaderboard.html"),
) -> None:
    """Make the leaderboard page of all finished runs.

    One HTML file that needs no network: sortable, filterable by dataset, backbone and augmenter, each row with its scores per
    relation and its configuration. Runs that are damaged are left out, and named. Needs no GPU, no data and no model.

    Examples:

      python run_benchmark.py leaderboard

      python run_benchmark.py leaderboard results/demo --out demo.html
    """
    from benchmark.files import written_atomically
    from benchmark.reports.page import page
    from benchmark.reports.studies import folder_of, studies

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
    text = page(found, left_out=left_out, made=f"Made {now()} with: python run_benchmark.py leaderboard")
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


def _expected(experiment: Path, folders: Iterable[Path]) -> dict[tuple[str, str], list[int]]:
    """The cells and seeds that an experiment asks for, those below `folders` alone."""
    roots, cells = [folder.resolve() for folder in folders], {}
    for directory in stored_directories(experiment):
        if any(directory.path.is_relative_to(root) for root in roots):
            status = Status(directory, "")
            cells.setdefault(status.cell, []).append(status.seed)
    return cells
