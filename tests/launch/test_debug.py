"""`--executor debug` takes the path of the workers in this process; what is asked of a launcher is
looked at first.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny_runs
from command_line import invoke
from tiny_runs import on_call

from benchmark.config import read_experiment
from benchmark.errors import UserError
from benchmark.grid.plan import plan
from benchmark.launch.worker import REQUEUE, Launch, Worker
from benchmark.store.runs import RunDirectory
from benchmark.training.model import DocreModel

GRID = ["left none 0", "left noisy 0", "left learned 0"]
ONE = ("--seeds", "0", "--backbones", "left")
DEBUG = (*ONE, "--executor", "debug")


def test_what_a_worker_gets_is_what_the_serial_command_computes(lab):
    changed = ("--set", "train.epochs=5", "--set", "augment.warmup_epochs=4")
    stored = lambda: [json.loads((lab.folder(name) / "config.json").read_text()) for name in GRID]
    lab("run", "CONFIG", *ONE, *changed)
    serial, lab.ran, configs = lab.ran, [], stored()
    lab.results = lab.results.with_name("others")
    result = lab("run", "CONFIG", *DEBUG, *changed)
    assert "3 done now" in result.stderr and "50.00" in result.stdout
    for one, other in zip(serial, lab.ran, strict=True):
        assert (one.name, one.run, one.branch_epoch) == (other.name, other.run, other.branch_epoch)
        assert (one.stage1 is None) == (other.stage1 is None)
    assert configs == stored()
    left_over = lab.folder(GRID[2]) / "checkpoint.safetensors"  # killed before it tidied up
    left_over.touch()
    assert lab("run", "CONFIG", *DEBUG, *changed).exit_code == 0 and lab.names() == GRID
    assert not left_over.exists()


def test_what_goes_wrong_in_the_worker_alone_is_told(lab, monkeypatch):
    lab("run", "CONFIG", *DEBUG, "--augmenters", "none")

    def gone(*_, **__):
        raise UserError("train.json: no such file")

    monkeypatch.setattr("benchmark.launch.worker.run_jobs", gone)
    result = lab("run", "CONFIG", *DEBUG, "--augmenters", "none,noisy")
    assert result.exit_code == 1
    assert "failed: left noisy seed 0: train.json: no such file\n" in result.stderr


def test_handing_out_needs_no_torch_and_the_command_no_submitit():
    code = "import sys, benchmark.commands.app; assert 'submitit' not in sys.modules; "
    code += "import benchmark.launch.executors; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_under_a_launcher_of_several_processes(lab, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    result = lab("run", "CONFIG", "--jobs", "2")
    assert result.exit_code == 2 and "leave `accelerate launch` or `torchrun` out" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--executor slrum", "unknown executor 'slrum'. Did you mean 'slurm'? Known: debug, local"),
        ("--jobs 0", "--jobs is the number of runs at a time: 1 or more, got 0"),
        ("--executor debug --jobs 2", "leave --jobs out"),
        ("--wait", "--wait belongs to --executor slurm"),
        ("--set cluster.partion=gpu", "unknown key 'cluster.partion'. Did you mean 'partition'?"),
        ("--set cluster.gpus=2", "cluster.gpus: expected a number less than or equal to 1 (got 2)"),
        ("--set 'cluster.extra={array: 1-3}'", "the launcher sets array; leave it out"),
        ("--set 'cluster.extra={Account: me}'", "expected a long name of an option of sbatch (got"),
        (
            """--set 'cluster.extra={comment: "a\\nrm"}'""",
            "cluster.extra.comment: expected true, a number or one line of text (got 'a\\nrm')\n",
        ),
    ],
)
def test_mistakes(lab, options, message):
    result = lab("run", "CONFIG", *shlex.split(options))
    assert result.exit_code == 2 and result.stderr.startswith("error: ")
    assert message in result.stderr and not lab.ran and not lab.results.exists()


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(("--executor", "debug"), id="debug"),
        pytest.param(("--jobs", "2", "--set", "seeds=[3, 4]"), id="local", marks=pytest.mark.long),
    ],
)
def test_the_numbers_are_those_of_the_serial_run(tmp_path, options):

    file = tmp_path / "tiny.yaml"
    file.write_text(tiny_runs.EXPERIMENT)
    for folder, extra in {"serial": (), "workers": options}.items():
        arguments = ["run", str(file), "--results", str(tmp_path / folder), *extra]
        result = invoke(*arguments)
        assert result.exit_code == 0, result.output
    for augmenter in ("none", "vae"):
        of = lambda folder, name=augmenter: RunDirectory.of(folder, "tiny", "atlop", name, 3)
        tiny_runs.assert_same(of(tmp_path / "serial"), of(tmp_path / "workers"))


@pytest.fixture
def requeued():
    """The signals that were sent to have the task queued again."""
    came: list[int] = []
    before = signal.signal(REQUEUE, lambda number, _: came.append(number))
    yield came
    signal.signal(REQUEUE, before)


@pytest.fixture
def worker(tmp_path):
    (tmp_path / "tiny.yaml").write_text(tiny_runs.EXPERIMENT)
    experiment = read_experiment(tmp_path / "tiny.yaml", ["augmenters=[none]"])
    launch = Launch.new(experiment, tmp_path / "results", [], 600.0)
    (job,) = plan(experiment, tmp_path / "results")
    return SimpleNamespace(
        call=Worker(launch, job.cell),
        outcome=lambda: launch.outcome(job, Path("log")),
        stop_file=launch.stop_file,
        job=job,
    )


@pytest.mark.parametrize(
    ("number", "again"), [(signal.SIGTERM, False), (signal.SIGUSR1, True), (REQUEUE, True)]
)
def test_a_worker_that_is_stopped_in_mid_epoch_comes_again_only_for_its_time_limit(
    worker, requeued, monkeypatch, number, again
):
    """With the training loop as it is. Ctrl-C and SIGTERM of the command reach a worker as
    SIGTERM.
    """
    # in the second of three batches of an epoch
    steps = on_call(monkeypatch, DocreModel, "forward", 2, lambda: os.kill(os.getpid(), number))
    worker.call()
    stopped, name = worker.outcome(), signal.Signals(number).name
    assert stopped.state == "stopped"
    assert stopped.detail == f"asked to stop ({name}); its state is saved"
    assert requeued == [REQUEUE] * again and len(steps) == 2
    assert (worker.job.directory.path / "checkpoint.safetensors").is_file()


def test_a_worker_that_starts_when_all_are_asked_to_stop_does_not_begin(worker, requeued):
    worker.stop_file.touch()
    worker.call()
    assert worker.outcome().state == "stopped" and not requeued
    assert worker.job.directory.state() == "missing"
