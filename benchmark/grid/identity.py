"""What a run's numbers may depend on besides its configuration: recorded as the "facts" of its
`config.json`.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import platform
import subprocess
from pathlib import Path
from typing import Any

from benchmark.store.files import sha256

NUMERICS_VERSION = 4
"""Raised by hand with a change that moves results: stored runs of another version are refused, not
mixed with new ones.
"""

ENCODER_FILES = (
    "config.json",
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "model.safetensors",
)
INDEX = "model.safetensors.index.json"
LIBRARIES = ("torch", "transformers", "tokenizers", "accelerate", "datasets", "numpy")


def facts(corpus: Any, encoder: str) -> dict[str, Any]:
    """Versions, machine, the code's commit, and what identifies the `Corpus` and the encoder."""
    return {
        "numerics_version": NUMERICS_VERSION,
        "encoder_digest": encoder_digest(encoder),
        "corpus": corpus.name,
        "corpus_digest": corpus.digest,
        "corpus_notes": list(corpus.notes),
        "commit": commit(),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        **{name: importlib.metadata.version(name) for name in LIBRARIES},
    }


@functools.cache
def encoder_digest(name: str) -> str | None:
    """The same for the same weights, configuration and vocabulary, from a folder or the hub; None
    for a preset made on the spot and for what is not there.
    """
    shards = (
        sorted(set(json.loads(index.read_text())["weight_map"].values()))
        if (index := _encoder_file(name, INDEX))
        else []
    )
    files = {
        file: path
        for file in (*ENCODER_FILES, *shards)
        if (path := _encoder_file(name, file)) is not None
    }
    if not files:
        return None
    return hashlib.sha256(
        "".join(f"{file} {sha256(path)}\n" for file, path in files.items()).encode()
    ).hexdigest()[:16]


def teacher_digest(folder: str | None) -> str | None:
    """Identifies the finished run that a student learns from; None without one."""
    marker = Path(folder).expanduser() / "DONE" if folder else None
    return sha256(marker)[:16] if marker is not None and marker.is_file() else None


def _encoder_file(name: str, file: str) -> Path | None:
    """A file of the encoder: in its folder, or in the hub's cache (the hub is not asked)."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    if (folder := Path(name).expanduser()).is_dir():
        return folder / file if (folder / file).is_file() else None
    try:
        cached = try_to_load_from_cache(name, file)
    except HFValidationError:  # no hub id
        return None
    return Path(cached) if isinstance(cached, str) else None


def commit() -> str | None:
    """The commit of the code that runs, "+" appended when files differ from it; None outside a git
    checkout.
    """
    folder = Path(__file__).resolve().parent
    try:
        head = _git(folder, "rev-parse", "HEAD")
        changed = _git(
            folder, "status", "--porcelain", "--untracked-files=no", "--", ":/", ":!/results"
        )  # results are no code
        return head + ("+" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=10
    ).stdout.strip()
