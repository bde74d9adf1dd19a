"""What the stress scripts share: a grid of runs that take a second, processes that run it, and the
comparison of results folders.

Processes are forked from one that has imported everything: they begin at once, so that a kill meets
a run and not an import.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

os.environ |= dict(
    HF_HUB_OFFLINE="1", HF_DATASETS_DISABLE_PROGRESS_BARS="1", TOKENIZERS_PARALLELISM="false"
)
sys.path[:0] = [str(Path(__file__).resolve().parents[2])]

import benchmark.training.stages  # noqa: E402, F401
from benchmark.commands.app import app  # noqa: E402
from benchmark.config import read_experiment  # noqa: E402
from benchmark.grid.plan import Job, plan  # noqa: E402
from benchmark.registry import ENCODERS  # noqa: E402
from benchmark.training.checkpoints import read_tensors  # noqa: E402

ENCODERS["tiny"]([["word"]])  # imports what making an encoder needs
gc.freeze()  # what is imported need not be looked through after each run

INTERRUPTED = 130
EXPERIMENT = """
name: stress
dataset: {name: synthetic, train: TRAIN, dev: 6, test: 6}
encoder: {name: tiny, options: {vocabulary: 200, width: 8, layers: 1, heads: 2, positions: 128}}
backbones:
  - atlop: {emb: 8, block: 4}
  - baseline: {emb: 8, block: 4, layers: 1, axial_rate: head, temperature: 1.0}
augmenters:
  - none
  - gaussian
  - vae: {latent: 4, epochs: 4, warmup_epochs: 1, batch_size: 16}
seeds: [0, 1]
train:
  {epochs: EPOCHS, batch_size: 4, eval_batch_size: 4, threads: 1,
   lr_encoder: 1.0e-2, lr_head: 1.0e-2}
augment: {warmup_epochs: 1}
"""


def write_experiment(folder: Path, *, documents: int, epochs: int) -> Path:
    path = folder / "stress.yaml"
    path.write_text(EXPERIMENT.replace("TRAIN", str(documents)).replace("EPOCHS", str(epochs)))
    return path


def jobs(experiment: Path, results: Path, overrides: Iterable[str]) -> list[Job]:
    return plan(read_experiment(experiment, list(overrides)), results)


def forked(work: Callable[[], int | None], log: Path) -> int:
    """The pid of a process that does `work` and ends with the exit code it returns; its output goes
    to `log`.
    """
    if pid := os.fork():
        return pid
    code = 70
    try:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for standard in (1, 2):
            os.dup2(file, standard)
        code = work() or 0
    except KeyboardInterrupt:  # before the command listens to it
        code = INTERRUPTED
    except BaseException:  # a fork must not return into the test that it was made from
        traceback.print_exc()
    finally:
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(code)


def command(arguments: list[str]) -> int:
    """The command line in this process; its exit code."""
    try:
        app(arguments, prog_name="run_benchmark.py")
    except SystemExit as end:
        return end.code or 0
    return 0


def run_arguments(experiment: Path, results: Path, overrides: Iterable[str]) -> list[str]:
    """`run` with a checkpoint after every step."""
    options = [word for override in overrides for word in ("--set", override)]
    return ["run", str(experiment), "--results", str(results), "--checkpoint-every", "0", *options]


def waited(pid: int) -> int:
    """The exit code of a forked process (of one that was killed: the signal, negative)."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def differences(one: Path, other: Path) -> Iterator[str]:
    """In words, what sets two experiments' folders apart: files that only one has, and contents.

    Times are no difference, nor is the commit, which may change meanwhile. A table is made from
    runs that are compared themselves, and tells times: it is only to be there.
    """
    left, right = _files(one), _files(other)
    for folder, only in ((one, left - right), (other, right - left)):
        yield from (f"{path} is only in {folder}" for path in sorted(only))
    for path in sorted(left & right):
        if not path.name.startswith("report.") and _content(one / path) != _content(other / path):
            yield f"{path} differs"


def _files(experiment: Path) -> set[Path]:
    """All but what killed processes were writing where all write, which stays for a day."""
    shared = (experiment, experiment / "cache")
    young = {path for folder in shared for path in folder.glob(".*") if ".tmp" in path.name}
    files = (path for path in experiment.rglob("*") if path.is_file() and path not in young)
    return {path.relative_to(experiment) for path in files}


def _content(path: Path) -> Any:
    if path.name == "DONE":  # the files alone: their digests are those of times as well
        return sorted(json.loads(path.read_text())["sha256"])
    if path.suffix == ".json":
        return _timeless(json.loads(path.read_text()))
    if path.suffix == ".jsonl":
        return [_timeless(json.loads(line)) for line in path.read_text().splitlines()]
    if path.suffix == ".safetensors":
        tensors, facts = read_tensors(path)
        return {name: t.numpy().tobytes() for name, t in tensors.items()}, _timeless(facts)
    return path.read_bytes()


def _timeless(value: Any) -> Any:
    if isinstance(value, list):
        return [_timeless(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = (key for key in value if not key.endswith("seconds") and key != "commit")
    return {key: _timeless(value[key]) for key in kept}
