"""Files that are whole or not there: atomic writes, strict JSON, and words for what a disk
refuses.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from benchmark.errors import UserError


@contextlib.contextmanager
def written_atomically(path: Path) -> Iterator[Path]:
    """A temporary path in the same directory that replaces `path` when the block ends, and is
    removed when it raises.

    Raises UserError naming `path` when the disk is full or the directory cannot be written; the old
    content then stays.
    """
    temporary = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.tmp")
    with explained(path):
        try:
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:  # gone already, unless something went wrong
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


_OF_THE_DISK = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "no permission to write here",
    errno.EPERM: "no permission to write here",
    errno.EFBIG: "the file grows beyond the allowed size",
    errno.EISDIR: "a folder stands there",
    errno.ENOTDIR: "a file stands where a folder should be",
}


def system_error(error: BaseException) -> int | None:
    """The system's number of an error; safetensors wraps it in one of its own and leaves only the
    text.
    """
    if isinstance(error, OSError):
        return error.errno
    found = re.search(r"os error (\d+)", str(error))
    return int(found[1]) if found else None


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what the disk refuses into a UserError that names `path`."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        if (reason := _OF_THE_DISK.get(system_error(error))) is not None:
            raise UserError(
                f"{path}: cannot be written: {reason}. What was written before is intact"
            ) from error
        raise


def says_torn(error: Exception) -> bool:
    """Whether json or pyarrow say by this that a file breaks off: a ValueError, or an OSError that
    is none of the system's.
    """
    return isinstance(error, ValueError) or (isinstance(error, OSError) and error.errno is None)


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def dumps(name: str, value: Any) -> str:
    """Strict JSON, one line per top-level item: compact, and legible in a diff."""
    if isinstance(value, Mapping) and value:
        items = (
            f"{json.dumps(str(key))}: {one_line(f'{name}: {key}', item)}"
            for key, item in value.items()
        )
        return "{\n" + ",\n".join(items) + "\n}"
    if isinstance(value, (list, tuple)) and value:
        return (
            "[\n"
            + ",\n".join(one_line(f"{name}: [{i}]", item) for i, item in enumerate(value))
            + "\n]"
        )
    return one_line(name, value)


def one_line(where: str, value: Any) -> str:
    try:
        return json.dumps(value, allow_nan=False, default=_plain)
    except ValueError:
        key, number = next(_not_finite(where, value))
        raise ValueError(
            f"{key} is {number}, which is no number that JSON can hold; write null for an undefined value"
        ) from None


def _plain(value: Any) -> Any:
    """NumPy and torch scalars and arrays as Python's own; anything else is a programming error."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"cannot write a {type(value).__name__} as JSON")


def _not_finite(where: str, value: Any) -> Iterator[tuple[str, float]]:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        yield where, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _not_finite(f"{where}.{key}", item)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _not_finite(f"{where}[{index}]", item)
