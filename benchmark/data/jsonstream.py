"""Reads the elements of one JSON array from a file one at a time.

A corpus of 100,000 documents thus never stands in memory whole.
"""

from __future__ import annotations

import codecs
import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmark.errors import DataError

CHUNK = 1 << 20  # characters read at a time
_ENDS = tuple(",] \t\r\n")  # what may follow an element


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
    except (
        OSError,
        ValueError,
        RuntimeError,
    ) as error:  # a name too long, a null character, no permission, the home of nobody
        raise DataError(f"{str(path)[:200]!r}: cannot be read as a file: {error}") from error
    return file


def read_json(path: str | os.PathLike) -> Any:
    """The whole of a small JSON file, such as a relation inventory. Raises DataError when it is
    missing or not JSON.
    """
    file = existing_file(path)
    try:
        return json.loads(file.read_text(encoding="utf-8-sig"), object_pairs_hook=_object)
    except (
        OSError,
        ValueError,
        RecursionError,
    ) as error:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
        raise DataError(f"{path}: not valid JSON: {error}") from error


def iterate_array(path: str | os.PathLike) -> Iterator[Any]:
    """The elements of the JSON array in `path`, in order. Raises DataError, with line and column,
    where it breaks off.
    """
    with existing_file(path).open(encoding="utf-8-sig") as stream:
        try:
            yield from _Array(str(path), stream)
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path}: not UTF-8 text: {error.reason} at byte {_first_bad_byte(existing_file(path))}"
            ) from error
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error}") from error


def _first_bad_byte(file: Path) -> int:
    """Where the file stops to be UTF-8, from 0 on; its length if it breaks off within a
    character.
    """
    decoder, read = codecs.getincrementaldecoder("utf-8")(), 0
    with file.open("rb") as stream:
        for block in iter(lambda: stream.read(CHUNK), b""):
            read += len(block)
            try:
                decoder.decode(block)
            except (
                UnicodeDecodeError
            ) as error:  # its object also holds what the block before broke off with
                return read - len(error.object) + error.start
    return read


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are distinct: of two that are equal one would silently be lost, and
    which is a matter of the reader.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        ((twice, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"an object has the key {twice!r:.80} twice")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_object)


class _Array:
    """A window `text[at:]` that slides over the file; `line` and `column` say where the window
    begins.
    """

    def __init__(self, path: str, stream: Any):
        self.path, self.stream = path, stream
        self.text, self.at, self.line, self.column, self.ended = "", 0, 1, 1, False

    def __iter__(self) -> Iterator[Any]:
        first = self._next_character()
        if first != "[":
            found = "an empty file" if not first else "one object" if first == "{" else f"{first!r}"
            hint = (
                " (one document a line is not understood: wrap the lines in [ ] with commas)"
                if first == "{"
                else ""
            )
            raise DataError(
                f"{self.path}: expected a JSON list of documents, [ ... ], found {found}{hint}"
            )
        self.at += 1
        if self._next_character() == "]":
            return self._finish()
        while True:
            yield self._element()
            separator = self._next_character()
            if separator == "]":
                return self._finish()
            if separator != ",":
                self._fail(
                    "truncated: the list is not closed by ]"
                    if not separator
                    else f"expected , or ] and found {separator!r}"
                )
            self.at += 1

    def _element(self) -> Any:
        self._next_character()
        size = CHUNK
        while True:
            try:
                value, end = _DECODER.raw_decode(self.text, self.at)
                if (
                    self.ended or self.text[end : end + 1] in _ENDS
                ):  # else a number may go on in the next block
                    self.at = end
                    return value
            except json.JSONDecodeError as error:
                if self.ended:
                    truncated = error.pos >= len(self.text) or error.msg.startswith("Unterminated")
                    self.at = min(error.pos, len(self.text))
                    self._fail(f"truncated or broken: {error.msg}" if truncated else error.msg)
            except (
                ValueError,
                RecursionError,
            ) as error:  # a key twice, a number too long, lists nested too deep
                self._fail(str(error))
            self._read(size)
            size *= 2

    def _next_character(self) -> str:
        """Moves to the next character that is no white space and returns it; "" at the end of the
        file.
        """
        while True:
            while self.at < len(self.text) and self.text[self.at] in " \t\r\n":
                self.at += 1
            if self.at < len(self.text):
                return self.text[self.at]
            if self.ended:
                return ""
            self._read(CHUNK)

    def _read(self, size: int) -> None:
        self._advance()
        block = self.stream.read(size)
        self.ended = not block
        self.text += block

    def _advance(self) -> None:
        """Drops what has been used, keeping count of lines."""
        used, self.text = self.text[: self.at], self.text[self.at :]
        newlines = used.count("\n")
        self.line += newlines
        self.column = len(used) - used.rfind("\n") if newlines else self.column + len(used)
        self.at = 0

    def _finish(self) -> None:
        self.at += 1
        if rest := self._next_character():
            self._fail(f"expected the end of the file after the list, found {rest!r}")

    def _fail(self, message: str) -> None:
        self._advance()
        raise DataError(
            f"{self.path}: not valid JSON at line {self.line}, column {self.column}: {message}"
        )
