"""What identifies a run besides its configuration, its documents and its encoder: the version of
its numbers, and the files that it reads.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.config import RunConfig
from benchmark.numerics import numerics_version
from benchmark.store.files import sha256


def own_facts(run: RunConfig) -> dict[str, Any]:
    """The identifying facts that the runs of a grid do not share."""
    return {
        "numerics_version": numerics_version(run),
        "teacher_digest": teacher_digest(run.teachers),
        "files_digest": files_digest(run),
    }


def teacher_digest(folders: Sequence[str]) -> str | None:
    """Identifies the finished runs that a student learns from; None without any."""
    markers = [Path(os.path.expanduser(folder)) / "DONE" for folder in folders]
    return " ".join(sha256(marker)[:16] for marker in markers if marker.is_file()) or None


def files_digest(run: RunConfig) -> str | None:
    """Identifies the content of the files that options called `path` name; None without any."""
    holders = (run.backbone.options, run.augmenter.options, run.encoder.options)
    named = [options["path"] for options in holders if isinstance(options.get("path"), str)]
    paths = [Path(os.path.expanduser(path)) for path in named]
    digests = [sha256(path) for path in paths if path.is_file()]
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()[:16] if digests else None
