"""Who works on a run: the file RUNNING, created by one process and taken over when that process is
gone.
"""

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
HEARTBEAT = (
    30 * 60
    # seconds without one after which a run on another host counts as killed: clocks differ, file
    # servers cache
)
BIRTH = 10  # seconds in which a RUNNING file may be empty: its process is about to write it


@dataclass(frozen=True)
class Owner:
    """Who wrote a RUNNING file: `born` is the process's start time in clock ticks since boot, which
    tells a reused pid apart.

    attempt: (job id, restarts before) of the process's Slurm task, if it was in one.
    """

    host: str
    pid: int
    born: int | None
    beat: float  # last sign of life, seconds since the epoch
    attempt: tuple[str, int] | None = None

    @classmethod
    def read(cls, path: Path) -> Owner | None:
        """None without the file. A file that never got its content belongs to nobody, once it is
        older than BIRTH.
        """
        try:
            beat = path.stat().st_mtime
            values = json.loads(path.read_text(encoding="utf-8") or "{}")
            attempt = values.get("attempt")
            pid = values["pid"]
            if not isinstance(pid, int) or not 0 <= pid < 2**31:
                raise ValueError("no process number")
            return cls(
                str(values["host"]),
                pid,
                values.get("born"),
                beat,
                attempt and (str(attempt[0]), int(attempt[1])),
            )
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
            return cls("", 0, None, beat)
        except IsADirectoryError:
            raise UserError(
                f"{path}: a folder stands where the claim of a run's process should be; move it away"
            ) from None

    def alive(self) -> bool:
        if not self.pid:
            return time.time() - self.beat < BIRTH
        ours = _attempt()
        if self.attempt and ours and self.attempt[0] == ours[0] and self.attempt[1] < ours[1]:
            return False  # this very task, started again by Slurm after its node was lost
        if self.host != socket.gethostname():
            return time.time() - self.beat < HEARTBEAT
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass  # somebody else's process: alive
        state, born = _process(self.pid)
        return state not in ("Z", "X") and (born is None or self.born is None or born == self.born)

    def is_this_process(self) -> bool:
        return self.host == socket.gethostname() and self.pid == os.getpid() and self.alive()


def _process(pid: int) -> tuple[str | None, int | None]:
    """State letter and start time of a process, where /proc tells."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None, None
    fields = text.rpartition(")")[
        2
    ].split()  # the command's name, which may hold anything, is in parentheses
    return fields[0], int(fields[19])


def _attempt() -> tuple[str, int] | None:
    """Which start of which Slurm task this process belongs to; None outside Slurm."""
    job = os.environ.get("SLURM_JOB_ID")
    return (job, int(os.environ.get("SLURM_RESTART_COUNT") or 0)) if job else None


def claim(marker: Path) -> None:
    """Create RUNNING for this process; take over one whose process is gone. Raises UserError when
    another process works here.

    A run that this same process abandoned (a notebook's interrupted cell) is taken over as well.
    """
    values = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "born": _process(os.getpid())[1],
        "time": now(),
    }
    values |= {"attempt": attempt} if (attempt := _attempt()) else {}
    content = json.dumps(values).encode()
    while True:
        try:
            with (
                explained(marker),
                open(marker, "xb", buffering=0) as file,
            ):  # O_EXCL: one process wins
                file.write(content)
                return
        except FileExistsError:
            pass
        except UserError:
            marker.unlink(missing_ok=True)
            raise
        with contextlib.suppress(FileNotFoundError), explained(marker), open(marker, "rb+") as file:
            with contextlib.suppress(OSError):  # a file system without locks: claim without
                fcntl.flock(file, fcntl.LOCK_EX)
            owner = Owner.read(marker)
            # of several that found the owner dead, the first replaced the file which the others
            # hold
            if owner is None or os.fstat(file.fileno()).st_ino != marker.stat().st_ino:
                continue
            if owner.alive() and not owner.is_this_process():
                where = f"process {owner.pid} on {owner.host}" if owner.pid else "another process"
                raise UserError(
                    f"{marker.parent}: {where} works on this run. If it does not, delete {marker}"
                )
            with written_atomically(marker) as temporary:
                temporary.write_bytes(content)
            return


@contextlib.contextmanager
def beating(marker: Path) -> Iterator[None]:
    """Within it this process's RUNNING gets a sign of life now and then: other hosts cannot see the
    process itself.
    """
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
