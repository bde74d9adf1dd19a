"""How far an experiment is and what the rest will cost, from its folders alone; needs no torch."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Annotated, NamedTuple

from pydantic import BaseModel, Field, ValidationError

from benchmark.config import Choice, Experiment, read_experiment
from benchmark.errors import UserError
from benchmark.grid.plan import NONE, Job, plan
from benchmark.store.files import make_folder, read_json, write_json
from benchmark.store.runs import RunDirectory, seconds_of, started_runs

GRID_FILE = "experiment.json"


@dataclass(frozen=True)
class Status:
    """A run as found on disk.

    state: done | running | failed | killed | missing | changed (done, with another configuration)
        | damaged (done, but a file of it is torn, gone or edited).
    """

    directory: RunDirectory
    state: str
    detail: str = ""

    @property
    def cell(self) -> tuple[str, str]:
        """(backbone, augmenter)."""
        return self.directory.cell

    @property
    def seed(self) -> int:
        return self.directory.seed


def statuses(
    target: str | Path, results: str | Path, overrides: Iterable[str] = ()
) -> list[Status]:
    """The status of every run of an experiment: those of its grid, then others in its folder.

    Args:
        target: an experiment file, whose grid is looked up below `results`; or an experiment's
            folder, which needs neither file nor plugin.
        overrides: changes of the experiment file.

    Raises:
        UserError: `target` is neither.
    """
    target = Path(target)
    if target.is_dir():
        return [status_of_directory(directory) for directory in stored_directories(target)]
    if not target.suffix and not target.exists():
        raise UserError(f"{target}: no such folder of results")
    experiment = read_experiment(target, list(overrides))
    return statuses_of_grid(plan(experiment, results), Path(results) / experiment.folder)


def statuses_of_grid(grid: list[Job], folder: Path) -> list[Status]:
    """The status of a grid's jobs, then of other runs in the experiment's folder.

    Stage 1 of the cheap protocol belongs to another experiment, and to its tables.
    """
    grid = [job for job in grid if not job.shared]
    planned = {job.directory for job in grid}
    others = [directory for directory in started_runs(folder) if directory not in planned]
    return [*map(status_of, grid), *map(status_of_directory, others)]


def status_of(job: Job) -> Status:
    """The status of one job; what lies in its folder is compared with what it asks for."""
    status = status_of_directory(job.directory)
    if status.state == "done" and (differences := job.differences()):
        return Status(job.directory, "changed", "; ".join(differences))
    return status


def status_of_directory(directory: RunDirectory) -> Status:
    """The status of a folder; files of a finished run are compared with their digests."""
    state = directory.state()
    if state == "done" and (damage := directory.damage()):
        return Status(directory, "damaged", damage)
    return Status(directory, state, directory.failure()["error"] if state == "failed" else "")


def seeds_by_cell(found: Iterable[Status | RunDirectory]) -> dict[tuple[str, str], list[int]]:
    """(backbone, augmenter) -> the seeds of these runs, and those of `none` with this backbone: a
    cell that came to the experiment later is expected to have them, too.
    """
    cells: dict[tuple[str, str], list[int]] = {}
    for run in found:
        cells.setdefault(run.cell, []).append(run.seed)
    with_none = {cell: cells.get((cell[0], NONE), []) for cell in cells}
    return {cell: list(dict.fromkeys(with_none[cell] + seeds)) for cell, seeds in cells.items()}


def write_grid(experiment: Experiment, results: str | Path) -> None:
    """Write the grid as `experiment.json` into the experiment's folder, so that tables made from
    the folder alone can say which runs are missing.

    Raises UserError when the folder cannot be written.
    """
    known = {choice.name: choice for choice in experiment.augmenters}
    # the plan may have added `none`
    names = dict.fromkeys(job.augmenter for job in plan(experiment, results))
    augmenters = [known.get(name) or Choice(name=name) for name in names]
    grid = experiment.model_copy(update={"augmenters": augmenters})
    content = grid.model_dump(mode="json", exclude={"cluster"})
    file = Path(results) / experiment.folder / GRID_FILE
    make_folder(file.parent)
    with contextlib.suppress(UserError):  # not there, or torn
        if read_json(file) == content:
            return
    write_json(file, content)


def description_of(folder: Path) -> str:
    """The experiment file's description, for the captions of tables; empty without a grid file."""
    return _stored_grid(folder).description if (folder / GRID_FILE).is_file() else ""


class _Named(BaseModel):
    # as registered: never a path that leaves the folder
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]


class _Grid(BaseModel):
    """What is read of a grid file: names alone, so that a table needs no plugin."""

    backbones: list[_Named]
    augmenters: list[_Named]
    seeds: list[int]
    description: str = ""


def _stored_grid(folder: Path) -> _Grid:
    """The grid file. Raises UserError naming it if `write_grid` did not write it."""
    try:
        return _Grid.model_validate(read_json(folder / GRID_FILE))
    except ValidationError as error:
        raise UserError(
            f"{folder / GRID_FILE}: not the grid of an experiment ({error.error_count()} faults). "
            "`run` rewrites it; if you delete it, only the runs that exist count"
        ) from error


def stored_directories(folder: Path) -> list[RunDirectory]:
    """The runs of an experiment's folder: those of its grid file, started or not, then others.

    Raises UserError when `folder` is not an experiment's folder.
    """
    asked: list[RunDirectory] = []
    if (folder / GRID_FILE).is_file():
        grid = _stored_grid(folder)
        cells = itertools.product(grid.backbones, grid.augmenters, grid.seeds)
        of = partial(RunDirectory.of, folder.parent, folder.name)
        asked = [of(backbone.name, augmenter.name, seed) for backbone, augmenter, seed in cells]
    others = [directory for directory in started_runs(folder) if directory not in asked]
    if not asked and not others:
        raise UserError(
            f"{folder}: no experiment's folder, which has BACKBONE/AUGMENTER/seed-K below it; "
            "expected one such as results/demo"
        )
    return [*asked, *others]


def experiments_in(folder: Path) -> list[Path]:
    """The experiments in a folder of results; none if it is an experiment itself, or a file."""
    holds_runs = lambda path: (path / GRID_FILE).is_file() or bool(started_runs(path))
    return [] if holds_runs(folder) else sorted(filter(holds_runs, folder.glob("*")))


class Cost(NamedTuple):
    """What a run takes: time, and disk for its folder."""

    seconds: float
    bytes: float


def estimate(jobs: list[Job], done: list[Job]) -> dict[str, Cost | None]:
    """The expected cost of each job by name; None if no run is done.

    It is the mean over the finished runs of the same backbone and augmenter, else of the same
    backbone, else of all. Runs of the whole model and runs of a head alone are kept apart where
    there are both.
    """
    took = {
        job.name: (seconds_of(job.directory.read_json("metrics.json")) or 0, job.directory.size())
        for job in done
    }
    found: dict[str, Cost | None] = {}
    for job in jobs:
        alike = [other for other in done if other.shared == job.shared] or done
        same_backbone = [other for other in alike if other.backbone == job.backbone]
        same_cell = [other for other in same_backbone if other.augmenter == job.augmenter]
        like = [took[other.name] for other in same_cell or same_backbone or alike]
        found[job.name] = Cost(*map(fmean, zip(*like, strict=True))) if like else None
    return found
