"""Datasets on the Hugging Face hub: their files on this machine, or a readable error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmark.errors import DataError
from benchmark.hub import downloaded


def dataset_folder(hub: str, patterns: Sequence[str], instead: str) -> Path:
    """`hub` itself if it is a folder, else the snapshot of that hub dataset.

    Downloads the files that match `patterns` the first time; takes them from the local cache when
    the hub cannot be reached.

    Args:
        instead: what the user can do without the hub.

    Raises:
        DataError: the hub cannot be reached and the cache holds no copy, or there is no such
            dataset.
    """
    folder = Path(str(hub)).expanduser()
    if folder.is_dir():
        return folder
    told = f"{hub}: cannot be had from the Hugging Face hub"
    files = {"repo_type": "dataset", "allow_patterns": list(patterns)}
    return downloaded(str(hub), told, instead, kind=DataError, **files)
