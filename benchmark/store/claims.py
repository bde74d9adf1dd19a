"""Who works on a run: the file RUNNING, which a process creates and a later one may take over."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import UserError
from benchmark.store.files import explained, written_atomically

BEAT = 60  # seconds between two signs of life
# Seconds without a sign of life after which a process on another host counts as dead. Clocks
# differ and file servers cache, so this is long.
HEARTBEAT = 30 * 60
BIRTH = 10  # seconds for which a RUNNING file may be empty: its process is about to write it


@dataclass(frozen=True)
class Owner:
    """Who wrote a RUNNING file."""

    host: str
    pid: int  # 0 if the file does not say
    born: int | None  # its start, in clock ticks since boot; tells a reused pid apart
    beat: float  # the last sign of life, in seconds since the epoch
    attempt: tuple[str, int] | None = None  # (job id, earlier restarts) of its Slurm task, if any

    @classmethod
    def read(cls, path: Path) -> Owner | None:
        """The owner; None without the file. Damaged or empty content names nobody (pid 0)."""
        try:
            beat = path.stat().st_mtime
            values = json.loads(path.read_text(encoding="utf-8"))
            attempt = values.get("attempt")
            attempt = attempt and (str(attempt[0]), int(attempt[1]))
            return cls(values["host"], int(values["pid"]), values.get("born"), beat, attempt)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return cls("", 0, None, beat)

    def alive(self) -> bool:
        if not self.pid:
            return time.time() - self.beat < BIRTH
        ours = _attempt()
        if self.attempt and ours and self.attempt[0] == ours[0] and self.attempt[1] < ours[1]:
            return False  # this very task, which Slurm started again after its node was lost
        if self.host != socket.gethostname():
            return time.time() - self.beat < HEARTBEAT
        try:
            os.kill(self.pid, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except PermissionError:
            pass  # another user's process: it lives
        state, born = _process(self.pid)
        return state not in ("Z", "X") and (born is None or self.born is None or born == self.born)

    def is_this_process(self) -> bool:
        return self.host == socket.gethostname() and self.pid == os.getpid() and self.alive()


def _process(pid: int) -> tuple[str | None, int | None]:
    """State letter and start time of a process, on systems with /proc."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None, None
    # the command's name is in parentheses and may hold anything
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[19])


def _attempt() -> tuple[str, int] | None:
    """Slurm's job id and number of restarts of this process; None outside Slurm."""
    job = os.environ.get("SLURM_JOB_ID")
    return (job, int(os.environ.get("SLURM_RESTART_COUNT") or 0)) if job else None


def claim(marker: Path) -> None:
    """Create RUNNING for this process, or take it over from one that is gone, or from this very
    process (an interrupted notebook cell). Raises UserError when another works on the run.
    """
    values = {"host": socket.gethostname(), "pid": os.getpid(), "born": _process(os.getpid())[1]}
    values |= {"time": now(), "attempt": _attempt()}
    content = json.dumps(values).encode()
    while True:
        try:
            # "x" is O_EXCL: of several processes one succeeds
            with explained(marker), open(marker, "xb", buffering=0) as file:
                file.write(content)
                return
        except FileExistsError:
            pass
        except UserError:
            with contextlib.suppress(OSError):  # no file, or a read-only disk
                marker.unlink()
            raise
        with contextlib.suppress(FileNotFoundError), explained(marker), open(marker, "rb+") as file:
            with contextlib.suppress(OSError):  # some file systems have no locks
                fcntl.flock(file, fcntl.LOCK_EX)
            owner = Owner.read(marker)
            # Several processes may find the owner dead. The first replaces the file; the others
            # hold the old one and look again.
            if owner is None or os.fstat(file.fileno()).st_ino != marker.stat().st_ino:
                continue
            if owner.alive() and not owner.is_this_process():
                who = f"process {owner.pid} on {owner.host}" if owner.pid else "another process"
                raise UserError(
                    f"{marker.parent}: {who} is working on this run. If it is not, delete {marker}"
                )
            with written_atomically(marker) as temporary:
                temporary.write_bytes(content)
            return


@contextlib.contextmanager
def beating(marker: Path) -> Iterator[None]:
    """Touch this process's RUNNING every BEAT seconds, for hosts that cannot see the process."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(BEAT):
            with contextlib.suppress(OSError):
                if (owner := Owner.read(marker)) and owner.is_this_process():
                    os.utime(marker)

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
