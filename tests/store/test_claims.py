"""Who works on a run: processes that live, die, beat, or claim the same run at once."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmark.errors import UserError
from benchmark.store import claims
from benchmark.store.claims import Owner, claim
from benchmark.store.runs import RunDirectory

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(tmp_path):
    run = RunDirectory(tmp_path)
    run.start({"seed": 0})
    return run


@pytest.fixture
def marker(run):
    return run.path / "RUNNING"


def in_another_process(code, folder):
    """A process that executes `code` on the run in `folder`, says so, and waits."""
    script = f"""
import sys, time
from pathlib import Path
from benchmark.errors import UserError
from benchmark.store.runs import RunDirectory
run = RunDirectory(Path({str(folder)!r}))
{code}
sys.stdin.read()
"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    return subprocess.Popen([sys.executable, "-c", script], **pipes)


def written_by(marker, *, ago=0.0, **values):
    """A claim with this content, whose last sign of life was so many seconds ago."""
    marker.write_text(json.dumps(values))
    os.utime(marker, (time.time() - ago,) * 2)


def test_another_live_process_keeps_the_run_until_it_is_killed(tmp_path):
    run = RunDirectory(tmp_path)
    process = in_another_process("run.start({'seed': 0}); print('ready', flush=True)", tmp_path)
    try:
        assert process.stdout.readline() == "ready\n" and run.state() == "running"
        message = rf"process {process.pid} on .* is working on this run.*delete .*RUNNING"
        with pytest.raises(UserError, match=message):
            run.start({"seed": 0})
    finally:
        process.send_signal(signal.SIGKILL)
    if not Path("/proc").is_dir():
        process.wait()  # without it a zombie cannot be told from a living process
    deadline = time.time() + 10
    while run.state() != "killed" and time.time() < deadline:  # nobody waits for it: a zombie
        time.sleep(0.01)
    assert run.state() == "killed"
    process.communicate()
    (tmp_path / f".model.safetensors.{process.pid}.tmp").write_bytes(b"half")
    assert run.start({"seed": 0}) == "killed" and not list(tmp_path.glob(".*"))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_reused_pid_does_not_block(run, marker):
    owner = json.loads(marker.read_text())
    written_by(marker, **owner | {"pid": os.getppid(), "born": 1})  # it lives, but began later
    assert run.start({"seed": 0}) == "killed"


def test_another_host_is_believed_while_its_heart_beats(run, marker):
    written_by(marker, host="elsewhere", pid=1)
    assert run.state() == "running"
    with pytest.raises(UserError, match="process 1 on elsewhere"):
        run.start({"seed": 0})
    written_by(marker, host="elsewhere", pid=1, ago=claims.HEARTBEAT + 1)
    assert run.state() == "killed"


def test_a_process_that_writes_nothing_gives_signs_of_life(run, marker, monkeypatch):
    monkeypatch.setattr(claims, "BEAT", 0.01)
    long_ago = time.time() - claims.HEARTBEAT - 1

    def beats(seconds):
        os.utime(marker, (long_ago, long_ago))
        deadline = time.time() + seconds
        while marker.stat().st_mtime < long_ago + 1 and time.time() < deadline:
            time.sleep(0.01)
        return marker.stat().st_mtime > long_ago + 1

    with run.beating():
        assert beats(10)
        written_by(marker, host="elsewhere", pid=1)  # taken over
        assert not beats(0.1) and run.state() == "killed" and run.is_others()
    run.start({"seed": 0})
    assert not run.is_others() and not beats(0.1)  # the thread has ended


DAMAGED = [
    "",  # as between the creation and the first write
    "[]",
    "[" * 100_000,
    '{"host": "h", "pid": "x"}',
    '{"host": "h", "pid": 1000000000000}',
    '{"host": "h", "pid": 1, "attempt": ["1"]}',
]


@pytest.mark.parametrize("content", DAMAGED, ids=len)
def test_a_damaged_claim_blocks_only_for_a_moment(run, marker, content):
    marker.write_text(content)
    assert run.state() == "running"
    os.utime(marker, (1, 1))
    assert run.start({"seed": 1}) == "killed" and Owner.read(marker).is_this_process()


def test_a_disk_to_read_only_is_told_as_that(marker, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(claims, "open", refuse, raising=False)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(UserError, match="RUNNING: cannot be written: read-only file system"):
        claim(marker)


def test_one_of_many_processes_gets_the_run(run, marker):
    """Four processes claim a run whose owner is dead, at the same moment."""
    written_by(marker, host=claims.socket.gethostname(), pid=2**22 + 1)
    code = f"""
time.sleep(max(0, {time.time() + 1} - time.time()))
try:
    run.start({{'seed': 0}})
    print("mine", flush=True)
except UserError:
    print("taken", flush=True)
"""
    processes = [in_another_process(code, run.path) for _ in range(4)]
    answers = [process.stdout.readline().strip() for process in processes]
    for process in processes:
        process.communicate()
    assert sorted(answers) == ["mine", "taken", "taken", "taken"]


def test_a_task_that_slurm_started_again_takes_its_run_over(tmp_path, monkeypatch):
    def on(node, job, restarts):
        monkeypatch.setenv("SLURM_JOB_ID", job)
        monkeypatch.setenv("SLURM_RESTART_COUNT", restarts)
        monkeypatch.setattr("socket.gethostname", lambda: node)

    marker = tmp_path / "RUNNING"
    on("node-1", "7", "0")
    claim(marker)  # and then the node is lost
    on("node-2", "7", "0")
    assert Owner.read(marker).alive()  # another process of the same attempt
    on("node-2", "7", "1")
    assert not Owner.read(marker).alive()
    claim(marker)
    assert Owner.read(marker).host == "node-2" and Owner.read(marker).alive()
    on("node-3", "8", "5")
    assert Owner.read(marker).alive()  # another task's run
