"""The result store: one directory per run, its path readable, its configuration written first, `DONE` written last.

    <results>/<experiment>/<backbone>/<augmenter>/seed-<k>/
        config.json     what decides the run's numbers, and under "facts" the environment it ran in
        RUNNING         host, pid and time of the process that works on it
        FAILED          one line and the traceback, when it raised
        history.jsonl   one object per epoch
        metrics.json, predictions_*.json, counts_*.json, *.safetensors
        DONE            SHA-256 of the JSON files above

Plain files survive network file systems, SIGKILL, rsync and git. Every write but the history's is atomic: a temporary file in the
same directory, fsync, `os.replace`. Nothing is ever deleted except a run's own markers and temporary files.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import socket
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmark.errors import UserError

State = Literal["done", "running", "failed", "killed", "missing"]

HEARTBEAT = 6 * 3600  # seconds without a sign of life after which a run on another host counts as killed
BIRTH = 10  # seconds in which a RUNNING file may be empty: its process is about to write it
IDENTIFYING_FACTS = ("corpus_digest",)  # facts of the environment that decide a run's numbers


@dataclass(frozen=True)
class StoredRun:
    """A finished run as it is on disk. `config` is a RunConfig as JSON; `facts` the environment it ran in."""

    path: Path
    config: dict[str, Any]
    facts: dict[str, Any]
    metrics: dict[str, Any]

    @property
    def experiment(self) -> str:
        """The experiment's folder; runs of one experiment share a table."""
        parents = self.path.resolve().parents
        return parents[2].name if len(parents) > 2 else ""

    @property
    def dataset(self) -> str:
        return self.config["dataset"]["name"]

    @property
    def backbone(self) -> str:
        return self.config["backbone"]["name"]

    @property
    def augmenter(self) -> str:
        return self.config["augmenter"]["name"]

    @property
    def seed(self) -> int:
        return self.config["seed"]


