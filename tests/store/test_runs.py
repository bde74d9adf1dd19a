"""The result store: states, what a kill leaves behind, a full disk, and what is refused."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError

from benchmark.errors import UserError
from benchmark.store import claims, files
from benchmark.store.files import written_atomically
from benchmark.store.runs import RunDirectory, find_runs

ROOT = Path(__file__).parents[2]
CONFIG = {
    "dataset": {"name": "synthetic", "options": {"documents": 40}},
    "backbone": {"name": "atlop", "options": {}},
    "augmenter": {"name": "none", "options": {}},
    "train": {"epochs": 3},
    "seed": 0,
}


@pytest.fixture
def run(tmp_path):
    return RunDirectory.of(tmp_path, "demo", "atlop", "none", 0)


def finished(run, config=CONFIG, **facts):
    run.start(config, facts=facts)
    run.append_history({"epoch": 1, "loss": 0.5})
    run.write_json("metrics.json", {"test": {"f1": 0.5}})
    run.finish()
    return run


def in_another_process(code, run):
    """A process that executes `code` on `run`, says so and waits to be killed."""
    script = f"""
import time
from benchmark.store.runs import RunDirectory
run = RunDirectory({str(run.path)!r})
{code}
print("ready", flush=True)
time.sleep(60)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout.readline() == "ready\n"
    return process


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()


