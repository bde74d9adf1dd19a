"""Runs on this machine: in this process (`debug`), or in several that share its cores and its GPU
(`local`).

Workers get no signal from the keyboard. When the command is asked to stop, by Ctrl-C or a signal,
it asks them in turn (SIGTERM), and ends when they have saved their states.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import submitit

from benchmark import signals
from benchmark.grid.execute import hindrance
from benchmark.grid.plan import Job, Outcome
from benchmark.launch.worker import Launch, outcome, python, stop_file
from benchmark.progress import Progress

POLL = 0.2  # seconds between two looks at the workers
YEARS = 10 * 365 * 24 * 60  # minutes; submitit wants a limit
GPUS = "CUDA_VISIBLE_DEVICES"


def in_process(
    jobs: list[Job], launch: Launch, parallel: None, progress: Progress
) -> Iterator[Outcome]:
    """One after the other in this process, through submitit: an error that is no run's own opens
    the debugger.
    """
    executor = submitit.DebugExecutor(launch.folder)
    for job in jobs:
        if hindered := hindrance(job):
            yield hindered
            continue
        submitted = executor.submit(launch.task_in_process(job))
        submitted.result()
        yield outcome(launch.folder, job, submitted.paths.stdout)


def in_workers(
    jobs: list[Job], launch: Launch, parallel: int | None, progress: Progress
) -> Iterator[Outcome]:
    """In worker processes, `parallel` at a time. What starts from a `none` run waits until that is
    over.
    """
    executor = submitit.LocalExecutor(launch.folder, python=python(**_same_gpus()))
    executor.update_parameters(timeout_min=YEARS, stderr_to_stdout=True)
    waiting, at_work = list(jobs), []
    left = sum(job.directory.state() != "done" for job in jobs)
    if note := _crowded(min(parallel or 1, left), jobs[0].config.train.threads):
        progress.message(note)
    with progress.task("runs", total=left) as bar:
        try:
            while waiting or at_work:
                while len(at_work) < (parallel or 1) and (job := _next(waiting, at_work)):
                    waiting.remove(job)
                    if hindered := hindrance(job):
                        bar.advance(hindered.state not in ("kept", "damaged"))
                        yield hindered
                        continue
                    with signals.held_back(), _no_keyboard():
                        at_work.append(_AtWork(job, executor.submit(launch.task(job))))
                    progress.message(
                        f"run {jobs.index(job) + 1} of {len(jobs)}: {job.name}, log {at_work[-1].log}"
                    )
                for worker in [worker for worker in at_work if worker.gone]:
                    at_work.remove(worker)
                    bar.advance()
                    yield outcome(launch.folder, worker.job, worker.log)
                time.sleep(POLL if at_work else 0)
        finally:
            _stop(at_work, launch, progress)


def _crowded(workers: int, threads: int) -> str | None:
    """What to say of workers that take turns on the cores."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    if workers * threads <= cores:
        return None
    each = f"{workers} runs at a time, with {threads} threads each (train.threads)"
    return f"note: {each}, share {cores} cores; without a GPU fewer may be faster"


@dataclass(frozen=True)
class _AtWork:
    """A run that a worker was started for."""

    job: Job
    submitted: submitit.Job

    @property
    def gone(self) -> bool:
        return self.submitted.done()

    @property
    def log(self) -> Path:
        return Path(os.path.relpath(self.submitted.paths.stdout))


def _next(waiting: list[Job], at_work: list[_AtWork]) -> Job | None:
    """The first job that waits for no other."""
    to_come = {job.directory.path for job in [*waiting, *(worker.job for worker in at_work)]}
    return next((job for job in waiting if job.stage1 not in to_come), None)


def _stop(at_work: list[_AtWork], launch: Launch, progress: Progress) -> None:
    """Ask the workers that are left to stop, and wait until they have saved their states."""
    if not at_work:
        return
    with _no_keyboard():  # all are asked, or none
        with contextlib.suppress(OSError):  # a full disk: those that hear the signal are asked
            stop_file(launch.folder).touch()
        for worker in at_work:
            os.kill(
                int(worker.submitted.job_id), signal.SIGTERM
            )  # to submitit's watcher of the worker, which hands it on
    progress.message(f"asking {len(at_work)} workers to save their state and stop")
    try:
        while at_work:
            time.sleep(POLL)
            for worker in [worker for worker in at_work if worker.gone]:
                at_work.remove(worker)
                ended = outcome(launch.folder, worker.job, worker.log)
                progress.message(f"{ended.state} {worker.job.name}: {ended.detail}")
    except KeyboardInterrupt:
        progress.message(
            f"not waiting for {len(at_work)} workers: each ends when its state is saved; `status` tells"
        )
        raise


@contextlib.contextmanager
def _no_keyboard() -> Iterator[None]:
    """Processes started within it never get SIGINT: a terminal sends it to all, and a run that it
    ends has not saved its state.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _same_gpus() -> dict[str, object]:
    """The devices that this process may use: submitit would hide them all from a worker that asks
    for none.
    """
    return {"variables": {GPUS: os.environ[GPUS]}} if GPUS in os.environ else {"unset": [GPUS]}