class RunDirectory:
    """One run's directory: `start`, then any number of writes, then `finish` or `fail`. Creates nothing before `start`."""

    def __init__(self, path: str | Path):
        self.path = Path(path)

    @classmethod
    def of(cls, results: str | Path, experiment: str, backbone: str, augmenter: str, seed: int) -> RunDirectory:
        """The directory of one cell of the grid for one seed."""
        return cls(Path(results) / experiment / backbone / augmenter / f"seed-{seed}")

    def __repr__(self) -> str:
        return f"RunDirectory({str(self.path)!r})"

    def state(self) -> State:
        """done; running (its process lives); failed (it raised); killed (it stopped without a word); missing (never started)."""
        if (self.path / "DONE").exists():
            return "done"
        owner = _Owner.read(self.path / "RUNNING")
        if owner is not None:
            return "running" if owner.alive() else "killed"
        if (self.path / "FAILED").exists():
            return "failed"
        return "killed" if (self.path / "config.json").exists() else "missing"

    def start(self, config: Mapping[str, Any], *, facts: Mapping[str, Any] | None = None) -> State:
        """Claim the directory for this process and write `config.json`; returns the state it was in.

        A failed or killed run starts over: its history is emptied, its other files are overwritten as the new ones come.

        Args:
            config: the RunConfig as JSON, without a key "facts".
            facts: versions, threads, device, commit, "corpus_digest", "corpus_notes" ...

        Raises:
            UserError: the run is done (with the difference, key by key, if with another configuration), or another
                process works on it.
        """
        state = self.state()
        if state == "done":
            self.require_same(config, facts=facts)
            raise UserError(f"{self.path}: this run is done; nothing is overwritten. Use another results folder to run it again")
        try:
            with _explained(self.path):
                self.path.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise UserError(f"{self.path}: a file stands where the run's folder should be") from error
        _claim(self.path / "RUNNING")
        if self.state() == "done":  # its owner finished between the look and the claim
            (self.path / "RUNNING").unlink(missing_ok=True)
            return self.start(config, facts=facts)
        try:
            for leftover in self.path.glob(".*.tmp"):
                leftover.unlink(missing_ok=True)
            self.write_json("config.json", {**config, "facts": dict(facts or {})})
            self._write("history.jsonl", b"")
        except BaseException:
            (self.path / "RUNNING").unlink(missing_ok=True)
            raise
        (self.path / "FAILED").unlink(missing_ok=True)
        return state

    def differences(self, config: Mapping[str, Any], *, facts: Mapping[str, Any] | None = None) -> list[str]:
        """What sets `config` apart from the stored one, a line per key: "train.epochs: 30 stored, 3 asked for".

        Of the facts only IDENTIFYING_FACTS count, where both sides have them. An unfinished run may differ; a done one may not.
        """
        stored = self.read_json("config.json")
        known = stored.pop("facts", {})
        asked = json.loads(_dumps("config", dict(config)))
        for key in IDENTIFYING_FACTS:
            if key in known and key in (facts or {}):
                stored[key], asked[key] = known[key], facts[key]
        return [f"{key}: {left} stored, {right} asked for" for key, left, right in differing(stored, asked)]

    def require_same(self, config: Mapping[str, Any], *, facts: Mapping[str, Any] | None = None) -> None:
        """Raises UserError that lists the differences when the stored run has another configuration than `config`."""
        differences = self.differences(config, facts=facts)
        if differences:
            raise UserError(
                f"{self.path} holds a finished run with another configuration:\n  "
                + "\n  ".join(differences)
                + "\nGive the experiment another name, or use another results folder; nothing is overwritten."
            )

    def write_json(self, name: str, value: Any) -> None:
        """Write `value` to the file `name`, atomically. NumPy numbers and arrays are written as plain ones.

        Raises ValueError naming the key of a number that is not finite, UserError naming the file when the disk is full.
        """
        self._write(name, (_dumps(name, value) + "\n").encode())
        self._beat()

    def append_history(self, record: Mapping[str, Any]) -> None:
        """Append one line to `history.jsonl`. A line that did not fit on the disk is taken back."""
        line = (_one_line("history.jsonl", dict(record)) + "\n").encode()
        path = self.path / "history.jsonl"
        with _explained(path), open(path, "ab", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            try:
                if file.write(line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file.fileno())
            except OSError:
                file.truncate(size)
                raise
        self._beat()

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """A temporary path for another library to write `name` to; moved into place when the block ends without an error."""
        with written_atomically(self.path / name) as temporary:
            yield temporary
        self._beat()

    def fail(self, error: BaseException) -> None:
        """Record that the run raised `error`, and let go of the directory. Where nothing can be written, only the latter."""
        first_line = (str(error).splitlines() or [""])[0]
        record = {"error": f"{type(error).__name__}: {first_line}", "traceback": "".join(traceback.format_exception(error))}
        with contextlib.suppress(UserError, OSError):
            self.path.mkdir(parents=True, exist_ok=True)
            self.write_json("FAILED", record)
        self.release()

    def release(self) -> None:
        """Let go of the directory, if this process holds it: the run counts as killed at once, on every host."""
        if self.is_ours():
            (self.path / "RUNNING").unlink(missing_ok=True)

    def is_ours(self) -> bool:
        """Whether this process works on the run."""
        owner = _Owner.read(self.path / "RUNNING")
        return owner is not None and owner.is_this_process()

    def finish(self) -> None:
        """Declare the run done: the marker, with digests of the JSON files. Raises UserError without `metrics.json`."""
        if not (self.path / "metrics.json").exists():
            raise UserError(f"{self.path}: no metrics.json, so the run cannot be done")
        digests = {path.name: _sha256(path) for path in sorted(self.path.iterdir()) if _is_result(path)}
        self.write_json("DONE", {"time": _now(), "sha256": digests})
        self.release()

    def failure(self) -> dict[str, str]:
        """The "error" line and the "traceback" of a failed run."""
        return self.read_json("FAILED")

    def read(self) -> StoredRun:
        """The finished run. Raises UserError when it is not done, or when a file changed after it was."""
        if not (self.path / "DONE").exists():
            raise UserError(f"{self.path}: not a finished run (it is {self.state()})")
        self.verify("config.json", "metrics.json")
        config = self.read_json("config.json")
        facts = config.pop("facts", {})
        return StoredRun(self.path, config, facts, self.read_json("metrics.json"))

    def verify(self, *names: str) -> None:
        """Compare files (default: all) with the digests in DONE. Raises UserError naming the first that is gone or changed."""
        digests = self.read_json("DONE").get("sha256", {})
        for name in names or digests:
            if name not in digests:
                raise UserError(f"{self.path / 'DONE'}: holds no digest of {name}")
            if not (self.path / name).is_file():
                raise UserError(f"{self.path / name}: missing, although the run is done")
            if _sha256(self.path / name) != digests[name]:
                raise UserError(f"{self.path / name}: changed after the run was done (its SHA-256 is not the one in DONE)")

    def read_json(self, name: str) -> Any:
        """The content of a JSON file of the run. Raises UserError naming the file when it is missing or torn."""
        path = self.path / name
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(f"{path}: no such file") from None
        except ValueError as error:
            raise UserError(f"{path}: not valid JSON: {error}") from error

    def read_history(self) -> list[dict[str, Any]]:
        """The epochs so far. A last line without its end (the process was killed while writing it) is left out."""
        path = self.path / "history.jsonl"
        try:
            *lines, _torn = path.read_text(encoding="utf-8").split("\n")
            return [json.loads(line) for line in lines]
        except FileNotFoundError:
            return []
        except ValueError as error:
            raise UserError(f"{path}: not valid JSON: {error}") from error

    def _write(self, name: str, content: bytes) -> None:
        with written_atomically(self.path / name) as temporary:
            temporary.write_bytes(content)

    def _beat(self) -> None:
        """A sign of life for other hosts, which cannot see this process."""
        with contextlib.suppress(OSError):
            os.utime(self.path / "RUNNING")


def find_runs(folder: str | Path) -> list[RunDirectory]:
    """The finished runs in `folder` (a results folder, an experiment's, or one run's), sorted by path."""
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder of results")
    return [RunDirectory(marker.parent) for marker in sorted(folder.rglob("DONE")) if (marker.parent / "config.json").is_file()]


def differing(left: Mapping[str, Any], right: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The keys in which two nested mappings of JSON values differ: ("train.epochs", "30", "3"), with "nothing" for no such key.

    A file or folder that was only moved (the last part of its path is the same) is no difference.
    """
    left, right = ({key: json.dumps(value) for key, value in _flat(values).items()} for values in (left, right))
    keys = sorted(left.keys() | right.keys())
    pairs = [(key, left.get(key, "nothing"), right.get(key, "nothing")) for key in keys]
    return [(key, one, other) for key, one, other in pairs if one != other and not _moved(one, other)]


def _moved(one: str, other: str) -> bool:
    """Whether two JSON texts are paths with the same last part."""
    names = [text.strip('"').replace("\\\\", "/").rpartition("/") for text in (one, other)]
    return names[0][2] == names[1][2] != "" and any(separator for _, separator, _ in names) and one[0] == other[0] == '"'


@contextlib.contextmanager
def written_atomically(path: Path) -> Iterator[Path]:
    """A temporary path in the same directory that replaces `path` when the block ends, and is removed when it raises.

    Raises UserError naming `path` when the disk is full or the directory cannot be written; the old content then stays.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with _explained(path):
        try:
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


_OF_THE_DISK = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "no permission to write here",
    errno.EPERM: "no permission to write here",
    errno.EFBIG: "the file grows beyond the allowed size",
    errno.ENOTDIR: "a file stands where a folder should be",
}


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what the disk refuses into a UserError that names `path`."""
    try:
        yield
    except Exception as error:
        # safetensors wraps the system's error in its own and leaves only the text
        full = isinstance(error, OSError) and error.errno in _OF_THE_DISK
        if full or f"os error {errno.ENOSPC}" in str(error):
            reason = _OF_THE_DISK[error.errno if full else errno.ENOSPC]
            raise UserError(f"{path}: cannot be written: {reason}. What was written before is intact") from error
        raise


@dataclass(frozen=True)
class _Owner:
    """Who wrote a RUNNING file: `born` is the process's start time in clock ticks since boot, which tells a reused pid apart."""

    host: str
    pid: int
    born: int | None
    beat: float  # last sign of life, seconds since the epoch

    @classmethod
    def read(cls, path: Path) -> _Owner | None:
        """None without the file. A file that never got its content belongs to nobody, once it is older than BIRTH."""
        try:
            beat = path.stat().st_mtime
            values = json.loads(path.read_text(encoding="utf-8") or "{}")
            return cls(values["host"], values["pid"], values.get("born"), beat)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, KeyError, TypeError):
            return cls("", 0, None, beat)

    def alive(self) -> bool:
        if not self.pid:
            return time.time() - self.beat < BIRTH
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
    fields = text.rpartition(")")[2].split()  # the command's name, which may hold anything, is in parentheses
    return fields[0], int(fields[19])