def full_disk(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


# ---- the life of a run


def test_a_run_from_start_to_done(run):
    assert run.path.parts[-4:] == ("demo", "atlop", "none", "seed-0")
    assert run.state() == "missing" and not run.path.exists()
    run.start(CONFIG, facts={"threads": 2})
    assert run.state() == "running"
    assert json.loads((run.path / "config.json").read_text()) == CONFIG | {"facts": {"threads": 2}}
    run.append_history({"epoch": 1})
    run.append_history({"epoch": 2})
    run.write_json("metrics.json", {"test": {"f1": 0.25}})
    run.finish()
    assert run.state() == "done" and not (run.path / "RUNNING").exists()
    stored = run.read()
    assert (stored.config, stored.facts, stored.metrics) == (
        CONFIG,
        {"threads": 2},
        {"test": {"f1": 0.25}},
    )
    assert (stored.experiment, stored.dataset, stored.backbone, stored.augmenter, stored.seed) == (
        "demo",
        "synthetic",
        "atlop",
        "none",
        0,
    )
    assert run.read_history() == [{"epoch": 1}, {"epoch": 2}]
    assert sorted(p.name for p in run.path.iterdir()) == [
        "DONE",
        "config.json",
        "history.jsonl",
        "metrics.json",
    ]


def test_a_failed_run_is_recorded_and_starts_over(run):
    run.start(CONFIG)
    run.append_history({"epoch": 1})
    try:
        raise RuntimeError("out of memory\nsecond line")
    except RuntimeError as error:
        run.fail(error)
    assert run.state() == "failed"
    assert run.failure()["error"] == "RuntimeError: out of memory"
    assert "test_runs.py" in run.failure()["traceback"]
    assert run.start(CONFIG) == "failed"
    assert (
        run.state() == "running" and run.read_history() == [] and not (run.path / "FAILED").exists()
    )


def test_no_metrics_no_done(run):
    run.start(CONFIG)
    with pytest.raises(UserError, match="metrics.json"):
        run.finish()
    assert run.state() == "running"


# ---- processes


def test_another_live_process_keeps_the_run_until_it_is_killed(run):
    process = in_another_process(f"run.start({CONFIG!r}); run.append_history({{'epoch': 1}})", run)
    try:
        assert run.state() == "running"
        with pytest.raises(
            UserError, match=rf"process {process.pid} on .* works on this run.*delete .*RUNNING"
        ):
            run.start(CONFIG)
    finally:
        kill(process)
    (run.path / f".model.safetensors.{process.pid}.tmp").write_bytes(b"half")
    assert run.state() == "killed"
    assert run.start(CONFIG) == "killed"
    assert run.read_history() == [] and not list(run.path.glob(".*"))


def test_a_zombie_is_dead(run):
    process = in_another_process(f"run.start({CONFIG!r})", run)
    process.send_signal(signal.SIGKILL)
    deadline = time.time() + 10
    while run.state() != "killed" and time.time() < deadline:  # not waited for: it stays a zombie
        time.sleep(0.01)
    state = run.state()
    kill(process)
    assert state == "killed"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_reused_pid_does_not_block(run):
    run.start(CONFIG)
    owner = json.loads((run.path / "RUNNING").read_text())
    (run.path / "RUNNING").write_text(
        json.dumps(owner | {"pid": os.getppid(), "born": 1})
    )  # alive, born later
    assert run.state() == "killed"
    assert run.start(CONFIG) == "killed"


def test_another_host_is_believed_while_its_heart_beats(run):
    run.start(CONFIG)
    marker = run.path / "RUNNING"
    marker.write_text(json.dumps({"host": "elsewhere", "pid": 1, "time": ""}))
    assert run.state() == "running"
    with pytest.raises(UserError, match="process 1 on elsewhere"):
        run.start(CONFIG)
    long_ago = time.time() - claims.HEARTBEAT - 1
    os.utime(marker, (long_ago, long_ago))
    assert run.state() == "killed"
    run.append_history({"epoch": 1})  # a write is a sign of life
    assert run.state() == "running"


def test_a_process_that_writes_nothing_gives_signs_of_life(run, monkeypatch):
    monkeypatch.setattr(claims, "BEAT", 0.01)
    run.start(CONFIG)
    marker, long_ago = run.path / "RUNNING", time.time() - claims.HEARTBEAT - 1

    def beats():
        os.utime(marker, (long_ago, long_ago))
        deadline = time.time() + 1
        while marker.stat().st_mtime < long_ago + 1 and time.time() < deadline:
            time.sleep(0.01)
        return marker.stat().st_mtime > long_ago + 1

    with run.beating():
        assert beats()
        marker.write_text(
            json.dumps({"host": "elsewhere", "pid": 1, "time": ""})
        )  # taken over: its beat is its own matter
        os.utime(marker, (long_ago, long_ago))
        time.sleep(0.1)
        assert run.state() == "killed" and run.is_others()
    run.start(CONFIG)
    assert not run.is_others()
    os.utime(marker, (long_ago, long_ago))
    time.sleep(0.05)
    assert marker.stat().st_mtime < long_ago + 1  # no thread goes on


def test_a_run_that_is_declared_done_between_two_looks_is_done(run, monkeypatch):
    run.start(CONFIG)
    run.write_json("metrics.json", {})
    read = claims.Owner.read

    def meanwhile(path):
        if path.exists():
            run.write_json("DONE", {})
            path.unlink()
        return read(path)

    monkeypatch.setattr("benchmark.store.runs.Owner.read", meanwhile)
    assert run.state() == "done"


def test_processes_of_two_hosts_write_to_different_temporary_files(tmp_path, monkeypatch):
    with written_atomically(
        tmp_path / "a"
    ) as ours:  # in containers all processes may have the same number
        ours.write_text("ours")
        monkeypatch.setattr(files.socket, "gethostname", lambda: "elsewhere")
        with written_atomically(tmp_path / "a") as theirs:
            theirs.write_text("theirs")
        assert (tmp_path / "a").read_text() == "theirs"
    assert (tmp_path / "a").read_text() == "ours"


def test_a_marker_without_content_blocks_only_for_a_moment(run):
    run.start(CONFIG)
    marker = run.path / "RUNNING"
    marker.write_text("")
    assert run.state() == "running"
    os.utime(marker, (time.time() - 60, time.time() - 60))
    assert run.state() == "killed"
    run.start(CONFIG)


def test_one_of_many_processes_gets_the_run(run):
    # four processes claim a run whose owner is dead, at the same moment
    run.start(CONFIG)
    (run.path / "RUNNING").write_text(
        json.dumps({"host": claims.socket.gethostname(), "pid": 2**22 + 1, "time": ""})
    )
    script = f"""
import sys, time
from benchmark.errors import UserError
from benchmark.store.runs import RunDirectory
run = RunDirectory({str(run.path)!r})
time.sleep(max(0, float(sys.argv[1]) - time.time()))
try:
    run.start({CONFIG!r})
    print("mine", flush=True)
except UserError:
    print("taken", flush=True)
sys.stdin.read()
"""
    moment = str(time.time() + 1)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    processes = [
        subprocess.Popen([sys.executable, "-c", script, moment], **pipes) for _ in range(4)
    ]
    answers = [process.stdout.readline().strip() for process in processes]
    for process in processes:
        process.communicate()
    assert sorted(answers) == ["mine", "taken", "taken", "taken"]


# ---- refusals


def test_a_done_run_is_never_overwritten(run):
    finished(run)
    before = {path.name: path.read_bytes() for path in run.path.iterdir()}
    with pytest.raises(UserError, match="is done"):
        run.start(CONFIG)
    changed = CONFIG | {"train": {"epochs": 30, "clip": 1.0}, "seed": 1}
    with pytest.raises(UserError) as error:
        run.start(changed)
    assert "seed: 0 stored, 1 asked for" in str(error.value)
    assert "train.clip: nothing stored, 1.0 asked for" in str(error.value)
    assert "train.epochs: 3 stored, 30 asked for" in str(error.value)
    assert "dataset" not in str(error.value)
    assert {path.name: path.read_bytes() for path in run.path.iterdir()} == before


def test_the_environment_may_differ_but_the_corpus_may_not(run):
    finished(run, torch="2.13", corpus_digest="aa")
    assert run.differences(CONFIG, facts={"torch": "2.14", "corpus_digest": "aa"}) == []
    assert run.differences(CONFIG, facts={"corpus_digest": "bb"}) == [
        'corpus_digest: "aa" stored, "bb" asked for'
    ]
    assert run.differences(CONFIG) == []


def test_an_encoder_that_was_moved_is_the_same_one_while_its_digest_is(run):
    config = CONFIG | {"encoder": {"name": "/old/place/mini"}}
    finished(run, config, encoder_digest="aa")
    moved = CONFIG | {"encoder": {"name": "encoders/mini"}}
    assert run.differences(moved, facts={"encoder_digest": "aa"}) == []
    assert run.differences(moved, facts={"encoder_digest": "bb"}) == [
        'encoder_digest: "aa" stored, "bb" asked for'
    ]
    assert run.differences(moved, facts={"encoder_digest": None}) == []
    other = CONFIG | {"encoder": {"name": "encoders/maxi"}}
    assert run.differences(other) == [
        'encoder.name: "/old/place/mini" stored, "encoders/maxi" asked for'
    ]


def test_null_and_absent_differ(run):
    finished(run, CONFIG | {"augment": None})
    assert run.differences(CONFIG) == ["augment: null stored, nothing asked for"]


def test_a_killed_run_may_change_its_configuration(run):
    run.start(CONFIG)
    run.start(CONFIG | {"seed": 7})
    assert run.read_json("config.json")["seed"] == 7


def test_reading_what_is_not_done(run):
    with pytest.raises(UserError, match="not a finished run .it is missing"):
        run.read()


def test_a_changed_file_is_noticed(run):
    finished(run)
    (run.path / "metrics.json").write_text('{"test": {"f1": 0.99}}')
    with pytest.raises(UserError, match="metrics.json: changed after the run was done"):
        run.read()
    (run.path / "history.jsonl").unlink()
    with pytest.raises(UserError, match="history.jsonl: missing"):
        run.verify("history.jsonl")


def test_a_torn_file_is_named(run):
    run.start(CONFIG)
    (run.path / "metrics.json").write_text('{"test": ')
    with pytest.raises(UserError, match="metrics.json: not valid JSON"):
        run.read_json("metrics.json")


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "demo").write_text("mine")
    with pytest.raises(UserError, match="a file stands where"):
        RunDirectory.of(tmp_path, "demo", "atlop", "none", 0).start(CONFIG)
    with pytest.raises(UserError, match="a file stands where"):
        RunDirectory(tmp_path / "demo").start(CONFIG)
    assert (tmp_path / "demo").read_text() == "mine"


