"""JSON files of users: small ones as a whole, a list of documents one element at a time.

Of a list only the text is held in memory, not the objects of all its documents.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmark.errors import DataError

_OPENING = re.compile(r"\s*\[\s*", re.ASCII)
_COMMA = re.compile(r"\s*(?:,\s*(?!\])|(?=\]))", re.ASCII)  # none before the closing bracket
_CLOSING = re.compile(r"\]\s*\Z", re.ASCII)


def existing_file(path: str | os.PathLike) -> Path:
    """`path` as a Path: "~" expanded, Windows separators understood everywhere. Raises DataError
    when no file is there.
    """
    try:
        file = Path(path).expanduser()
        if not file.exists():
            file = Path(str(path).replace("\\", "/")).expanduser()
        if file.is_dir():
            raise DataError(f"{path}: is a folder; expected a file")
        if not file.exists():
            raise DataError(f"{path}: no such file (looked for {Path(os.path.abspath(file))})")
    # no path at all, a name too long, a null character, no permission, an unknown "~user"
    except (TypeError, OSError, ValueError, RuntimeError) as error:
        raise DataError(f"{str(path)[:200]!r}: cannot be read as a file: {error}") from error
    return file


def read_text(path: str | os.PathLike) -> str:
    """The text of a file in UTF-8. Raises DataError."""
    try:
        return existing_file(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        packed = "; unpack it first" if str(path).endswith((".gz", ".zip", ".xz", ".bz2")) else ""
        raise DataError(f"{path}: cannot be read as UTF-8 text: {error}{packed}") from error


def read_json(path: str | os.PathLike) -> Any:
    """The whole of a small JSON file. Raises DataError when it is missing or not JSON."""
    try:
        return _DECODER.decode(read_text(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not valid JSON: {error}") from error


def iterate_array(path: str | os.PathLike) -> Iterator[Any]:
    """The elements of the JSON array in `path`, each parsed when it is asked for. Raises DataError
    with line and column.
    """
    text = read_text(path)
    if not (opening := _OPENING.match(text)):
        found = f"begins with {text.lstrip()[:20]!r}" if text.strip() else "is empty"
        raise DataError(
            f"{path}: {found}; expected a list of documents, [ ... ] (JSON Lines are not read)"
        )
    try:
        yield from _elements(text, opening.end())
    except json.JSONDecodeError as error:
        raise DataError(f"{path}: not valid JSON: {error}") from error


def _elements(text: str, at: int) -> Iterator[Any]:
    """Those that begin at `at`."""
    while not text.startswith("]", at):
        try:
            element, at = _DECODER.raw_decode(text, at)
        except json.JSONDecodeError:
            raise
        except (ValueError, RecursionError) as error:  # a repeated key, a huge number, deep nesting
            raise json.JSONDecodeError(str(error), text, at) from error
        yield element
        at = _past(_COMMA, text, at, ", or ] here; is the file cut off?")
    _past(_CLOSING, text, at, "the end of the file after the list")


def _past(pattern: re.Pattern, text: str, at: int, expected: str) -> int:
    """Where the match of `pattern` ends. Raises JSONDecodeError if there is none at `at`."""
    if not (found := pattern.match(text, at)):
        raise json.JSONDecodeError(f"expected {expected}", text, at)
    return found.end()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are distinct. Of two equal keys, one value would be lost silently."""
    found = dict(pairs)
    if len(found) < len(pairs):
        ((twice, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"an object has the key {twice!r:.80} twice")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_object)
