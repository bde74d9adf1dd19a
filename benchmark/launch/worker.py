"""What a worker gets, and what it does with it.

submitit carries a `Task` to the worker in its own serialised form, in a folder made anew for every
launch: results/<experiment>/.launch/<time>-<letters>/, beside the workers' logs. A task holds
names, paths and the experiment as JSON. The worker answers in JSON: only the worker itself opens
the serialised task.
"""

from __future__ import annotations

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
from benchmark.grid.execute import run_jobs
from benchmark.grid.plan import Job, Outcome, plan
from benchmark.progress import Progress
from benchmark.registry import DATASETS, load_plugin
from benchmark.signals import Preempted
from benchmark.store.files import explained, make_folder, read_json, write_json

REQUEUE = signal.Signals["SIG" + submitit.JobEnvironment.USR_SIG]
"""What Slurm sends before the time is up; submitit's handler queues the task again."""

STOP = "stop"  # in a launch's folder once its workers are asked to stop


@dataclass(frozen=True)
class Launch:
    """What the tasks of one call of the command share.

    The experiment is kept as it was then: a task may wait for days.
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
        """A launch with a folder of its own. Raises UserError when it cannot be made."""
        parent = Path(results) / experiment.name / ".launch"
        make_folder(parent)
        with explained(parent):
            folder = tempfile.mkdtemp(prefix=time.strftime("%Y%m%dT%H%M%S-"), dir=parent)
        return cls(experiment, Path(results), plugins, save_every, Path(folder))

    def task_in_process(self, job: Job) -> Task:
        experiment = self.experiment.model_dump(mode="json")
        plugins = tuple(str(plugin.resolve()) for plugin in self.plugins)
        answer = str(self._answer(job).resolve())
        return Task(experiment, str(self.results), plugins, self.save_every, job.cell, answer)

    def task(self, job: Job) -> Worker:
        """For a process of its own."""
        return Worker(**vars(self.task_in_process(job)))

    @property
    def stop_file(self) -> Path:
        """There once the workers are asked to stop: one that is starting hears no signal yet."""
        return self.folder / STOP

    def outcome(self, job: Job, log: Path) -> Outcome:
        """What became of a run whose worker is gone."""
        if (answer := self._answer(job)).exists():
            return Outcome(job, **read_json(answer))
        if job.directory.state() == "done":  # the worker was ended before it could answer
            return Outcome(job, "done")
        when = " when it was asked to stop" if self.stop_file.exists() else ""
        return Outcome(job, "killed", f"its worker ended without a word{when}; see {log}")

    def _answer(self, job: Job) -> Path:
        """Where the worker tells what became of its run."""
        return self.folder / f"{'.'.join(map(str, job.cell))}.json"


@dataclass(frozen=True)
class Task:
    """One run of the grid; calling it does what the serial command does for that run alone.

    cell: backbone, augmenter and seed. answer: the file that `Launch.outcome` reads.
    """

    experiment: dict[str, Any]
    results: str
    plugins: tuple[str, ...]
    save_every: float
    cell: tuple[str, str, int]
    answer: str

    def __call__(self) -> None:
        Path(self.answer).unlink(missing_ok=True)  # of an earlier attempt
        try:
            outcome = self._run()
            self._tell(outcome.state, outcome.detail)
        # for example, a plugin or data that have gone since the task was handed out
        except UserError as error:
            self._tell("failed", str(error))

    def _run(self) -> Outcome:
        for plugin in self.plugins:
            load_plugin(plugin)
        experiment = Experiment.model_validate(self.experiment)
        grid = plan(experiment, self.results)
        (outcome,) = run_jobs(
            [job for job in grid if job.cell == self.cell],
            grid=grid,
            load_corpus=lambda: DATASETS[experiment.dataset.name](**experiment.dataset.options),
            save_every=self.save_every,
            progress=Progress.for_console(),
        )
        return outcome

    def _tell(self, state: str, detail: str) -> None:
        write_json(Path(self.answer), {"state": state, "detail": detail})


class Worker(Task):
    """A task in a process of its own, which submitit starts and may start again."""

    def __call__(self) -> None:
        try:
            with signals.listening(REQUEUE):
                if Path(self.answer).with_name(STOP).exists():
                    self._tell("stopped", "asked to stop before it began")
                    return
                super().__call__()
        except Preempted as stopped:
            self._tell("stopped", f"asked to stop ({stopped}); its state is saved")
            if str(stopped) != signal.SIGTERM.name or _preempted():
                signal.raise_signal(REQUEUE)

    def checkpoint(self) -> DelayedSubmission:
        """submitit calls this for the task with which to continue."""
        return DelayedSubmission(self)


def _preempted() -> bool:
    """Whether Slurm sent SIGTERM to give the node to another job, not to cancel this one.

    Then the task still counts as running, and would count as complete if it ended now.
    """
    if os.environ.get("SUBMITIT_EXECUTOR") != "slurm":
        return False
    command = ["squeue", "--noheader", "--format=%T", "--jobs", os.environ["SLURM_JOB_ID"]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.stdout.strip() == "RUNNING"


def python(
    *, variables: Mapping[str, str] = MappingProxyType({}), unset: Iterable[str] = ()
) -> str:
    """The shell words that start a worker's Python with this code.

    Modules in the folder of the call are not found.
    """
    code = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [code, os.environ.get("PYTHONPATH")]))
    without = [word for name in unset for word in ("-u", name)]
    values = [f"{name}={value}" for name, value in {"PYTHONPATH": path, **variables}.items()]
    return shlex.join(["env", *without, *values, sys.executable, "-P"])
