"""What a worker is handed, and what it does with it.

submitit carries a `Task` from the command to the worker in its own serialised envelope, in a folder
that is made anew for every
launch: results/<experiment>/.launch/<time>-<letters>/, beside the workers' logs. It holds names,
    paths and the experiment as JSON.
What became of the run comes back as JSON; no envelope is opened but by the worker it was made for.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import submitit
from submitit.helpers import DelayedSubmission

from benchmark import signals
from benchmark.config import Experiment
from benchmark.errors import UserError
from benchmark.grid.execute import execute
from benchmark.grid.plan import Job, Outcome, plan
from benchmark.progress import Progress
from benchmark.registry import DATASETS, load_plugin
from benchmark.signals import Preempted
from benchmark.store.files import dumps, explained, written_atomically

REQUEUE = signal.Signals["SIG" + submitit.JobEnvironment.USR_SIG]
"""What Slurm sends before the time is up: submitit's handler has the task queued again, then ends
the process.
"""


@dataclass(frozen=True)
class Launch:
    """What the tasks of one call of the command share. The experiment is kept as it was then: a
    task may wait for days.
    """

    experiment: Experiment
    results: Path
    plugins: tuple[Path, ...]
    save_every: float
    folder: Path

    @classmethod
    def new(
        cls,
        experiment: Experiment,
        results: str | Path,
        *,
        plugins: tuple[Path, ...],
        save_every: float,
    ) -> Launch:
        """With a folder of its own. Raises UserError when it cannot be made."""
        parent = launches(Path(results) / experiment.name)
        with explained(parent):
            parent.mkdir(parents=True, exist_ok=True)
            folder = tempfile.mkdtemp(prefix=time.strftime("%Y%m%dT%H%M%S-"), dir=parent)
        return cls(experiment, Path(results), plugins, save_every, Path(folder))

    def task(self, job: Job) -> Task:
        """For a process that is its own: a worker's."""
        return Worker(*self._parts(job))

    def task_in_process(self, job: Job) -> Task:
        return Task(*self._parts(job))

    def _parts(self, job: Job) -> tuple:
        experiment = self.experiment.model_dump(mode="json")
        plugins = tuple(str(plugin.resolve()) for plugin in self.plugins)
        return (
            experiment,
            str(self.results),
            plugins,
            self.save_every,
            cell(job),
            str(answer_file(self.folder, job).resolve()),
        )


def launches(folder: Path) -> Path:
    """Where an experiment's launches keep logs and envelopes."""
    return folder / ".launch"


def cell(job: Job) -> tuple[str, str, int]:
    """Backbone, augmenter and seed: what names a job within its experiment."""
    return job.backbone, job.augmenter, job.config.seed


def answer_file(folder: Path, job: Job) -> Path:
    """Where, in a launch's folder, a worker tells what became of its run."""
    return folder / f"{'.'.join(map(str, cell(job)))}.json"


def stop_file(folder: Path) -> Path:
    """In a launch's folder: is there as soon as its workers are asked to stop, for one that is
    starting and hears no signal yet.
    """
    return folder / "stop"


def outcome(folder: Path, job: Job, log: Path) -> Outcome:
    """What became of a run, once its worker is gone."""
    with contextlib.suppress(FileNotFoundError):
        return Outcome(job, **json.loads(answer_file(folder, job).read_text(encoding="utf-8")))
    if job.directory.state() == "done":  # it was ended between the run's end and its answer
        return Outcome(job, "done")
    when = " when it was asked to stop" if stop_file(folder).exists() else ""
    return Outcome(job, "killed", f"its worker ended without a word{when}; see {log}")


@dataclass(frozen=True)
class Task:
    """One run of the grid. Called, it does what the serial command does for that run alone.

    cell: backbone, augmenter and seed. answer: the file that `outcome` reads.
    """

    experiment: dict[str, Any]
    results: str
    plugins: tuple[str, ...]
    save_every: float
    cell: tuple[str, str, int]
    answer: str

    def __call__(self) -> None:
        Path(self.answer).unlink(missing_ok=True)  # of an attempt before this one
        try:
            self._tell(self._run())
        # what was right when the task was handed out, and is wrong now: a plugin or data that has
        # gone
        except UserError as error:
            self._tell({"state": "failed", "detail": str(error)})

    def _run(self) -> dict[str, str]:
        for plugin in self.plugins:
            load_plugin(plugin)
        experiment = Experiment.model_validate(self.experiment)
        grid = plan(experiment, self.results)
        (job,) = (job for job in grid if cell(job) == self.cell)
        load_corpus = lambda: DATASETS[experiment.dataset.name](**experiment.dataset.options)
        (found,) = execute(
            [job],
            grid=grid,
            load_corpus=load_corpus,
            save_every=self.save_every,
            progress=Progress.for_console(),
        )
        return {"state": found.state, "detail": found.detail}

    def _tell(self, answer: Mapping[str, str]) -> None:
        with written_atomically(Path(self.answer)) as temporary:
            temporary.write_text(dumps("answer", answer), encoding="utf-8")


class Worker(Task):
    """A Task in a process of its own, which submitit starts, and starts again (`checkpoint` is its
    word for what to go on with).
    """

    def __call__(self) -> None:
        try:
            with signals.listening(REQUEUE):
                if stop_file(Path(self.answer).parent).exists():
                    self._tell({"state": "stopped", "detail": "asked to stop before it began"})
                    return
                super().__call__()
        except Preempted as stopped:
            self._tell(
                {"state": "stopped", "detail": f"asked to stop ({stopped}); its state is saved"}
            )
            if str(stopped) != signal.SIGTERM.name or _preempted():
                signal.raise_signal(REQUEUE)

    def checkpoint(self) -> DelayedSubmission:
        return DelayedSubmission(self)


def _preempted() -> bool:
    """Whether a SIGTERM is Slurm's before it takes the node away for another job: the task is then
    still a running one, and would count as complete if it ended now. One that was cancelled or
    queued again is not running any more.
    """
    if os.environ.get("SUBMITIT_EXECUTOR") != "slurm":
        return False
    command = ["squeue", "--noheader", "--format=%T", "--jobs", os.environ["SLURM_JOB_ID"]]
    return (
        subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.strip()
        == "RUNNING"
    )


def python(
    *, variables: Mapping[str, str] = MappingProxyType({}), unset: Iterable[str] = ()
) -> str:
    """The shell words that start a worker's Python: with this code, and without whatever lies in
    the folder of the call.
    """
    code = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [code, os.environ.get("PYTHONPATH")]))
    without = [word for name in unset for word in ("-u", name)]
    values = [f"{name}={value}" for name, value in {"PYTHONPATH": path, **variables}.items()]
    return shlex.join(["env", *without, *values, sys.executable, "-P"])