def _claim(marker: Path) -> None:
    """Create RUNNING for this process; take over one whose process is gone. Raises UserError when another process works here.

    A run that this same process abandoned (a notebook's interrupted cell) is taken over as well.
    """
    values = {"host": socket.gethostname(), "pid": os.getpid(), "born": _process(os.getpid())[1], "time": _now()}
    content = json.dumps(values).encode()
    while True:
        try:
            with _explained(marker), open(marker, "xb", buffering=0) as file:  # O_EXCL: one process wins
                file.write(content)
                return
        except FileExistsError:
            pass
        except UserError:
            marker.unlink(missing_ok=True)
            raise
        with contextlib.suppress(FileNotFoundError), _explained(marker), open(marker, "rb+") as file:
            with contextlib.suppress(OSError):  # a file system without locks: claim without
                fcntl.flock(file, fcntl.LOCK_EX)
            owner = _Owner.read(marker)
            # of several that found the owner dead, the first replaced the file which the others hold
            if owner is None or os.fstat(file.fileno()).st_ino != marker.stat().st_ino:
                continue
            if owner.alive() and not owner.is_this_process():
                where = f"process {owner.pid} on {owner.host}" if owner.pid else "another process"
                raise UserError(f"{marker.parent}: {where} works on this run. If it does not, delete {marker}")
            with written_atomically(marker) as temporary:
                temporary.write_bytes(content)
            return


