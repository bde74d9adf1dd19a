"""A grid on a real Slurm: interrupted in the ways of a cluster, it ends in the numbers of the
serial command.

`cluster.sh` beside this file sets a cluster of one node up; without a Slurm that answers, this is
skipped. Takes some minutes.
"""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny_runs

from benchmark.store.runs import RunDirectory

ROOT = Path(__file__).parents[2]
CLUSTER = "cluster: {partition: main, hours: 1, memory_gb: 1.5}"


def answers() -> bool:
    return bool(shutil.which("sbatch")) and subprocess.run(["sinfo"]).returncode == 0


missing = "no Slurm answers here; tests/slurm/cluster.sh sets one up"
pytestmark = [pytest.mark.long, pytest.mark.skipif(not answers(), reason=missing)]


def command(*arguments):
    return [sys.executable, str(ROOT / "run_benchmark.py"), *map(str, arguments)]


def shell(*words) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def until(condition, seconds=300):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def in_the_middle(directory):
    """The run is some epochs on."""
    until(lambda: len(directory.read_history()) > 5)


def requeue(job_id):
    shell("scontrol", "requeue", job_id)


def tell_that_time_is_short(job_id):
    shell("scancel", "--signal=USR2", job_id)  # what `sbatch --signal` has Slurm send


def preempt(job_id):
    shell("sbatch", "--partition=urgent", "--exclusive", "--output=/dev/null", "--wrap=sleep 1")


@pytest.fixture
def experiment(tmp_path):
    longer = tiny_runs.EXPERIMENT.replace("epochs: 2, batch_size: 4", "epochs: 240, batch_size: 4")
    (tmp_path / "tiny.yaml").write_text(longer + CLUSTER)
    return tmp_path / "tiny.yaml"


def jobs(results) -> dict[str, str]:
    """augmenter -> the id of its job."""
    cells = (json.loads(file.read_text()) for file in results.rglob("slurm.json"))
    return {cell[1]: job_id for of_launch in cells for job_id, cell in of_launch.items()}


@pytest.mark.parametrize(
    ("first", "second"), [(requeue, preempt), (tell_that_time_is_short, requeue)]
)
def test_interrupted_runs_end_in_the_numbers_of_the_serial_command(experiment, first, second):
    serial, slurm = experiment.parent / "serial", experiment.parent / "slurm"
    subprocess.run(command("run", experiment, "--results", serial), check=True)
    on_slurm = ("--executor", "slurm", "--wait")
    launcher = subprocess.Popen(command("run", experiment, "--results", slurm, *on_slurm))
    try:
        restarts = {}
        for augmenter, interrupt in (("none", first), ("vae", second)):
            state = RunDirectory.of(slurm, "tiny", "atlop", augmenter, 3).state
            in_the_middle(RunDirectory.of(slurm, "tiny", "atlop", augmenter, 3))
            job = jobs(slurm)[augmenter]
            interrupt(job)
            until(lambda state=state: state() == "killed", seconds=60)  # saved and let go
            until(lambda state=state: state() in ("running", "done"))
            restarts[augmenter] = shell("scontrol", "show", "job", job)
        assert launcher.wait(300) == 0
        assert all("Restarts=1" in text for text in restarts.values())
    finally:
        launcher.kill()
        launcher.wait()
    for augmenter in ("none", "vae"):
        of = lambda folder, name=augmenter: RunDirectory.of(folder, "tiny", "atlop", name, 3)
        tiny_runs.assert_same(of(serial), of(slurm))


def test_a_cancelled_run_saves_its_state_and_stays_away(experiment):
    results, only = experiment.parent / "slurm", ("--augmenters", "none")
    shell(*command("run", experiment, "--results", results, "--executor", "slurm", *only))
    directory = RunDirectory.of(results, "tiny", "atlop", "none", 3)
    in_the_middle(directory)
    job = jobs(results)["none"]
    shell("scancel", job)
    until(lambda: directory.state() == "killed", seconds=60)
    assert (directory.path / "checkpoint.safetensors").is_file()
    until(lambda: "JobState=CANCELLED" in shell("scontrol", "show", "job", job), seconds=60)
