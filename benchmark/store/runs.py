"""The result store: one directory per run, its path readable, its configuration written first,
`DONE` written last.

    <results>/<experiment>/<backbone>/<augmenter>/seed-<k>/
        config.json     what decides the run's numbers, and under "facts" the environment it ran in
        RUNNING         host, pid and time of the process that works on it
        FAILED          one line and the traceback, when it raised
        history.jsonl   one object per epoch
        metrics.json, quality.json, predictions_*.json, counts_*.json, *.safetensors
        DONE            SHA-256 of the JSON files above

Plain files survive network file systems, SIGKILL, rsync and git. Every write but the history's is
atomic: a temporary file in the same directory, fsync, `os.replace`. Nothing is ever deleted except
a run's own markers and temporary files.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmark.errors import UserError
from benchmark.store.claims import Owner, beating, claim, now
from benchmark.store.cleaning import discard_temporaries
from benchmark.store.files import dumps, explained, one_line, sha256, written_atomically

State = Literal["done", "running", "failed", "killed", "missing"]

IDENTIFYING_FACTS = ("corpus_digest", "encoder_digest", "numerics_version", "teacher_digest")
"""Facts of the environment that decide a run's numbers."""


@dataclass(frozen=True)
class StoredRun:
    """A finished run as it is on disk. `config` is a RunConfig as JSON; `facts` the environment it
    ran in.
    """

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
        return self.facts.get("corpus") or self.config["dataset"]["name"]

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
    """One run's directory: `start`, then any number of writes, then `finish` or `fail`. Creates
    nothing before `start`.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)

    @classmethod
    def of(
        cls, results: str | Path, experiment: str, backbone: str, augmenter: str, seed: int
    ) -> RunDirectory:
        """The directory of one cell of the grid for one seed."""
        return cls(Path(results) / experiment / backbone / augmenter / f"seed-{seed}")

    def __repr__(self) -> str:
        return f"RunDirectory({str(self.path)!r})"

    def state(self) -> State:
        """done; running (its process lives); failed (it raised); killed (it stopped without a
        word); missing (never started).
        """
        if (self.path / "DONE").exists():
            return "done"
        owner = Owner.read(self.path / "RUNNING")
        if (
            self.path / "DONE"
        ).exists():  # declared done, and RUNNING removed, between the two looks
            return "done"
        if owner is not None:
            return "running" if owner.alive() else "killed"
        if (self.path / "FAILED").exists():
            return "failed"
        return "killed" if (self.path / "config.json").exists() else "missing"

    def start(self, config: Mapping[str, Any], *, facts: Mapping[str, Any] | None = None) -> State:
        """Claim the directory for this process and write `config.json`; returns the state it was
        in.

        A failed or killed run starts over: its history is emptied, its other files are overwritten
        as the new ones come.

        Args:
            config: the RunConfig as JSON, without a key "facts".
            facts: versions, threads, device, commit, "corpus_digest", "corpus_notes" ...

        Raises:
            UserError: the run is done (with the difference, key by key, if with another
                configuration), or another process works on it.
        """
        state = self.state()
        if state == "done":
            self.require_same(config, facts=facts)
            raise UserError(
                f"{self.path}: this run is done; nothing is overwritten. Use another results folder to run it again"
            )
        try:
            with explained(self.path):
                self.path.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise UserError(
                f"{self.path}: a file stands where the run's folder should be"
            ) from error
        claim(self.path / "RUNNING")
        if self.state() == "done":  # its owner finished between the look and the claim
            (self.path / "RUNNING").unlink(missing_ok=True)
            return self.start(config, facts=facts)
        with contextlib.ExitStack() as undo:
            undo.callback((self.path / "RUNNING").unlink, missing_ok=True)
            discard_temporaries(self.path)
            self.write_json("config.json", {**config, "facts": dict(facts or {})})
            self._write("history.jsonl", b"")
            undo.pop_all()
        (self.path / "FAILED").unlink(missing_ok=True)
        return state

    def differences(
        self,
        config: Mapping[str, Any],
        *,
        facts: Mapping[str, Any] | None = None,
        completed: Callable[[dict[str, Any]], dict[str, Any]] = dict,
    ) -> list[str]:
        """What sets `config` apart from the stored one, a line per key: "train.epochs: 30 stored, 3
        asked for".

        Of the facts only IDENTIFYING_FACTS count, where both sides have them. An unfinished run may
        differ; a done one may not. `completed` fills into a stored configuration what later
        versions of the code added, at its default.
        """
        stored = self.read_json("config.json")
        known = stored.pop("facts", {})
        stored = completed(stored)
        asked = json.loads(dumps("config", dict(config)))
        for key in IDENTIFYING_FACTS:
            if known.get(key) is not None and (facts or {}).get(key) is not None:
                stored[key], asked[key] = known[key], facts[key]
        return [
            f"{key}: {left} stored, {right} asked for"
            for key, left, right in differing(stored, asked)
        ]

    def require_same(
        self, config: Mapping[str, Any], *, facts: Mapping[str, Any] | None = None
    ) -> None:
        """Raises UserError that lists the differences when the stored run has another configuration
        than `config`.
        """
        differences = self.differences(config, facts=facts)
        if differences:
            raise UserError(
                f"{self.path} holds a finished run with another configuration:\n  "
                + "\n  ".join(differences)
                + "\nGive the experiment another name, or use another results folder; nothing is overwritten."
            )

    def write_json(self, name: str, value: Any) -> None:
        """Write `value` to the file `name`, atomically. NumPy numbers and arrays are written as
        plain ones.

        Raises ValueError naming the key of a number that is not finite, UserError naming the file
        when the disk is full.
        """
        self._write(name, (dumps(name, value) + "\n").encode())
        self._beat()

    def append_history(self, record: Mapping[str, Any]) -> None:
        """Append one line to `history.jsonl`. A line that did not fit on the disk is taken back."""
        line = (one_line("history.jsonl", dict(record)) + "\n").encode()
        path = self.path / "history.jsonl"
        with explained(path), open(path, "ab", buffering=0) as file:
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
        """A temporary path for another library to write `name` to; moved into place when the block
        ends without an error.
        """
        with written_atomically(self.path / name) as temporary:
            yield temporary
        self._beat()

    def fail(self, error: BaseException) -> None:
        """Record that the run raised `error`, and let go of the directory. Where nothing can be
        written, only the latter.
        """
        first_line = (str(error).splitlines() or [""])[0]
        record = {
            "error": f"{type(error).__name__}: {first_line}",
            "traceback": "".join(traceback.format_exception(error)),
        }
        with contextlib.suppress(UserError, OSError):
            self.path.mkdir(parents=True, exist_ok=True)
            self.write_json("FAILED", record)
        self.release()

    def release(self) -> None:
        """Let go of the directory, if this process holds it: the run counts as killed at once, on
        every host.
        """
        if self.is_ours():
            (self.path / "RUNNING").unlink(missing_ok=True)

    def is_ours(self) -> bool:
        """Whether this process works on the run."""
        owner = Owner.read(self.path / "RUNNING")
        return owner is not None and owner.is_this_process()

    def is_others(self) -> bool:
        """Whether another process has finished the run or claims it: it took over while this one
        gave no sign of life.
        """
        owner = Owner.read(self.path / "RUNNING")
        return not owner.is_this_process() if owner else (self.path / "DONE").exists()

    def beating(self) -> contextlib.AbstractContextManager[None]:
        """Within it other hosts are shown that this process lives, however long it writes
        nothing.
        """
        return beating(self.path / "RUNNING")

    def finish(self) -> None:
        """Declare the run done: the marker, with digests of the JSON files. Raises UserError
        without `metrics.json`.
        """
        if not (self.path / "metrics.json").exists():
            raise UserError(f"{self.path}: no metrics.json, so the run cannot be done")
        digests = {
            path.name: sha256(path) for path in sorted(self.path.iterdir()) if _is_result(path)
        }
        self.write_json("DONE", {"time": now(), "sha256": digests})
        self.release()

    def failure(self) -> dict[str, str]:
        """The "error" line and the "traceback" of a failed run."""
        try:
            return {"error": "", "traceback": ""} | self.read_json("FAILED")
        except (UserError, TypeError):
            return {"error": f"{self.path / 'FAILED'} is torn", "traceback": ""}

    def read(self) -> StoredRun:
        """The finished run. Raises UserError when it is not done, or when a file changed after it
        was.
        """
        if not (self.path / "DONE").exists():
            raise UserError(f"{self.path}: not a finished run (it is {self.state()})")
        self.verify("config.json", "metrics.json")
        config, metrics = self.read_json("config.json"), self.read_json("metrics.json")
        for name, content in (("config.json", config), ("metrics.json", metrics)):
            if not isinstance(content, dict):
                raise UserError(
                    f"{self.path / name}: expected an object, found {type(content).__name__}"
                )
        facts = config.pop("facts", {})
        return StoredRun(self.path, config, facts, metrics)

    def damage(self) -> str | None:
        """The first thing that is wrong with a done run: a file that differs from its digest, or
        the folder of another run.

        None if nothing is.
        """
        try:
            run = self.read()
            self.verify()
            own = (run.backbone, run.augmenter, f"seed-{run.seed}")
        except UserError as error:
            return str(error)
        except (KeyError, TypeError):
            return f"{self.path / 'config.json'}: not the configuration of a run"
        if own != self.path.absolute().parts[-3:]:
            return f"{self.path}: holds the run {'/'.join(own)}, which belongs into another folder"
        return None

    def verify(self, *names: str) -> None:
        """Compare files (default: all) with the digests in DONE. Raises UserError naming the first
        that is gone or changed.
        """
        for change in self.changes(*names):
            raise UserError(change)

    def changes(self, *names: str) -> Iterator[str]:
        """In words, each of the files (default: all) that is gone or differs from its digest in
        DONE.
        """
        try:
            marker = self.read_json("DONE")
        except UserError as error:
            yield str(error)
            return
        digests = marker.get("sha256") if isinstance(marker, dict) else None
        if not isinstance(digests, dict):
            yield f"{self.path / 'DONE'}: holds no digests"
            return
        for name in names or digests:
            if name != os.path.basename(name):
                yield f"{self.path / 'DONE'}: '{name}' is no file of this folder"
            elif name not in digests:
                yield f"{self.path / 'DONE'}: holds no digest of {name}"
            elif not (self.path / name).is_file():
                yield f"{self.path / name}: missing, although the run is done"
            elif sha256(self.path / name) != digests[name]:
                yield f"{self.path / name}: changed after the run was done (its SHA-256 is not the one in DONE)"

    def read_json(self, name: str) -> Any:
        """The content of a JSON file of the run. Raises UserError naming the file when it is
        missing or torn.
        """
        path = self.path / name
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(f"{path}: no such file") from None
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}: not valid JSON: {error}") from error

    def read_history(self) -> list[dict[str, Any]]:
        """The epochs so far. A last line without its end (the process was killed while writing it)
        is left out.
        """
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
    """The finished runs in `folder` (a results folder, an experiment's, or one run's), sorted by
    path.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder of results")
    return [
        RunDirectory(marker.parent)
        for marker in sorted(folder.rglob("DONE"))
        if (marker.parent / "config.json").is_file()
    ]


