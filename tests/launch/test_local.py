"""`--executor local`: what runs when, and workers that fail, die or are told to stop."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 300  # seconds: five interpreters start, perhaps beside other tests
EXPERIMENT = """
name: toy
dataset: toy-data
encoder: tiny
backbones: [left]
augmenters: [none, noisy, learned]
seeds: [0, 1]
train: {epochs: 3, threads: 999}
augment: {warmup_epochs: 2}
"""


class Bench:
    """The command line in a process of its own, on runs that do as `plan` says."""

    def __init__(self, folder: Path):
        self.folder, self.results = folder, folder / "results"
        (folder / "toy.yaml").write_text(EXPERIMENT)
        (folder / "events").touch()
        self.plan()

    def plan(self, **runs):
        """left_none_0="fail": what that run does instead of finishing."""
        plan = {name.replace("_", "."): what for name, what in runs.items()}
        (self.folder / "plan.json").write_text(json.dumps(plan))

    def start(self, command, *options):
        plugin = Path(__file__).with_name("toy.py")
        arguments = [self.folder / "toy.yaml", "--plugin", plugin, "--results", self.results]
        return subprocess.Popen(
            [sys.executable, ROOT / "run_benchmark.py", command, *arguments, *options],
            env={**os.environ, "TOY": str(self.folder), "COLUMNS": "200"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # so that a test can press Ctrl-C without ending itself
            # a suite in a shell's background ignores Ctrl-C
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def __call__(self, command, *options):
        """The exit code and what was written."""
        process = self.start(command, *options)
        output = "".join(process.communicate(timeout=PATIENCE))
        return process.returncode, output

    @contextlib.contextmanager
    def two_at_work(self, what):
        """The command, when both its workers are at work on runs that do `what`; killed in the
        end.
        """
        self.plan(left_none_0=what, left_none_1=what)
        process = self.start("run", "--jobs", "2", "--augmenters", "none")
        with contextlib.ExitStack() as stack:
            stack.callback(process.kill)
            self.wait_until(lambda: len(self.events("start")) == 2)
            yield process

    def wait_until(self, holds):
        deadline = time.monotonic() + PATIENCE
        while not holds() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert holds()

    def events(self, what):
        """name -> time of the last such event."""
        lines = [line.split() for line in (self.folder / "events").read_text().splitlines()]
        return {name: float(when) for kind, name, when in lines if kind == what}

    def running(self):
        return list(self.results.rglob("RUNNING"))


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def test_a_failure_and_a_death_are_told_and_the_others_go_on_and_the_next_call_does_the_rest(bench):
    bench.plan(left_none_0="slow", left_noisy_0="fail", left_none_1="die")
    code, output = bench("run", "--jobs", "2")
    assert code == 1
    assert "note: 2 runs at a time, with 999 threads each (train.threads), share" in output
    assert "3 done now, 1 failed, 1 blocked by a failure, 1 killed" in output
    assert "runs: 6/6 in " in output
    assert "failed: left noisy seed 0: ValueError: broken" in output and "Traceback" not in output
    assert "killed: left none seed 1: its worker ended without a message; see " in output
    assert "its stage 1 is killed" in output  # left learned 1
    log = output.partition("without a message; see ")[2].split()[0]
    assert "Starting with" in Path(log).read_text()

    start, end = bench.events("start"), bench.events("end")
    assert start["left.none.1"] < end["left.none.0"]  # two at a time
    assert min(start["left.noisy.0"], start["left.learned.0"]) > end["left.none.0"]
    assert "3 done, 1 failed, 1 killed, 1 missing of 6 runs" in bench("status")[1]

    bench.plan()
    (bench.folder / "events").write_text("")
    code, output = bench("run", "--executor", "local", "--seeds", "0")
    assert code == 0 and "1 done now, 2 done before" in output and "50.00" in output
    assert list(bench.events("start")) == ["left.noisy.0"]


@pytest.mark.long
def test_one_at_a_time_unless_more_are_asked_for(bench):
    assert bench("run", "--executor", "local")[0] == 0
    start, end = bench.events("start"), bench.events("end")
    assert list(start) == [
        f"left.{augmenter}.{seed}" for seed in (0, 1) for augmenter in ("none", "noisy", "learned")
    ]
    assert sorted([*start.values(), *end.values()]) == [
        when[name] for name in start for when in (start, end)
    ]


@pytest.mark.parametrize(
    ("press", "code"),
    [
        pytest.param(lambda process: os.killpg(process.pid, signal.SIGINT), 130, id="ctrl-c"),
        pytest.param(lambda process: process.terminate(), 75, id="SIGTERM", marks=pytest.mark.long),
    ],
)
def test_told_to_stop_it_lets_its_workers_save_their_state(bench, press, code):
    with bench.two_at_work("wait") as process:
        assert len(bench.running()) == 2
        press(process)
        output = "".join(process.communicate(timeout=PATIENCE))
        assert process.returncode == code
        assert len(bench.events("saved")) == 2 and not bench.events("end")
        assert not bench.running()
        assert "stopped left none seed 0: asked to stop (SIGTERM); its state is saved" in output


@pytest.mark.long
def test_interrupted_twice_it_ends_at_once_and_its_workers_when_they_have_saved(bench):
    with bench.two_at_work("wait and save slowly") as process:
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(2)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(timeout=PATIENCE) == 130 and not bench.events("saved")
        bench.wait_until(lambda: not bench.running())
        assert len(bench.events("saved")) == 2 and not bench.events("end")
        output = "".join(process.communicate(timeout=PATIENCE))  # shared by its workers
        assert "not waiting for 2 workers" in output
        time.sleep(5)  # would any begin again?
        assert len(bench.events("start")) == len(bench.events("saved")) == 2 and not bench.running()


@pytest.mark.long
def test_a_worker_that_is_told_to_come_again_does(bench):
    bench.plan(left_none_0="once more")
    code, output = bench("run", "--jobs", "1", "--augmenters", "none", "--seeds", "0")
    assert code == 0 and "1 done now" in output
    assert bench.events("saved").keys() == bench.events("end").keys() == {"left.none.0"}


def test_an_experiment_with_a_mistake_starts_no_worker(bench):
    (bench.folder / "toy.yaml").write_text(EXPERIMENT.replace("learned]", "lerned]"))
    code, output = bench("run", "--jobs", "2")
    assert code == 2 and "Did you mean 'learned'?" in output
    assert not bench.results.exists()
