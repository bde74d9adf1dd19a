r"""Plain text with its entities marked by hand, for `predict`.

    [Marie Curie|1] was born in [Warsaw|2|LOC]. [She|1] won the [Nobel Prize|3].

The number joins the mentions of one entity, a type may follow. `\[`, `\]`, `\|` and `\\` are the
characters themselves. A line `---` stands between two documents.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmark.errors import DataError

SEPARATOR = re.compile(r"^---[ \t]*$", re.MULTILINE)
PARTS = re.compile(r"\\.|\[|\]|\||[^\\\[\]|]+|\\", re.DOTALL)
WORD = re.compile(r"\w+|[^\w\s]")
END = re.compile(r"[.!?]")
HOW = "write an entity as [name|number] or [name|number|TYPE], and a bracket of the text as \\["


def read_marked(path: Path, mark: Callable[[str], str] | None = None) -> list[dict[str, Any]]:
    """Documents in DocRED format (title, sents, vertexSet) of a text file in UTF-8.

    mark: marks the entities of a document's text (benchmark/data/ner.py); None: they are marked.

    Raises DataError naming file and line: the file cannot be read, a bracket is not closed or
    stands within another, a number is none or leaves a gap, a type contradicts an earlier one, or
    a document has no entity.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error})") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    documents, start = [], 0
    for end in [*(found.start() for found in SEPARATOR.finditer(text)), len(text)]:
        part = text[start:end]
        line = text.count("\n", 0, start) + 1
        start = text.find("\n", end) + 1 or len(text)
        if part.strip():
            title = f"{Path(path).stem} {len(documents) + 1}"
            if mark is None:
                documents.append(_Marked(str(path), title, part, line).document())
            else:
                marked = _Marked(str(path), title, mark(part), line, may_be_empty=True)
                documents.append(marked.document())
    if not documents:
        raise DataError(f"{path}: holds no text")
    return documents


class _Marked:
    """One document while it is read."""

    def __init__(self, path: str, title: str, text: str, line: int, *, may_be_empty: bool = False):
        self.path, self.title, self.text, self.line = path, title, text, line
        self.may_be_empty = may_be_empty
        self.sentences: list[list[str]] = [[]]
        self.entities: dict[int, list[dict[str, Any]]] = {}
        self.types: dict[int, str] = {}

    def document(self) -> dict[str, Any]:
        fields: list[str] | None = None  # of the open bracket
        opened, place, plain = 0, 0, ""
        for found in PARTS.finditer(self.text):
            token, place = found[0], found.start()
            if token.startswith("\\") and len(token) > 1:
                token = token[1:]
            elif token == "[":
                if fields is not None:
                    self._fail(place, "a bracket within a bracket")
                self._words(plain)
                fields, opened, plain = [""], place, ""
                continue
            elif token == "]" and fields is not None:
                self._entity(fields, opened)
                fields = None
                continue
            elif token == "]":
                self._fail(place, "a bracket is closed that was not opened")
            elif token == "|" and fields is not None:
                fields.append("")
                continue
            if fields is None:
                plain += token
            else:
                fields[-1] += token
        if fields is not None:
            self._fail(opened, "this bracket is not closed")
        self._words(plain)
        self._require_entities()
        numbers = sorted(self.entities)
        return {
            "title": self.title,
            "sents": [sentence for sentence in self.sentences if sentence],
            "vertexSet": [
                [mention | {"type": self.types.get(n, "MISC")} for mention in self.entities[n]]
                for n in numbers
            ],
        }

    def _words(self, text: str) -> None:
        """Words outside of brackets; a sentence ends after . ! or ? before a space."""
        for found in WORD.finditer(text):
            self.sentences[-1].append(found[0])
            follows = text[found.end() : found.end() + 1]
            if END.fullmatch(found[0]) and (follows.isspace() or not follows):
                self.sentences.append([])

    def _entity(self, fields: list[str], place: int) -> None:
        words = WORD.findall(fields[0])
        if len(fields) not in (2, 3) or not words:
            self._fail(place, f"'[{'|'.join(fields)}]' is no entity")
        number = fields[1].strip()
        if not (number.isascii() and number.isdigit() and int(number) > 0):
            self._fail(place, f"'{number}' is no number of an entity, which counts from 1")
        n = int(number)
        kind = fields[2].strip() if len(fields) == 3 else ""
        if kind and self.types.setdefault(n, kind) != kind:
            self._fail(place, f"entity {n} is {kind} here and {self.types[n]} before")
        if not self.sentences[-1] and len(self.sentences) > 1 and words[0][0].islower():
            self.sentences.pop()  # what looked like the end of a sentence was none
        sentence = len(self.sentences) - 1
        start = len(self.sentences[-1])
        self.sentences[-1] += words
        mention = {
            "name": fields[0].strip(),
            "sent_id": sentence,
            "pos": [start, start + len(words)],
        }
        self.entities.setdefault(n, []).append(mention)

    def _require_entities(self) -> None:
        if not self.entities and self.may_be_empty:
            return
        if not self.entities:
            self._fail(0, f"document '{self.title}' has no entity")
        missing = sorted(set(range(1, max(self.entities) + 1)) - set(self.entities))
        if missing:
            self._fail(0, f"document '{self.title}' has no entity {missing[0]}, but a later one")

    def _fail(self, place: int, what: str) -> None:
        line = self.line + self.text.count("\n", 0, place)
        raise DataError(f"{self.path}, line {line}: {what}; {HOW}")
