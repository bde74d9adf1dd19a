"""Files that are needed only for a while: their names, and how they are removed."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

CHECKPOINT = "checkpoint.safetensors"  # a run continues from it
BRANCH, BRANCH_BEST = "branch.safetensors", "branch_best.safetensors"  # augmented runs start here
AUGMENTER = "augmenter.safetensors"  # what stage 2 fitted
PAIRS = "positive_pairs_{split}.safetensors"  # augmenters are fitted to them
ENCODINGS = "encoded_*.safetensors"  # by the encoder of stage 1, for runs that train a head alone
WEIGHTS = ("best.safetensors", AUGMENTER)


def discard(folder: Path, *names: str) -> None:
    """Remove these files; a file system that became read-only keeps them."""
    for name in names:
        with contextlib.suppress(OSError):
            (folder / name).unlink(missing_ok=True)


def discard_temporaries(folder: Path, *, idle: float = 0.0) -> None:
    """Remove what killed processes were writing, under our names or those of safetensors.

    idle: only files untouched for so many seconds; 0 if no other process writes to the folder.
    """
    for leftover in (*folder.glob(".*.[0-9]*.tmp"), *folder.glob(".tmp??????")):
        with contextlib.suppress(OSError):
            if time.time() - leftover.stat().st_mtime >= idle:
                leftover.unlink()
