"""What there is of an experiment, and what the rest will take: read from the runs' directories
alone, without torch.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from benchmark.config import Choice, Experiment, read_experiment
from benchmark.errors import UserError
from benchmark.grid.plan import Job, plan
from benchmark.store.runs import RunDirectory


@dataclass(frozen=True)
class Status:
    """A run as found on disk.

    state: done | running | failed | killed | missing | changed (done, with another configuration) |
        damaged (done, but a file of
    it is torn, gone or edited).
    """

    directory: RunDirectory
    state: str
    detail: str = ""

    @property
    def cell(self) -> tuple[str, str]:
        """(backbone, augmenter)."""
        return self.directory.path.parts[-3:-1]

    @property
    def seed(self) -> int:
        return int(self.directory.path.name.removeprefix("seed-"))


def statuses(
    target: str | Path, results: str | Path, overrides: Iterable[str] = ()
) -> list[Status]:
    """Of every run of an experiment, in table order: those of its grid, then others that its folder
    holds.

    Args:
        target: an experiment file, whose grid is looked up below `results`; or an experiment's
            folder, which needs neither file nor plugin.

    Raises:
        UserError: `target` is neither.
    """
    target = Path(target)
    if target.is_dir():
        return [status_of_directory(directory) for directory in stored_directories(target)]
    experiment = read_experiment(target, list(overrides))
    return statuses_of_grid(plan(experiment, results), Path(results) / experiment.name)


def statuses_of_grid(grid: list[Job], folder: Path) -> list[Status]:
    """Of the jobs of a grid, then of other runs in the experiment's folder (an added seed, a
    plugin's augmenter).
    """
    planned = {job.directory.path for job in grid}
    others = [RunDirectory(path) for path in _started(folder) if path not in planned]
    return [*map(status_of, grid), *map(status_of_directory, others)]


def status_of(job: Job) -> Status:
    """Of one job: what lies in its directory, compared with what it asks for."""
    status = status_of_directory(job.directory)
    if status.state == "done" and (differences := job.differences()):
        return Status(job.directory, "changed", "; ".join(differences))
    return status


def status_of_directory(directory: RunDirectory) -> Status:
    """Of what lies in a directory; files of a done run are compared with their digests."""
    state = directory.state()
    if state == "done" and (damage := directory.damage()):
        return Status(directory, "damaged", damage)
    return Status(directory, state, directory.failure()["error"] if state == "failed" else "")


def write_grid(experiment: Experiment, results: str | Path) -> Path:
    """Write the experiment file's grid as `experiment.json` into the experiment's folder, and
    return the folder: a table made from the folder alone then knows what is missing.

    Raises:
        UserError: the folder cannot be written.
    """
    known = {choice.name: choice for choice in experiment.augmenters}
    augmenters = dict.fromkeys(
        job.augmenter for job in plan(experiment, results)
    )  # `none` among them, if it had to be added
    in_order = [known.get(name) or Choice(name=name) for name in augmenters]
    store = RunDirectory(Path(results) / experiment.name)
    try:
        store.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{store.path}: cannot be made: {error.strerror}") from error
    grid = experiment.model_copy(update={"augmenters": in_order}).model_dump(
        mode="json", exclude={"cluster"}
    )
    if not (store.path / "experiment.json").is_file() or store.read_json("experiment.json") != grid:
        store.write_json("experiment.json", grid)
    return store.path


def description_of(folder: Path) -> str:
    """What the experiment file says of itself, for the caption of its tables; empty without
    `experiment.json`.
    """
    return _stored_grid(folder).description if (folder / "experiment.json").is_file() else ""


def _stored_grid(folder: Path) -> _Grid:
    """Raises UserError naming the file when it is none that `write_grid` wrote."""
    try:
        return _Grid.model_validate(RunDirectory(folder).read_json("experiment.json"))
    except ValidationError as error:
        raise UserError(
            f"{folder / 'experiment.json'}: not the grid of an experiment ({error.error_count()} faults). `run` writes it anew; "
            "without the file, the runs that are there are taken for all"
        ) from error


class _Named(BaseModel):
    name: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    ]  # as registered: never a path that leaves the folder


class _Grid(BaseModel):
    """What is read of `experiment.json`: names alone, so that a table needs no plugin."""

    backbones: list[_Named]
    augmenters: list[_Named]
    seeds: list[int]
    description: str = ""


def stored_directories(folder: Path) -> list[RunDirectory]:
    """The runs of an experiment's folder: those that its `experiment.json` asks for, started or
    not, then any others.

    Raises UserError when `folder` is not an experiment's folder.
    """
    asked: list[Path] = []
    if (folder / "experiment.json").is_file():
        grid = _stored_grid(folder)
        cells = itertools.product(grid.backbones, grid.augmenters, grid.seeds)
        asked = [
            folder / backbone.name / augmenter.name / f"seed-{seed}"
            for backbone, augmenter, seed in cells
        ]
    others = [path for path in _started(folder) if path not in asked]
    if not asked and not others:
        raise UserError(
            f"{folder}: holds no runs; expected an experiment's folder, such as results/demo"
        )
    return [RunDirectory(path) for path in [*asked, *others]]


def _started(folder: Path) -> list[Path]:
    """The directories of runs in an experiment's folder, sorted."""
    found = sorted(path.parent for path in folder.glob("*/*/seed-*/config.json"))
    return [path for path in found if path.name.removeprefix("seed-").isdecimal()]


@dataclass(frozen=True)
class Cost:
    seconds: float
    bytes: int


def estimate(jobs: list[Job], done: list[Job]) -> dict[str, Cost | None]:
    """Expected cost of each job by name, from the runs that are done: the mean over those of the
    same backbone and augmenter, else of the same backbone, else of all; None without any.
    """
    known = {job.name: _cost(job.directory) for job in done}
    return {job.name: _mean([known[other.name] for other in _nearest(job, done)]) for job in jobs}


def _nearest(job: Job, done: list[Job]) -> list[Job]:
    same_backbone = [other for other in done if other.backbone == job.backbone]
    return (
        [other for other in same_backbone if other.augmenter == job.augmenter]
        or same_backbone
        or done
    )


def _cost(directory: RunDirectory) -> Cost:
    seconds = directory.read_json("metrics.json").get("seconds") or 0.0
    return Cost(
        seconds, sum(file.stat().st_size for file in directory.path.rglob("*") if file.is_file())
    )


def _mean(costs: list[Cost]) -> Cost | None:
    if not costs:
        return None
    return Cost(
        sum(c.seconds for c in costs) / len(costs), round(sum(c.bytes for c in costs) / len(costs))
    )
