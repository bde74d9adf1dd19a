"""The result store: one folder per run. `config.json` is written first, `DONE` last.

    <results>/<experiment>/<backbone>/<augmenter>/seed-<k>/
        config.json     what decides the run's numbers; under "facts" the environment it ran in
        RUNNING         host, pid and time of the process that works on it
        FAILED          the error and its traceback, if it raised one
        history.jsonl   one object per epoch
        metrics.json, quality.json, predictions_*.json, counts_*.json, *.safetensors
        packed.tar.xz   some of the JSON files above, in a published copy (store/packed.py)
        DONE            SHA-256 of the JSON files above; "left_out": large ones that a published
                        copy of the run lacks

Plain files survive network file systems, SIGKILL, rsync and git. Every write is atomic: a
temporary file in the same folder, fsync, `os.replace`. Only files that the store made itself are
ever deleted.
"""

from __future__ import annotations

import contextlib
import hashlib
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from benchmark.errors import UserError
from benchmark.store import claims, files
from benchmark.store.claims import Owner
from benchmark.store.cleaning import LOGITS, PAIRS, TEMPORARIES, discard
from benchmark.store.differences import difference_lines
from benchmark.store.packed import pack, packed_files

State = Literal["done", "running", "failed", "killed", "missing"]

# facts of the environment that decide a run's numbers
IDENTIFYING_FACTS = ("corpus_digest", "encoder_digest", "numerics_version")
IDENTIFYING_FACTS += ("teacher_digest", "files_digest")


@dataclass(frozen=True)
class StoredRun:
    """A finished run. `config` is its RunConfig as JSON, `facts` the environment it ran in."""

    path: Path
    config: dict[str, Any]
    facts: dict[str, Any]
    metrics: dict[str, Any]

    @property
    def experiment(self) -> str:
        """The name of the experiment's folder; runs of one experiment share a table."""
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