def differing(left: Mapping[str, Any], right: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The keys in which two nested mappings of JSON values differ: ("train.epochs", "30", "3"),
    with "nothing" for no such key.

    A data file or an encoder that was only moved (the last part of its path is the same) is no
    difference: its content has a digest.
    """
    left, right = (
        {key: json.dumps(value) for key, value in flat(values).items()} for values in (left, right)
    )
    keys = sorted(left.keys() | right.keys())
    pairs = [(key, left.get(key, "nothing"), right.get(key, "nothing")) for key in keys]
    moved = lambda key, *paths: (
        key.startswith(("dataset.options.", "encoder.name")) and _moved(*paths)
    )
    return [
        (key, one, other)
        for key, one, other in pairs
        if one != other and not moved(key, one, other)
    ]


def _moved(one: str, other: str) -> bool:
    """Whether two JSON texts are paths with the same last part."""
    names = [text.strip('"').replace("\\\\", "/").rpartition("/") for text in (one, other)]
    return (
        names[0][2] == names[1][2] != ""
        and any(separator for _, separator, _ in names)
        and one[0] == other[0] == '"'
    )


def _is_result(path: Path) -> bool:
    return path.is_file() and path.suffix in (".json", ".jsonl") and not path.name.startswith(".")


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """{"train": {"epochs": 3}} -> {"train.epochs": 3}; lists are values."""
    if not isinstance(value, Mapping) or not value:
        return {prefix: value}
    return {
        k: v
        for key, inner in value.items()
        for k, v in flat(inner, f"{prefix}.{key}" if prefix else str(key)).items()
    }
