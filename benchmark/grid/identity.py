"""What a run's numbers may depend on besides its configuration: recorded as the "facts" of its
`config.json`.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

from benchmark.config import EncoderConfig
from benchmark.hub import encoder_snapshot, weight_files
from benchmark.store.files import sha256

ENCODER_TEXTS = ("config.json", "tokenizer.json", "vocab.txt", "vocab.json", "merges.txt")
LIBRARIES = ("torch", "transformers", "tokenizers", "accelerate", "datasets", "numpy")


def facts(corpus: Any, encoder: EncoderConfig) -> dict[str, Any]:
    """Versions, machine, the code's commit, and what identifies the `Corpus` and the encoder.

    Raises UserError when the encoder is not here and cannot be downloaded.
    """
    snapshot = encoder_snapshot(encoder.name, encoder.revision)
    return {
        "encoder_digest": snapshot and _digest(snapshot.folder),
        "encoder_revision": snapshot and snapshot.revision,
        "corpus": corpus.name,
        "corpus_digest": corpus.digest,
        "corpus_notes": list(corpus.notes),
        "commit": commit(),
        "python": platform.python_version(),
        "machine": ", ".join(filter(None, (f"{platform.system()} {platform.machine()}", _cpu()))),
        **{name: importlib.metadata.version(name) for name in LIBRARIES},
    }


def _cpu(cpuinfo: str | Path = "/proc/cpuinfo") -> str:
    """The processor, where the system tells. Processors sum in different orders, so the last digits
    differ.
    """
    try:
        first = Path(cpuinfo).read_text(encoding="utf-8", errors="replace").split("\n\n")[0]
    except OSError:
        return platform.processor()
    known = dict(line.split(":", 1) for line in first.splitlines() if ":" in line)
    known = {key.strip(): value.strip() for key, value in known.items()}
    parts = [f"{key} {known[key]}" for key in ("cpu family", "model", "stepping") if key in known]
    return " ".join(filter(None, (known.get("model name"), ", ".join(parts))))


@functools.cache
def _digest(folder: Path) -> str:
    """A digest of weights, configuration and vocabulary, the same for folder and hub."""
    files = [folder / name for name in ENCODER_TEXTS]
    files += sorted(folder.glob("*.model")) + weight_files(folder)
    lines = (f"{file.name} {sha256(file)}\n" for file in files if file.is_file())
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]


def commit() -> str | None:
    """The commit of the code that runs, with a "+" if files differ from it; None without git, or if
    the package is only installed inside some other repository.
    """
    code = ("--untracked-files=no", "--", ":/", ":!/results")
    try:
        _git("ls-files", "--error-unmatch", Path(__file__).name)
        changed = _git("status", "--porcelain", *code)
        return _git("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(Path(__file__).resolve().parent), *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=10)
    return done.stdout.strip()
