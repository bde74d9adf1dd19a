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
from typing import Any, NoReturn

from benchmark.errors import DataError

_SPACE = re.compile(r"[ \t\r\n]*")


def existing_file(path: str | os.PathLike) -> Path:
    """`path` as a Path: "~" expanded, Windows separators understood everywhere. Raises DataError
    when no file is there.
    """
    if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
        raise DataError(f"expected the path of a JSON file, got {path!r}")
    try:
        file = Path(path).expanduser()
        if not file.exists() and "\\" in str(path):
            file = Path(str(path).replace("\\", "/")).expanduser()
        if file.is_dir():
            raise DataError(
                f"{path}: is a folder; expected a JSON file, e.g. {file / 'train.json'}"
            )
        if not file.exists():
            raise DataError(f"{path}: no such file (looked for {Path(os.path.abspath(file))})")
    except (OSError, ValueError, RuntimeError) as error:
        # A name too long, a null character, no permission, or a "~user" who does not exist.
        raise DataError(f"{str(path)[:200]!r}: cannot be read as a file: {error}") from error
    return file


def read_json(path: str | os.PathLike) -> Any:
    """The whole of a small JSON file, such as a relation inventory. Raises DataError when it is
    missing or not JSON.
    """
    file = existing_file(path)
    try:
        return json.loads(file.read_text(encoding="utf-8-sig"), object_pairs_hook=_object)
    except (OSError, ValueError, RecursionError) as error:
        # JSONDecodeError and UnicodeDecodeError are ValueErrors.
        raise DataError(f"{path}: not valid JSON: {error}") from error


def iterate_array(path: str | os.PathLike) -> Iterator[Any]:
    """The elements of the JSON array in `path`, in order, each parsed when it is asked for.

    Raises DataError, with line and column, at the first character that is not valid.
    """

    def fail(at: int, message: str) -> NoReturn:
        line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
        raise DataError(f"{path}: not valid JSON at line {line}, column {column}: {message}")

    def after_space(at: int) -> int:
        return _SPACE.match(text, at).end()

    text = _text(path)
    at = after_space(0)
    if (first := text[at : at + 1]) != "[":
        found = {"": "an empty file", "{": "one object"}.get(first, repr(first))
        hint = " (one document a line is not understood: wrap the lines in [ ] with commas)"
        raise DataError(
            f"{path}: expected a JSON list of documents, [ ... ], found {found}"
            + (hint if first == "{" else "")
        )
    at = after_space(at + 1)
    separator = "]" if text.startswith("]", at) else ""
    while separator != "]":
        try:
            element, at = _DECODER.raw_decode(text, at)
        except json.JSONDecodeError as error:
            truncated = error.pos >= len(text) or error.msg.startswith("Unterminated")
            fail(error.pos, f"truncated or broken: {error.msg}" if truncated else error.msg)
        except (ValueError, RecursionError) as error:  # a repeated key, a huge number, deep nesting
            fail(at, str(error))
        yield element
        at = after_space(at)
        separator = text[at : at + 1]
        if not separator:
            fail(at, "truncated: the list is not closed by ]")
        if separator not in ",]":
            fail(at, f"expected , or ] and found {separator!r}")
        if separator == ",":
            at = after_space(at + 1)
    at = after_space(at + 1)
    if at < len(text):
        fail(at, f"expected the end of the file after the list, found {text[at]!r}")


def _text(path: str | os.PathLike) -> str:
    try:
        return existing_file(path).read_bytes().decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text: {error.reason} at byte {error.start}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are distinct. Of two equal keys, one value would be lost silently."""
    found = dict(pairs)
    if len(found) < len(pairs):
        ((twice, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"an object has the key {twice!r:.80} twice")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_object)
