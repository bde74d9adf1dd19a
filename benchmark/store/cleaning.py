"""What a run keeps for its own restart and for runs that start from it, and what is removed when
these are done.

Without torch: a command that finds everything done removes it as well, since whoever finished a run
may have been killed before that.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

CHECKPOINT = "checkpoint.safetensors"
BRANCH, BRANCH_BEST = "branch.safetensors", "branch_best.safetensors"
PAIRS = "positive_pairs_{split}.safetensors"
WEIGHTS = ("best.safetensors", "augmenter.safetensors")


def discard_state(folder: Path) -> None:
    """Of a run that is done: what it would have been continued from, and the claim of a process
    killed after declaring it done.
    """
    _remove(folder, CHECKPOINT, "RUNNING")


def discard_basis(folder: Path, *, keep_weights: bool) -> None:
    """Of a run that is done, as are all that start from it: what these needed, and the weights
    unless they are wanted; temporary files of processes that were killed while they wrote.
    """
    names = (BRANCH, BRANCH_BEST, *(PAIRS.format(split=split) for split in ("train", "dev")))
    _remove(folder, *names, *(() if keep_weights else WEIGHTS))
    discard_temporaries(folder)


def _remove(folder: Path, *names: str) -> None:
    for name in names:
        with contextlib.suppress(OSError):  # a file system that became read-only keeps them
            (folder / name).unlink(missing_ok=True)


def discard_old_temporaries(experiment: Path) -> None:
    """In an experiment's folder and its cache, which all processes write to: what nobody has
    touched for a day.
    """
    for folder in (experiment, experiment / "cache"):
        discard_temporaries(folder, idle=24 * 3600)


def discard_temporaries(folder: Path, *, idle: float = 0.0) -> None:
    """What killed processes were writing, under our names or those of safetensors.

    idle: seconds since anybody touched it; 0 only for a folder that no other process writes to.
    """
    for leftover in (*folder.glob(".*.[0-9]*.tmp"), *folder.glob(".tmp??????")):
        with contextlib.suppress(OSError):
            if time.time() - leftover.stat().st_mtime >= idle:
                leftover.unlink()
