"""Runs on a cluster with Slurm: two job arrays, what can start at once and what starts from the
`none` runs of the first.

The second array depends on the first by `afterany`: it starts when the first is over, whichever
way. With `afterok` one failed `none` run would hold back the augmenters of all the others for good;
so each task looks for itself whether its own `none` run is there, and tells that it is blocked if
not. A run that is queued again counts as not over.

Before its time is up or on preemption a run saves its state and is queued again, and goes on from
there (task.py).
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError, JobPaths

from benchmark.config import Experiment
from benchmark.errors import UserError
from benchmark.grid.execute import hindrance
from benchmark.grid.plan import Job, Outcome
from benchmark.launch.worker import Launch, cell, launches, outcome, python
from benchmark.progress import Progress
from benchmark.store.files import dumps, written_atomically

POLL = 5.0  # seconds between two looks at the queue
# as often may one run use up its time; a limit shorter than its start would repeat for ever
TIME_OUTS = 100
INDEX = "slurm.json"  # job id -> [backbone, augmenter, seed], in the launch's folder


def submit(
    jobs: list[Job], launch: Launch, parallel: int | None, progress: Progress
) -> Iterator[Outcome]:
    """Submit what is not done and not in the queue already; the outcomes are "submitted", with the
    job's id.
    """
    for job, found in _submit(jobs, launch, parallel):
        yield (
            Outcome(job, found.state, f"as job {found.job_id}")
            if isinstance(found, _InQueue)
            else found
        )


def submit_and_wait(
    jobs: list[Job], launch: Launch, parallel: int | None, progress: Progress
) -> Iterator[Outcome]:
    """`submit`, then wait; yields what became of each run. Stopping the command leaves the queue as
    it is.
    """
    left = []
    for job, found in _submit(jobs, launch, parallel):
        if isinstance(found, _InQueue):
            progress.message(f"{found.state} {job.name}: as job {found.job_id}")
            left.append((job, found))
        else:
            yield found
    while left:
        queue = _queue()
        time.sleep(
            POLL
            # between the look at the queue and that at the files, which a network file system may show
            # late
        )
        for job, found in [
            (job, found) for job, found in left if queue is not None and found.job_id not in queue
        ]:
            left.remove((job, found))
            yield outcome(found.folder, job, JobPaths(found.folder, found.job_id).stdout)


@dataclass(frozen=True)
class _InQueue:
    """A run that is queued or running. state: submitted (now) | queued (by an earlier call).
    folder: its launch's.
    """

    state: str
    job_id: str
    folder: Path


def _submit(
    jobs: list[Job], launch: Launch, parallel: int | None
) -> Iterator[tuple[Job, _InQueue | Outcome]]:
    """Each job, with its place in the queue or the reason why it has none."""
    if shutil.which("sbatch") is None:
        raise UserError(
            "--executor slurm: there is no sbatch here. On one machine use --executor local --jobs N"
        )
    queued = _queued(launches(launch.results / launch.experiment.name))
    at_once, later, earlier = [], [], []
    # directories of the runs that are or will be in the queue; a `none` run comes before what
    # starts from it
    to_come = set()
    for job in jobs:
        if found := queued.get(cell(job)):
            yield job, found
            earlier += (
                [found.job_id] if job.stage1 is None else []
            )  # nothing starts from the others
        elif (hindered := hindrance(job)) and not (
            hindered.state == "blocked" and job.stage1 in to_come
        ):
            yield job, hindered
            continue
        else:
            (later if job.stage1 in to_come else at_once).append(job)
        to_come.add(job.directory.path)
    executor = submitit.SlurmExecutor(launch.folder, max_num_timeout=TIME_OUTS, python=python())
    executor.update_parameters(**_parameters(launch.experiment, parallel))
    first = _submit_array(executor, at_once, launch)
    yield from first
    after = [*dict.fromkeys(found.job_id.partition("_")[0] for _, found in first), *earlier]
    if after:
        executor.update_parameters(dependency=":".join(["afterany", *after]))
    yield from _submit_array(executor, later, launch)


def _submit_array(
    executor: submitit.SlurmExecutor, jobs: list[Job], launch: Launch
) -> list[tuple[Job, _InQueue]]:
    """Raises UserError with Slurm's reason when it takes none of them."""
    if not jobs:
        return []
    try:
        submitted = executor.submit_array([launch.task(job) for job in jobs])
    except (FailedJobError, FailedSubmissionError) as error:
        lines = [line for line in str(error).splitlines() if "sbatch" in line]
        raise UserError(f"Slurm refused the runs: {(lines or [str(error)])[-1]}") from error
    pairs = [(job, task.job_id) for job, task in zip(jobs, submitted, strict=True)]
    _remember(launch.folder / INDEX, {job_id: cell(job) for job, job_id in pairs})
    return [(job, _InQueue("submitted", job_id, launch.folder)) for job, job_id in pairs]


def _parameters(experiment: Experiment, parallel: int | None) -> dict[str, object]:
    """The section `cluster` of the experiment file as options of sbatch, in submitit's words."""
    cluster = experiment.cluster
    cpus = cluster.cpus or experiment.train.threads
    parameters = {
        "job_name": experiment.name,
        "partition": cluster.partition,
        "time": math.ceil(60 * cluster.hours),
        "gpus_per_node": cluster.gpus or None,
        "cpus_per_task": cpus,
        "mem": cluster.memory_gb and f"{math.ceil(1024 * cluster.memory_gb)}MB",
        "array_parallelism": parallel,
    }
    always = {
        "stderr_to_stdout": True,
        "srun_args": [
            f"--cpus-per-task={cpus}"
        ],  # srun has not taken it from sbatch since Slurm 22.05
        "additional_parameters": {
            "requeue": True,
            **cluster.extra,
        },  # preempted: queue it again, whatever the cluster's default
    }
    return {name: value for name, value in parameters.items() if value is not None} | always


def _remember(index: Path, jobs: dict[str, tuple[str, str, int]]) -> None:
    known = json.loads(index.read_text(encoding="utf-8")) if index.exists() else {}
    with written_atomically(index) as temporary:
        temporary.write_text(dumps(INDEX, {**known, **jobs}), encoding="utf-8")


def _queued(folder: Path) -> dict[tuple[str, str, int], _InQueue]:
    """The runs of this experiment that earlier calls submitted and that are queued or running."""
    found = {}
    if (indices := sorted(folder.glob(f"*/{INDEX}"))) and (queue := _queue()):
        for index in indices:
            jobs = json.loads(index.read_text(encoding="utf-8")).items()
            found |= {
                tuple(name): _InQueue("queued", job_id, index.parent)
                for job_id, name in jobs
                if job_id in queue
            }
    return found


def _queue() -> set[str] | None:
    """Ids of the user's jobs that are queued or running, each task of an array by itself; None when
    Slurm does not answer.
    """
    command = ["squeue", "--me", "--noheader", "--array", "--format=%i"]
    try:
        return set(
            subprocess.run(
                command, check=True, capture_output=True, text=True, timeout=60
            ).stdout.split()
        )
    except (OSError, subprocess.SubprocessError):
        return None
