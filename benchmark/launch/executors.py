"""A grid handed out to workers through submitit: one run of the grid is one task.

    worker.py   what a worker gets, and what it does with it: `grid.run_jobs` for that one run
    local.py    debug: in this process, one after the other; local: in processes of this machine
    slurm.py    slurm: in job arrays of a cluster

The runs' folders alone decide who works on what (benchmark/store/claims.py): several launches of
one grid do no run twice. Imported only when an executor is asked for. Imports no torch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmark.config import Experiment, with_revision
from benchmark.errors import ConfigError, did_you_mean
from benchmark.grid.execute import kept, prepare
from benchmark.grid.plan import Job, Outcome
from benchmark.launch import local, slurm
from benchmark.launch.worker import Launch
from benchmark.progress import Progress

EXECUTORS = {"debug": local.in_process, "local": local.in_workers, "slurm": slurm.submit}


def runner(
    executor: str,
    experiment: Experiment,
    results: str | Path,
    *,
    parallel: int | None = None,
    wait: bool = False,
    plugins: list[Path] | None = None,
) -> Callable[..., Iterator[Outcome]]:
    """A stand-in for `grid.run_jobs` that hands the runs out to workers.

    Args:
        executor: a name of EXECUTORS.
        experiment: the one whose grid is run, with what the command line added to it.
        parallel: runs at a time; None: one with `local`, no limit with `slurm`.
        wait: with `slurm`, yield the outcomes of the runs as they end, not that they are submitted.

    Raises ConfigError for an unknown executor, a `parallel` or `wait` that it has no use for, and
    when called in one of several processes.
    """
    _require_sensible(executor, parallel, wait)
    hand_out = partial(slurm.submit, wait=True) if wait else EXECUTORS[executor]

    def run_by_workers(
        jobs: list[Job],
        *,
        grid: list[Job],
        save_every: float = 600.0,
        progress: Progress,
        **checks: Any,
    ) -> Iterator[Outcome]:
        if (checked := prepare(jobs, grid=grid, progress=progress, **checks)) is None:
            yield from kept(jobs, grid)
            return
        pinned = with_revision(experiment, checked.facts["encoder_revision"])
        launch = Launch.new(pinned, results, plugins or [], save_every)
        yield from hand_out(jobs, launch, parallel, progress)

    return run_by_workers


def _require_sensible(executor: str, parallel: int | None, wait: bool) -> None:
    if executor not in EXECUTORS:
        known = f"{did_you_mean(executor, EXECUTORS)} Known: {', '.join(EXECUTORS)}"
        raise ConfigError(f"--executor: unknown executor '{executor}'.{known}")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError(
            "--executor and --jobs start processes of their own: "
            "leave `accelerate launch` or `torchrun` out"
        )
    if parallel is not None and parallel < 1:
        raise ConfigError(f"--jobs is the number of runs at a time: 1 or more, got {parallel}")
    if parallel is not None and executor == "debug":
        raise ConfigError("--jobs: the executor 'debug' does one run at a time; leave --jobs out")
    if wait and executor != "slurm":
        raise ConfigError("--wait belongs to --executor slurm; the others wait anyway")
