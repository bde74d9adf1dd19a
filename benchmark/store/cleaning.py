"""Files that are needed only for a while: their names, and how they are removed."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

CHECKPOINT = "checkpoint.safetensors"  # a run continues from it
BRANCH, BRANCH_BEST = "branch.safetensors", "branch_best.safetensors"  # augmented runs start here
AUGMENTER = "augmenter.safetensors"  # what stage 2 fitted
PAIRS = "positive_pairs_{split}.safetensors"  # augmenters are fitted to them
LOGITS = "logits_train.safetensors"  # a finished run teaches others with them
ENCODINGS = "encoded_*.safetensors"  # by the encoder of stage 1, for runs that train a head alone
WEIGHTS = ("best.safetensors", AUGMENTER)
# what killed processes were writing, under our names or those of safetensors
TEMPORARIES = (".*.[0-9]*.tmp", ".tmp??????")
SAVED_STATE = (CHECKPOINT, AUGMENTER)  # an attempt at a run is continued from them
LEFTOVERS = (CHECKPOINT, "RUNNING")  # of a finished run whose process was killed just then
# of a finished run, for others that start from it
BASIS = (BRANCH, BRANCH_BEST, PAIRS.format(split="*"), *TEMPORARIES)


def discard(folder: Path, *patterns: str, idle: float = 0.0) -> None:
    """Remove the files with such names; a file system that became read-only keeps them.

    idle: only files untouched for so many seconds.
    """
    for file in (file for pattern in patterns for file in folder.glob(pattern)):
        with contextlib.suppress(OSError):
            if not idle or time.time() - file.stat().st_mtime >= idle:
                file.unlink()
