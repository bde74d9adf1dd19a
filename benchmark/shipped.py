"""Files that come with the code: the experiment files and the published tables."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).resolve().parent


def shipped(path: str | Path) -> Path:
    """Where `configs/demo.yaml` and the like are: in the checkout, or in the installed package."""
    installed = _HERE / "shipped" / path
    return installed if installed.exists() else _HERE.parent / path
