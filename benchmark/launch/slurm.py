"""Runs on a cluster with Slurm, in two job arrays: what can start at once, and what must wait.

The second array starts from the `none` runs of the first and depends on it by `afterany`: with
`afterok`, one failed `none` run would hold back the augmenters of all the others for good. So each
task looks whether its own `none` run is done, and reports "blocked" if not. A run that is queued
again counts as not over.

Before its time is up, or on preemption, a run saves its state and is queued again (worker.py).
"""

from __future__ import annotations

import math
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError, JobPaths

from benchmark.config import Experiment
from benchmark.errors import UserError
from benchmark.grid.execute import outcome_without_running
from benchmark.grid.plan import NONE, Job, Outcome
from benchmark.launch.worker import Launch, Worker, python
from benchmark.progress import Progress
from benchmark.store.files import read_json, write_json
from benchmark.store.runs import RunDirectory

POLL = 5.0  # seconds between two looks at the queue
TIME_OUTS = 100  # how often one run may use up its time; without a limit it might repeat for ever
INDEX = "slurm.json"  # in a launch's folder: job id -> [backbone, augmenter, seed]


def submit(
    jobs: list[Job], launch: Launch, parallel: int | None, progress: Progress, *, wait: bool = False
) -> Iterator[Outcome]:
    """Submit what is neither done nor queued. Yields "submitted" or "queued" with the job's id,
    or the outcome of a job that is not to be submitted.

    wait: wait for the queued runs, and yield how each ended. Stopping the command leaves the queue
        alone.
    """
    left = []
    for job, found in _submit(jobs, launch, parallel):
        if isinstance(found, Outcome):
            yield found
        elif wait:
            progress.message(f"{found.state} {job.name}: as job {found.job_id}")
            left.append((job, found))
        else:
            yield Outcome(job, found.state, f"as job {found.job_id}")
    while left:
        queue = _queue()
        # Between the look at the queue and the look at the files, since a network file system may
        # show files late.
        time.sleep(POLL)
        over = [item for item in left if queue is not None and item[1].job_id not in queue]
        for job, found in over:
            left.remove((job, found))
            log = JobPaths(found.folder, found.job_id).stdout
            yield replace(launch, folder=found.folder).outcome(job, log)


@dataclass(frozen=True)
class _InQueue:
    """A run that is queued or running.

    state: submitted (now) | queued (by an earlier call).
    folder: of the launch that submitted it.
    """

    state: str
    job_id: str
    folder: Path


def _submit(
    jobs: list[Job], launch: Launch, parallel: int | None
) -> Iterator[tuple[Job, _InQueue | Outcome]]:
    """Each job, with its place in the queue, or its outcome if it has no place."""
    if shutil.which("sbatch") is None:
        raise UserError(
            "--executor slurm: there is no sbatch here. "
            "On one machine use --executor local --jobs N"
        )
    queued = _queued(launch.folder.parent)
    at_once, later, earlier = [], [], []
    # of the runs in the queue; a `none` run precedes what starts from it
    to_come = set[RunDirectory]()
    for job in jobs:
        if found := queued.get(job.cell):
            yield job, found
            # nothing starts from an augmented run
            earlier += [found.job_id] if job.augmenter == NONE else []
        elif (known := outcome_without_running(job)) and not _only_waits(job, known, to_come):
            yield job, known
            continue
        else:
            (later if job.earlier & to_come else at_once).append(job)
        to_come.add(job.directory)
    executor = submitit.SlurmExecutor(launch.folder, max_num_timeout=TIME_OUTS, python=python())
    executor.update_parameters(**_parameters(launch.experiment, parallel))
    first = _submit_array(executor, at_once, launch)
    yield from first
    after = [*dict.fromkeys(found.job_id.partition("_")[0] for _, found in first), *earlier]
    if after:
        executor.update_parameters(dependency=":".join(["afterany", *after]))
    yield from _submit_array(executor, later, launch)


def _only_waits(job: Job, known: Outcome, to_come: set[RunDirectory]) -> bool:
    """Whether nothing but stage 1, which is in the queue, keeps a job from running."""
    own = known.state not in ("blocked", "elsewhere") or job.directory.state() == "running"
    return job.stage1 in to_come and not own


def _submit_array(
    executor: submitit.SlurmExecutor, jobs: list[Job], launch: Launch
) -> list[tuple[Job, _InQueue]]:
    """The jobs with their places. Raises UserError if Slurm refuses."""
    if not jobs:
        return []
    try:
        submitted = executor.submit_array([Worker(launch, job.cell) for job in jobs])
    except (FailedJobError, FailedSubmissionError) as error:
        lines = [line for line in str(error).splitlines() if "sbatch" in line]
        raise UserError(f"Slurm refused the runs: {(lines or [str(error)])[-1]}") from error
    ids = [task.job_id for task in submitted]
    index = launch.folder / INDEX
    known = read_json(index) if index.exists() else {}
    cells = {job_id: job.cell for job, job_id in zip(jobs, ids, strict=True)}
    write_json(index, known | cells)
    places = [_InQueue("submitted", job_id, launch.folder) for job_id in ids]
    return list(zip(jobs, places, strict=True))


def _parameters(experiment: Experiment, parallel: int | None) -> dict[str, object]:
    """The section `cluster` of the experiment file as options of sbatch, in submitit's words."""
    cluster = experiment.cluster
    cpus = cluster.cpus or experiment.train.threads
    parameters = {
        "job_name": experiment.folder,
        "partition": cluster.partition,
        "time": math.ceil(60 * cluster.hours),
        "gpus_per_node": cluster.gpus or None,
        "cpus_per_task": cpus,
        "mem": cluster.memory_gb and f"{math.ceil(1024 * cluster.memory_gb)}MB",
        "array_parallelism": parallel,
        "stderr_to_stdout": True,
        # since Slurm 22.05 srun does not take it from sbatch
        "srun_args": [f"--cpus-per-task={cpus}"],
        # after a preemption queue it again, whatever the cluster's default
        "additional_parameters": {"requeue": True, **cluster.extra},
    }
    return {name: value for name, value in parameters.items() if value is not None}


def _queued(launches: Path) -> dict[tuple[str, str, int], _InQueue]:
    """The runs that earlier launches of this experiment submitted and that are not over."""
    found = {}
    if (indices := sorted(launches.glob(f"*/{INDEX}"))) and (queue := _queue()):
        for index in indices:
            for job_id, cell in read_json(index).items():
                if job_id in queue:
                    found[tuple(cell)] = _InQueue("queued", job_id, index.parent)
    return found


def _queue() -> set[str] | None:
    """Ids of the user's jobs that are queued or running, task by task; None without an answer."""
    command = ["squeue", "--me", "--noheader", "--array", "--format=%i"]
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
        return set(done.stdout.split())
    except (OSError, subprocess.SubprocessError):
        return None