def _is_result(path: Path) -> bool:
    return path.is_file() and path.suffix in (".json", ".jsonl") and not path.name.startswith(".")


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """{"train": {"epochs": 3}} -> {"train.epochs": 3}; lists are values."""
    if not isinstance(value, Mapping) or not value:
        return {prefix: value}
    return {k: v for key, inner in value.items() for k, v in _flat(inner, f"{prefix}.{key}" if prefix else str(key)).items()}


def _dumps(name: str, value: Any) -> str:
    """Strict JSON, one line per top-level item: compact, and legible in a diff."""
    if isinstance(value, Mapping) and value:
        items = (f"{json.dumps(str(key))}: {_one_line(f'{name}: {key}', item)}" for key, item in value.items())
        return "{\n" + ",\n".join(items) + "\n}"
    if isinstance(value, (list, tuple)) and value:
        return "[\n" + ",\n".join(_one_line(f"{name}: [{i}]", item) for i, item in enumerate(value)) + "\n]"
    return _one_line(name, value)


def _one_line(where: str, value: Any) -> str:
    try:
        return json.dumps(value, allow_nan=False, default=_plain)
    except ValueError:
        key, number = next(_not_finite(where, value))
        raise ValueError(f"{key} is {number}, which is no number that JSON can hold; write null for an undefined value") from None


def _plain(value: Any) -> Any:
    """NumPy and torch scalars and arrays as Python's own; anything else is a programming error."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"cannot write a {type(value).__name__} as JSON")


def _not_finite(where: str, value: Any) -> Iterator[tuple[str, float]]:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        yield where, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _not_finite(f"{where}.{key}", item)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _not_finite(f"{where}[{index}]", item)
