"""What a worker gets, and what it does with it.

submitit carries a `Task` to the worker in its own serialised form, in a folder made anew for every
launch: results/<experiment>/.launch/<time>-<letters>/, beside the workers' logs. The worker answers
in JSON: only the worker itself opens the serialised task.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import submitit
from submitit.helpers import Checkpointable

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


@dataclass(frozen=True)
class Launch:
    """What the tasks of one call of the command share.

    The experiment is kept as it was then: a task may wait for days.
    """

    experiment: Experiment
    results: Path
    plugins: list[Path]
    save_every: float
    folder: Path

    @classmethod
    def new(
        cls, experiment: Experiment, results: str | Path, plugins: list[Path], save_every: float
    ) -> Launch:
        """A launch with a folder of its own. Raises UserError when it cannot be made."""
        parent = Path(results) / experiment.folder / ".launch"
        make_folder(parent)
        with explained(parent):
            folder = tempfile.mkdtemp(prefix=time.strftime("%Y%m%dT%H%M%S-"), dir=parent)
        plugins = [plugin.resolve() for plugin in plugins]
        return cls(experiment, Path(results), plugins, save_every, Path(folder).resolve())

    @property
    def stop_file(self) -> Path:
        """Exists once the workers are asked to stop: one that is just starting hears no signal."""
        return self.folder / "stop"

    def outcome(self, job: Job, log: Path) -> Outcome:
        """What became of a run whose worker is gone."""
        if (answer := self.answer(job.cell)).exists():
            return Outcome(job, **read_json(answer))
        if job.directory.state() == "done":  # the worker was ended before it could answer
            return Outcome(job, "done")
        when = " when it was asked to stop" if self.stop_file.exists() else ""
        return Outcome(job, "killed", f"its worker ended without a message{when}; see {log}")

    def answer(self, cell: tuple[str, str, int]) -> Path:
        """Where the worker tells what became of its run."""
        return self.folder / f"{'.'.join(map(str, cell))}.json"


@dataclass(frozen=True)
class Task:
    """One run of the grid; calling it does what the serial command does for that run alone.

    cell: backbone, augmenter and seed.
    """

    launch: Launch
    cell: tuple[str, str, int]

    def __call__(self) -> None:
        self.launch.answer(self.cell).unlink(missing_ok=True)  # of an earlier attempt
        try:
            outcome = self._run()
            self._tell(outcome.state, outcome.detail)
        # for example, a plugin or data that have gone since the task was handed out
        except UserError as error:
            self._tell("failed", str(error))

    def _run(self) -> Outcome:
        launch, dataset = self.launch, self.launch.experiment.dataset
        for plugin in launch.plugins:
            load_plugin(plugin)
        grid = plan(launch.experiment, launch.results)
        (outcome,) = run_jobs(
            [job for job in grid if job.cell == self.cell],
            grid=grid,
            load_corpus=lambda: DATASETS[dataset.name](**dataset.options),
            save_every=launch.save_every,
            progress=Progress.for_console(),
        )
        return outcome

    def _tell(self, state: str, detail: str) -> None:
        write_json(self.launch.answer(self.cell), {"state": state, "detail": detail})


class Worker(Task, Checkpointable):
    """A task in a process of its own, which submitit starts and may start again."""

    def __call__(self) -> None:
        try:
            with signals.listening(REQUEUE):
                if self.launch.stop_file.exists():
                    self._tell("stopped", "asked to stop before it began")
                    return
                super().__call__()
        except Preempted as stopped:
            self._tell("stopped", f"asked to stop ({stopped}); its state is saved")
            if str(stopped) != signal.SIGTERM.name or _preempted():
                signal.raise_signal(REQUEUE)


def _preempted() -> bool:
    """Whether Slurm sent SIGTERM to give the node to another job, not to cancel this one.

    Then the task still counts as running, and would count as complete if it ended now.
    """
    if os.environ.get("SUBMITIT_EXECUTOR") != "slurm":
        return False
    command = ["squeue", "--noheader", "--format=%T", "--jobs", os.environ["SLURM_JOB_ID"]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.stdout.strip() == "RUNNING"


def python(*environment: str) -> str:
    """The shell words that start a worker's Python with this code.

    environment: further words for `env`. Modules in the folder of the call are not found.
    """
    code = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [code, os.environ.get("PYTHONPATH")]))
    return shlex.join(["env", *environment, f"PYTHONPATH={path}", sys.executable, "-P"])
