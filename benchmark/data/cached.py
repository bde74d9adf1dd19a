"""Parsed documents on disk, in the cache of `datasets`."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.errors import UserError
from benchmark.store.files import says_torn

if TYPE_CHECKING:  # `datasets` takes a second to import
    from datasets import Dataset


def cached(
    rows: Callable[[], Iterator[dict[str, Any]]], *, key: str, progress: bool = False
) -> Dataset:
    """The Dataset of `rows()`, which is called only when the disk cache of `datasets` holds
    nothing, or a torn file, under `key`.

    Raises:
        UserError: `rows` raised it, or the cache cannot be written.
    """
    import datasets
    from datasets.exceptions import DatasetGenerationError

    from benchmark.data.documents import FEATURES

    cache = datasets.config.HF_DATASETS_CACHE
    fingerprint = hashlib.sha256(f"{key} {FEATURES!r}".encode()).hexdigest()[:32]
    make = lambda: datasets.Dataset.from_generator(rows, features=FEATURES, fingerprint=fingerprint)
    try:
        with contextlib.nullcontext() if progress else without_bars():
            try:
                return make()
            except (ValueError, OSError) as error:
                if not says_torn(error):
                    raise
                for folder in Path(cache).glob(f"generator/*{fingerprint}*"):
                    shutil.rmtree(folder)
                return make()
    except (DatasetGenerationError, OSError) as error:
        cause = error.__cause__ or error
        if isinstance(cause, UserError):
            raise cause from None
        if not isinstance(cause, OSError):
            raise
        raise UserError(
            f"{cache}: parsed documents cannot be cached there: {cause}. Set HF_DATASETS_CACHE "
            "to another folder"
        ) from error


@contextlib.contextmanager
def without_bars() -> Iterator[None]:
    """No progress bars of `datasets` in this block."""
    import datasets

    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()