# ---- writing


@pytest.mark.parametrize(
    "value, key",
    [
        ({"dev": {"f1": float("nan")}}, r"metrics.json: dev.f1 is nan"),
        ({"dev": [0.5, np.float32("inf")]}, r"metrics.json: dev\[1\] is inf"),
        ({"dev": {"f1": np.array([0.0, np.nan])}}, r"metrics.json: dev.f1\[1\] is nan"),
        ([1.0, float("-inf")], r"metrics.json: \[1\] is -inf"),
    ],
)
def test_a_number_that_is_not_finite_is_named(run, value, key):
    run.start(CONFIG)
    run.write_json("metrics.json", {"dev": 1})
    with pytest.raises(ValueError, match=key):
        run.write_json("metrics.json", value)
    assert run.read_json("metrics.json") == {"dev": 1}


def test_not_finite_history_is_named(run):
    run.start(CONFIG)
    with pytest.raises(ValueError, match="history.jsonl.loss is nan"):
        run.append_history({"loss": float("nan")})


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        {"a": []},
        [{"title": "Škoda \ud800", "h_idx": 0}, {}],
        {"a": {"b": [1, None, "x"]}, "c": 0.1},
        3,
        "text",
    ],
)
def test_json_round_trip(run, value):
    run.start(CONFIG)
    run.write_json("predictions_dev.json", value)
    assert run.read_json("predictions_dev.json") == value


