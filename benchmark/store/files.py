"""Files that are whole or absent: atomic writes, strict JSON, and messages for disk errors."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import re
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from benchmark.errors import UserError

_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG}
_DISK_ERRORS |= {errno.EISDIR, errno.ENOTDIR}


@contextlib.contextmanager
def written_atomically(path: Path) -> Iterator[Path]:
    """A temporary path in the same folder; it replaces `path` when the block ends without an error.

    Raises UserError naming `path` when the disk is full or the folder cannot be written. The old
    content then stays.
    """
    # the host's name is part of it: in containers all processes may have the same number
    temporary = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.tmp")
    with explained(path):
        try:
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:  # after the replacement there is nothing left to remove
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn a disk error into a UserError that names `path`."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        if (number := system_error(error)) not in _DISK_ERRORS:
            raise
        reason = os.strerror(number).lower()
        raise UserError(
            f"{path}: cannot be written: {reason}. What was written before is intact"
        ) from error


def make_folder(path: Path) -> None:
    """Make the folder and its parents. Raises UserError naming it if that is impossible."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path}: this folder cannot be made: {error.strerror}") from error


def system_error(error: BaseException) -> int | None:
    """The operating system's number of an error; safetensors leaves it in its text only."""
    if isinstance(error, OSError):
        return error.errno
    found = re.search(r"os error (\d+)", str(error))
    return int(found[1]) if found else None


def says_torn(error: Exception) -> bool:
    """Whether this error, from json or pyarrow, means that a file is cut off."""
    return isinstance(error, ValueError) or (isinstance(error, OSError) and error.errno is None)


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path) -> Any:
    """The content of a JSON file. Raises UserError naming the file if it is missing or torn."""
    return parsed(read_bytes(path), path)


def read_bytes(path: Path) -> bytes:
    """A file's content. Raises UserError naming it if it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error


def parsed(content: bytes, path: Path) -> Any:
    """The JSON value that a file holds. Raises UserError naming the file for anything else."""
    try:
        return json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid JSON: {error}") from error


def write_json(path: Path, value: Any) -> None:
    """Write strict JSON atomically, one line per top-level item.

    NumPy and torch numbers and arrays are written as plain ones. Raises ValueError naming the key
    of a number that is not finite, UserError naming the file if it cannot be written.
    """
    if isinstance(value, Mapping) and value:
        lines = (
            f"{json.dumps(str(key))}: {json_line(f'{path.name}: {key}', item)}"
            for key, item in value.items()
        )
        text = "{\n" + ",\n".join(lines) + "\n}"
    elif isinstance(value, (list, tuple)) and value:
        lines = (json_line(f"{path.name}: [{index}]", item) for index, item in enumerate(value))
        text = "[\n" + ",\n".join(lines) + "\n]"
    else:
        text = json_line(path.name, value)
    write_text(path, text + "\n")


def write_text(path: Path, text: str) -> None:
    """Replace a file's text in one step. Raises UserError as `written_atomically`."""
    with written_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def json_line(where: str, value: Any) -> str:
    """Strict JSON on one line; `where` names the value in the error."""
    try:
        return json.dumps(value, allow_nan=False, default=_plain)
    except ValueError:
        plain = json.loads(json.dumps(value, default=_plain))
        place, number = next(_not_finite(where, plain))
        raise ValueError(f"{place} is {number}: an undefined value must be null in JSON") from None


def _plain(value: Any) -> Any:
    """NumPy and torch scalars and arrays as Python's own."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"cannot write a {type(value).__name__} as JSON")


def _not_finite(where: str, value: Any) -> Iterator[tuple[str, float]]:
    """(place, number) of each number that is not finite."""
    if isinstance(value, float) and not math.isfinite(value):
        yield where, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _not_finite(f"{where}.{key}", item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _not_finite(f"{where}[{index}]", item)
