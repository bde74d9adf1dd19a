"""A grid handed out to workers through submitit: one run of the grid is one task.

    task.py     what a worker is handed, and what it does with it: `grid.execute` for that one run,
    as the serial command does local.py    debug: in this process, one after the other; local: in
    processes of this machine slurm.py    slurm: in job arrays of a cluster

Who works on what is settled by the runs' directories alone (benchmark/store/claims.py): several
launches of one grid do no run twice. Imported only when an executor is asked for. Imports no torch.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmark.config import Experiment
from benchmark.errors import ConfigError
from benchmark.grid.execute import prepare
from benchmark.grid.plan import Job, Outcome
from benchmark.launch import local, slurm
from benchmark.launch.worker import Launch
from benchmark.progress import Progress

EXECUTORS = {"debug": local.in_process, "local": local.in_workers, "slurm": slurm.submit}


def executing(
    executor: str,
    experiment: Experiment,
    results: str | Path,
    *,
    parallel: int | None = None,
    wait: bool = False,
    plugins: list[Path] | None = None,
) -> Callable[..., Iterator[Outcome]]:
    """A stand-in for `grid.execute` that hands the runs out to workers.

    Args:
        executor: a name of EXECUTORS.
        experiment: the one whose grid is run, with what the command line added to it.
        parallel: runs at a time; None: one with `local`, as many as the cluster gives with `slurm`.
        wait: with `slurm`, yield the outcomes of the runs as they end, not that they are submitted.

    Raises:
        ConfigError: there is no such executor, it has no use for `parallel` or `wait`, or this is
        one of several processes.
    """
    if executor not in EXECUTORS:
        near = difflib.get_close_matches(executor, EXECUTORS, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise ConfigError(
            f"--executor: unknown executor '{executor}'.{hint} Known: {', '.join(EXECUTORS)}"
        )
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError(
            "--executor and --jobs start processes of their own: leave `accelerate launch` or `torchrun` out"
        )
    if parallel is not None and parallel < 1:
        raise ConfigError(f"--jobs is the number of runs at a time: 1 or more, got {parallel}")
    if parallel is not None and executor == "debug":
        raise ConfigError(
            "--jobs: the executor 'debug' runs one after the other in this process; leave --jobs out"
        )
    if wait and executor != "slurm":
        raise ConfigError("--wait belongs to --executor slurm; the others wait anyway")
    hand_out = slurm.submit_and_wait if wait else EXECUTORS[executor]
    return partial(
        _execute,
        hand_out=hand_out,
        parallel=parallel,
        experiment=experiment,
        results=results,
        plugins=tuple(plugins or ()),
    )


def _execute(
    jobs: list[Job],
    *,
    grid: list[Job],
    load_corpus: Callable[[], Any],
    when_sound: Callable[[], Any] = lambda: None,
    save_every: float = 600.0,
    progress: Progress,
    restart: bool = False,
    hand_out: Callable[..., Iterator[Outcome]],
    parallel: int | None,
    experiment: Experiment,
    results: str | Path,
    plugins: tuple[Path, ...],
) -> Iterator[Outcome]:
    """As `grid.execute`, which see: all that can be wrong with the whole experiment is looked at
    here, before a worker starts.
    """
    if (
        prepare(
            jobs,
            grid=grid,
            load_corpus=load_corpus,
            when_sound=when_sound,
            progress=progress,
            restart=restart,
        )
        is None
    ):
        yield from (Outcome(job, "kept") for job in jobs)
        return
    launch = Launch.new(experiment, results, plugins=plugins, save_every=save_every)
    yield from hand_out(jobs, launch, parallel, progress)