def test_numpy_values_are_written_as_plain_ones(run):
    run.start(CONFIG)
    run.write_json(
        "metrics.json",
        {"n": np.int64(3), "f1": np.float32(0.5), "counts": np.arange(3), "best": np.bool_(True)},
    )
    assert run.read_json("metrics.json") == {"n": 3, "f1": 0.5, "counts": [0, 1, 2], "best": True}


def test_a_full_disk_names_the_file_and_leaves_the_rest(run, monkeypatch):
    run.start(CONFIG)
    run.append_history({"epoch": 1})
    run.write_json("metrics.json", {"f1": 0.1})
    before = {path.name: path.read_bytes() for path in run.path.iterdir()}
    monkeypatch.setattr(files.os, "fsync", full_disk)
    for name in ("metrics.json", "counts_dev.json"):
        with pytest.raises(UserError, match=rf"{name}: cannot be written: the disk is full"):
            run.write_json(name, {"f1": 0.2})
    with pytest.raises(UserError, match="history.jsonl: cannot be written: the disk is full"):
        run.append_history({"epoch": 2})
    assert {path.name: path.read_bytes() for path in run.path.iterdir()} == before
    run.fail(RuntimeError("disk"))  # cannot be recorded, yet the directory is let go
    assert run.state() == "killed"


def test_a_full_disk_at_the_start_leaves_no_claim(run, monkeypatch):
    monkeypatch.setattr(files.os, "fsync", full_disk)
    with pytest.raises(UserError, match="config.json: cannot be written"):
        run.start(CONFIG)
    assert not (run.path / "RUNNING").exists()
    monkeypatch.undo()
    run.start(CONFIG)


def test_a_library_that_hides_the_full_disk(run):
    run.start(CONFIG)
    with (
        pytest.raises(UserError, match="model.safetensors: cannot be written: the disk is full"),
        run.writing("model.safetensors"),
    ):
        raise SafetensorError(
            "Error while serializing: I/O error: No space left on device (os error 28)"
        )
    with run.writing("model.safetensors") as temporary:
        temporary.write_bytes(b"weights")
    assert (run.path / "model.safetensors").read_bytes() == b"weights"
    assert not list(run.path.glob(".*.tmp"))


def test_an_interrupted_write_keeps_the_old_content(tmp_path):
    path = tmp_path / "metrics.json"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), written_atomically(path) as temporary:
        temporary.write_text("ne")
        raise KeyboardInterrupt
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_torn_last_line_of_the_history_is_left_out(run):
    run.start(CONFIG)
    run.append_history({"epoch": 1})
    with open(run.path / "history.jsonl", "a") as file:
        file.write('{"epoch": 2, "lo')
    assert run.read_history() == [{"epoch": 1}]


# ---- finding


def test_find_runs_gives_the_done_ones(tmp_path):
    for seed in (1, 0):
        finished(RunDirectory.of(tmp_path, "demo", "atlop", "none", seed), CONFIG | {"seed": seed})
    RunDirectory.of(tmp_path, "demo", "atlop", "vae", 0).start(CONFIG)
    found = find_runs(tmp_path)
    assert [run.read().seed for run in found] == [0, 1]
    assert [run.path for run in find_runs(found[0].path)] == [found[0].path]
    with pytest.raises(UserError, match="no such folder"):
        find_runs(tmp_path / "nothing")


def test_the_store_imports_nothing_heavy():
    heavy = (
        "{'torch', 'numpy', 'pandas', 'scipy', 'datasets', 'pydantic', 'rich'} & set(sys.modules)"
    )
    code = f"import sys, benchmark.store.runs, benchmark.reports.tables, benchmark.reports.render.text; print(sorted({heavy}))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "content",
    ["[]", "[" * 100_000, '{"host": "h", "pid": "x"}', '{"host": "h", "pid": 1.5}', '{"host": "h", "pid": 1000000000000000000000}',
     '{"host": "h", "pid": 1, "attempt": ["1"]}', '{"host": "h", "pid": 1, "attempt": "x"}', "null"],
)  # fmt: skip
def test_a_damaged_claim_belongs_to_nobody(tmp_path, content):
    run = RunDirectory(tmp_path)
    run.start({"seed": 1})
    marker = run.path / "RUNNING"
    marker.write_text(content)
    os.utime(marker, (1, 1))
    assert run.state() == "killed"
    run.start({"seed": 1})
    assert run.is_ours()


def test_a_folder_in_the_place_of_a_claim_is_named(tmp_path):
    (tmp_path / "RUNNING").mkdir()
    with pytest.raises(UserError, match="a folder stands where the claim"):
        RunDirectory(tmp_path).state()