@dataclass(frozen=True)
class RunDirectory:
    """One run's folder: `start`, then any number of writes, then `finish` or `fail`.

    Nothing is created before `start`.
    """

    path: Path

    @classmethod
    def of(
        cls, results: str | Path, experiment: str, backbone: str, augmenter: str, seed: int
    ) -> RunDirectory:
        return cls(Path(results) / experiment / backbone / augmenter / f"seed-{seed}")

    @property
    def experiment(self) -> Path:
        """The folder of its experiment."""
        return self.path.parents[2]

    @property
    def cache(self) -> Path:
        """The folder that its experiment's runs share."""
        return self.experiment / "cache"

    @property
    def cell(self) -> tuple[str, str]:
        """(backbone, augmenter)."""
        return self.path.parts[-3:-1]

    @property
    def seed(self) -> int:
        return int(self.path.name.removeprefix("seed-"))

    def other_seeds(self) -> list[RunDirectory]:
        """Other runs of its backbone and augmenter, sorted by path."""
        found = map(RunDirectory, sorted(self.path.parent.glob("seed-*")))
        return [directory for directory in found if directory != self]

    def all_augmenters(self) -> list[RunDirectory]:
        """All runs of the same backbone and seed that have a folder, itself included."""
        return [RunDirectory(path) for path in self.path.parents[1].glob(f"*/{self.path.name}")]

    def state(self) -> State:
        """done; running (its process lives); failed (it raised an error); killed (its process ended
        without saying why); missing (never started).
        """
        owner = self._owner()  # asked first: RUNNING goes when DONE is there
        if (self.path / "DONE").exists():
            return "done"
        if owner is not None:
            return "running" if owner.alive() else "killed"
        if (self.path / "FAILED").exists():
            return "failed"
        return "killed" if (self.path / "config.json").exists() else "missing"

    def _owner(self) -> Owner | None:
        return Owner.read(self.path / "RUNNING")

    def is_sound(self) -> bool:
        """Whether the run is done and undamaged."""
        return not self.damage()

    def is_others(self) -> bool:
        """Whether another process has finished the run or has taken it over."""
        owner = self._owner()
        return not owner.is_this_process() if owner else (self.path / "DONE").exists()

    def failure(self) -> dict[str, str]:
        """The "error" line and the "traceback" of a failed run."""
        try:
            return {"error": "", "traceback": ""} | self.read_json("FAILED")
        except (UserError, TypeError):
            return {"error": f"{self.path / 'FAILED'} is torn", "traceback": ""}

    def start(self, config: Mapping[str, Any], *, facts: Mapping[str, Any] | None = None) -> State:
        """Claim the folder for this process and write `config.json`; returns the earlier state.

        The history of a failed or killed run is emptied; its other files are overwritten when the
        new ones come. Raises UserError if the run is done, or another process works on it.

        Args:
            config: the RunConfig as JSON, without a key "facts".
            facts: versions, threads, device, commit, "corpus_digest", "corpus_notes" ...
        """
        state = self.state()
        self._require_not_done()
        files.make_folder(self.path)
        claims.claim(self.path / "RUNNING")
        with contextlib.ExitStack() as undo:
            undo.callback(self.discard, "RUNNING")
            self._require_not_done()  # its owner may have finished just before the claim
            # these belong to its earlier weights, if it was done before
            self.discard(PAIRS.format(split="*"), LOGITS, *TEMPORARIES)
            self.write_json("config.json", {**config, "facts": dict(facts or {})})
            self.write_history([])
            undo.pop_all()
        self.discard("FAILED")
        return state

    def _require_not_done(self) -> None:
        if self.state() == "done":
            raise UserError(
                f"{self.path}: this run is done and is not overwritten. "
                "Use another results folder to run it again"
            )

    def write_json(self, name: str, value: Any) -> None:
        """See `files.write_json`."""
        files.write_json(self.path / name, value)

    def write_history(self, epochs: Iterable[Mapping[str, Any]]) -> None:
        """Write the epochs so far to `history.jsonl`."""
        lines = [files.json_line("history.jsonl", epoch) + "\n" for epoch in epochs]
        files.write_text(self.path / "history.jsonl", "".join(lines))

    def beating(self) -> contextlib.AbstractContextManager[None]:
        """Show other hosts that this process lives, however long it writes nothing."""
        return claims.beating(self.path / "RUNNING")

    def finish(self) -> None:
        """Declare the run done. Raises UserError without `metrics.json`."""
        if not (self.path / "metrics.json").exists():
            raise UserError(f"{self.path}: no metrics.json, so the run cannot be done")
        results = (path for path in sorted(self.path.glob("[!.]*")) if path.is_file())
        digests = {p.name: files.sha256(p) for p in results if p.suffix in (".json", ".jsonl")}
        self.write_json("DONE", {"time": claims.now(), "sha256": digests})
        self.release()

    def fail(self, error: BaseException) -> None:
        """Record that the run raised `error` (if the disk allows it), and release the folder."""
        line = (str(error).splitlines() or [""])[0]
        told = "".join(traceback.format_exception(error))
        record = {"error": f"{type(error).__name__}: {line}", "traceback": told}
        with contextlib.suppress(UserError, OSError):
            self.write_json("FAILED", record)
        self.release()

    def release(self) -> None:
        """Give up this process's claim, if it has one: other hosts see at once that it is gone."""
        if (owner := self._owner()) and owner.is_this_process():
            self.discard("RUNNING")

    def discard(self, *patterns: str) -> None:
        """Remove its files with such names (see benchmark/store/cleaning.py)."""
        discard(self.path, *patterns)

    def read(self) -> StoredRun:
        """The finished run. Raises UserError if it is not done, or changed since it was."""
        if (state := self.state()) != "done":
            raise UserError(f"{self.path}: not a finished run (it is {state})")
        self.verify("config.json", "metrics.json")
        return StoredRun(self.path, self.config(), self.facts(), self.read_json("metrics.json"))

    def copy_results(self, folder: Path, *left_out: str, packed: tuple[str, ...] = ()) -> None:
        """Copy the result files of a finished run, but for names of the patterns `left_out`; DONE
        lists what is left behind. Names of the patterns `packed` go into one archive.
        """
        marker = self.read_json("DONE")
        names = list(marker["sha256"])
        left = {*_like(names, left_out), *marker.get("left_out", ())}
        contents = {name: self.read_bytes(name) for name in names if name not in left}
        together = {name: contents.pop(name) for name in _like(contents, packed)}
        files.make_folder(folder)
        for name, content in contents.items():
            (folder / name).write_bytes(content)
        if together:
            pack(folder, together)
        files.write_json(folder / "DONE", {**marker, "left_out": sorted(left)})

    def config(self) -> dict[str, Any]:
        """The stored configuration, of a run in any state; its "facts" are left out."""
        stored = self.read_json("config.json")
        return {key: stored[key] for key in stored if key != "facts"}

    def facts(self) -> dict[str, Any]:
        """The environment that the run was made in."""
        return self.read_json("config.json").get("facts", {})

    def size(self) -> int:
        """Bytes of its files."""
        return sum(file.stat().st_size for file in self.path.rglob("*") if file.is_file())

    def has(self, name: str) -> bool:
        """Whether the run has this file, packed or not."""
        return (self.path / name).is_file() or name in packed_files(self.path)

    def read_bytes(self, name: str) -> bytes:
        """A file's content, packed or not. Raises UserError naming the file if there is none."""
        path = self.path / name
        packed = {} if path.is_file() else packed_files(self.path)
        return packed[name] if name in packed else files.read_bytes(path)

    def read_json(self, name: str) -> Any:
        """See `files.read_json`."""
        return files.parsed(self.read_bytes(name), self.path / name)

    def read_history(self) -> list[dict[str, Any]]:
        """The epochs so far."""
        name = "history.jsonl"
        lines = self.read_bytes(name).splitlines() if self.has(name) else []
        return [files.parsed(line, self.path / name) for line in lines]

    def differences(self, config: Mapping[str, Any], facts: Mapping[str, Any]) -> list[str]:
        """What sets `config` apart from the stored one: "train.epochs: 30 stored, 3 asked for".

        Of the facts only IDENTIFYING_FACTS count, where both sides have them. Options that later
        versions of the code brought have their defaults.
        """
        from benchmark.config import completed  # pydantic, which reading a run does not need

        known, stored, asked = self.facts(), completed(self.config()), dict(config)
        for key in IDENTIFYING_FACTS:
            if known.get(key) is not None and facts.get(key) is not None:
                stored[key], asked[key] = known[key], facts[key]
        lines = difference_lines(stored, asked)
        revision = known.get("encoder_revision")
        if revision and stored.get("encoder_digest") != asked.get("encoder_digest"):
            lines.append(f"the hub's model changed: encoder.revision={revision} is the stored one")
        return lines

    def damage(self) -> str | None:
        """The first fault of a finished run, in words: a file that differs from its digest, or the
        folder of another run. None if there is none.
        """
        try:
            run = self.read()
            self.verify()
            own = (run.backbone, run.augmenter, f"seed-{run.seed}")
        except UserError as error:
            return str(error)
        except (LookupError, TypeError, AttributeError):
            return f"{self.path / 'config.json'}: not the configuration of a run"
        if own != self.path.absolute().parts[-3:]:
            return f"{self.path}: holds the run {'/'.join(own)}, which belongs in another folder"
        return None

    def verify(self, *names: str) -> None:
        """Raise UserError for the first file (default: of all) that is gone or was changed."""
        for change in self.changes(*names):
            raise UserError(change)

    def changes(self, *names: str) -> Iterator[str]:
        """In words, each file (default: of all) that is gone or differs from its digest in DONE."""
        done = self.path / "DONE"
        try:
            marker = self.read_json("DONE")
            digests, left_out = dict(marker["sha256"]), marker.get("left_out", ())
            packed_files(self.path)  # a torn archive is told once
        except UserError as error:
            yield str(error)
            return
        except (LookupError, TypeError, ValueError):
            yield f"{done}: holds no digests"
            return
        for name in names or digests:
            path = self.path / name
            if name != path.name:
                yield f"{done}: '{name}' is no file of this folder"
            elif name not in digests:
                yield f"{done}: holds no digest of {name}"
            elif (digest := self._digest(name)) is None:
                if name not in left_out:
                    yield f"{path}: missing, although the run is done"
            elif digest != digests[name]:
                yield f"{path}: changed after the run was done (its SHA-256 is not the one in DONE)"

    def _digest(self, name: str) -> str | None:
        """The SHA-256 of a file, packed or not; None if there is none."""
        if (path := self.path / name).is_file():
            return files.sha256(path)  # in pieces: weights are large
        packed = packed_files(self.path).get(name)
        return None if packed is None else hashlib.sha256(packed).hexdigest()


def _like(names: Iterable[str], patterns: Iterable[str]) -> list[str]:
    """The names that one of the patterns fits."""
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]


def seconds_of(metrics: Mapping[str, Any]) -> float | None:
    """The seconds that a run took; None if unknown.

    Older runs that were killed and resumed counted only their last attempt. Without an augmenter, a
    run took at least its training time; with one, that time includes epochs taken over from `none`.
    """
    known = metrics.get("seconds")
    if known is None or "stage2_seconds" in metrics:
        return known
    return max(known, metrics.get("train_seconds") or 0.0)


def find_runs(folder: str | Path) -> list[RunDirectory]:
    """The finished runs in a results folder, an experiment's folder or a run's, sorted by path.

    Raises UserError if there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder of results")
    found = (marker.parent for marker in sorted(folder.rglob("DONE")))
    return [RunDirectory(path) for path in found if (path / "config.json").is_file()]


def started_runs(experiment: Path) -> list[RunDirectory]:
    """The runs in an experiment's folder that were ever started, sorted by path."""
    found = (path.parent for path in sorted(experiment.glob("*/*/seed-*/config.json")))
    return [RunDirectory(path) for path in found if path.name[len("seed-") :].isdecimal()]
