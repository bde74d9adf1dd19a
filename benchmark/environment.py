"""What a run's numbers may depend on besides its configuration: recorded as the "facts" of its `config.json`."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

LIBRARIES = ("torch", "transformers", "tokenizers", "accelerate", "datasets", "numpy")


def facts(corpus: Any) -> dict[str, Any]:
    """Versions, machine, the code's commit, and what identifies the `Corpus` and must be known about it."""
    return {
        "corpus": corpus.name,
        "corpus_digest": corpus.digest,
        "corpus_notes": list(corpus.notes),
        "commit": commit(),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        **{name: importlib.metadata.version(name) for name in LIBRARIES},
    }


def commit() -> str | None:
    """The commit of the code that runs, "+" appended when files differ from it; None outside a git checkout."""
    folder = Path(__file__).resolve().parent
    try:
        return _git(folder, "rev-parse", "HEAD") + ("+" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout.strip()
