"""Runs on this machine: in this process (`debug`), or in several that share it (`local`).

Workers get no signal from the keyboard. When the command is asked to stop, by Ctrl-C or a signal,
it sends them SIGTERM and ends when they have saved their states.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import submitit

from benchmark import signals
from benchmark.grid.execute import outcome_without_running
from benchmark.grid.plan import Job, Outcome
from benchmark.launch.worker import Launch, Task, Worker, python
from benchmark.progress import Progress

POLL = 0.2  # seconds between two looks at the workers
YEARS = 10 * 365 * 24 * 60  # minutes; submitit wants a limit
GPUS = "CUDA_VISIBLE_DEVICES"


def in_process(
    jobs: list[Job], launch: Launch, parallel: None, progress: Progress
) -> Iterator[Outcome]:
    """Do the runs here, one after the other. An error outside a run opens submitit's debugger."""
    executor = submitit.DebugExecutor(launch.folder)
    for job in jobs:
        if known := outcome_without_running(job):
            yield known
            continue
        submitted = executor.submit(Task(launch, job.cell))
        submitted.result()
        yield launch.outcome(job, submitted.paths.stdout)


def in_workers(
    jobs: list[Job], launch: Launch, parallel: int | None, progress: Progress
) -> Iterator[Outcome]:
    """Do `parallel` runs at a time in worker processes. A run waits for its `none` run."""
    # submitit would hide all GPUs from a worker that asks for none
    same_gpus = [f"{GPUS}={os.environ[GPUS]}"] if GPUS in os.environ else ["-u", GPUS]
    executor = submitit.LocalExecutor(launch.folder, python=python(*same_gpus))
    executor.update_parameters(timeout_min=YEARS, stderr_to_stdout=True)
    waiting, at_work = list(jobs), list[_AtWork]()
    left = sum(job.directory.state() != "done" for job in jobs)
    workers, threads, cores = min(parallel or 1, left), jobs[0].config.train.threads, _cores()
    if workers * threads > cores:
        progress.message(
            f"note: {workers} runs at a time, with {threads} threads each (train.threads), "
            f"share {cores} cores; without a GPU fewer may be faster"
        )
    with progress.task("runs", total=left) as bar:
        try:
            while waiting or at_work:
                while len(at_work) < (parallel or 1) and (job := _next(waiting, at_work)):
                    waiting.remove(job)
                    if known := outcome_without_running(job):
                        bar.advance(known.state not in ("kept", "damaged"))
                        yield known
                        continue
                    with signals.held_back(), _no_keyboard():
                        at_work.append(_AtWork(job, executor.submit(Worker(launch, job.cell))))
                    place = f"run {bar.done + len(at_work)} of {bar.total}"
                    progress.message(f"{place}: {job.name}, log {at_work[-1].log}")
                for outcome in _ended(at_work, launch):
                    bar.advance()
                    yield outcome
                time.sleep(POLL if at_work else 0)
        finally:
            _stop(at_work, launch, progress)


def _cores() -> int:
    has_affinity = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1


class _AtWork(NamedTuple):
    """A run, and the worker that was started for it."""

    job: Job
    worker: submitit.Job

    @property
    def log(self) -> Path:
        return Path(os.path.relpath(self.worker.paths.stdout))


def _next(waiting: list[Job], at_work: list[_AtWork]) -> Job | None:
    """The first job that need not wait for another."""
    to_come = {job.directory for job in [*waiting, *(one.job for one in at_work)]}
    return next((job for job in waiting if not job.earlier & to_come), None)


def _ended(at_work: list[_AtWork], launch: Launch) -> Iterator[Outcome]:
    """What became of the runs whose workers have ended; they leave `at_work`."""
    for one in [one for one in at_work if one.worker.done()]:
        at_work.remove(one)
        yield launch.outcome(one.job, one.log)


def _stop(at_work: list[_AtWork], launch: Launch, progress: Progress) -> None:
    """Ask the workers that are left to stop, and wait until they have saved their states."""
    if not at_work:
        return
    with _no_keyboard():  # an interrupt here would leave some workers running
        with contextlib.suppress(OSError):  # with a full disk the signal must be enough
            launch.stop_file.touch()
        for one in at_work:
            # to submitit's watcher of the worker, which passes it on
            os.kill(int(one.worker.job_id), signal.SIGTERM)
    progress.message(f"asking {len(at_work)} workers to save their state and stop")
    try:
        while at_work:
            time.sleep(POLL)
            for ended in _ended(at_work, launch):
                progress.message(f"{ended.state} {ended.job.name}: {ended.detail}")
    except KeyboardInterrupt:
        progress.message(
            f"not waiting for {len(at_work)} workers: "
            "each ends when its state is saved; see `status`"
        )
        raise


@contextlib.contextmanager
def _no_keyboard() -> Iterator[None]:
    """Block SIGINT, here and in processes started meanwhile (there for good).

    A terminal sends it to all processes, and a worker that it ends has not saved its state.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
