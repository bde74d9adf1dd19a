r"""Plain text with its entities marked by hand, for `predict`.

    [Marie Curie|1] was born in [Warsaw|2|LOC]. [She|1] won the [Nobel Prize|3].

The number joins the mentions of one entity, a type may follow. `\[`, `\]`, `\|` and `\\` are the
characters themselves. A line `---` stands between two documents.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.data.jsonstream import read_text
from benchmark.errors import DataError

SEPARATOR = re.compile(r"^---[ \t]*(?:\n|\Z)", re.MULTILINE)
FIELD = r"((?:\\.|[^\\\[\]|])*)"
PIECE = re.compile(
    rf"(?P<entity>\[{FIELD}\|{FIELD}(?:\|{FIELD})?\])|(?P<bracket>[\[\]])|(?:\\.|[^\\\[\]])+|\\",
    re.DOTALL,
)
WORD = re.compile(r"\w+|[^\w\s]")
HOW = "write an entity as [name|number] or [name|number|TYPE], and a bracket of the text as \\["


class Mention(NamedTuple):
    name: str
    number: int  # of the entity, from 1
    type: str = ""


Pieces = Iterable[str | Mention]  # a text in its order: mentions, and what stands between them


def read_marked(path: Path, find: Callable[[str], Pieces] | None = None) -> list[dict[str, Any]]:
    """Documents in DocRED format (title, sents, vertexSet) of a text file in UTF-8.

    find: finds the entities of a document's text (benchmark/data/ner.py); None: they are marked.

    Raises DataError naming file and line: the file cannot be read, a bracket is no entity's, a
    number leaves a gap, a type contradicts an earlier one, or a document has no entity.
    """
    documents, line = [], 1
    for part in SEPARATOR.split(read_text(path)):
        if part.strip():
            pieces = find(part) if find else _marked(part, str(path), line)
            documents.append(_document(f"{Path(path).stem} {len(documents) + 1}", pieces))
        line += part.count("\n") + 1
    if not documents:
        raise DataError(f"{path}: holds no text")
    return documents


def _marked(text: str, path: str, first_line: int) -> Iterator[str | Mention]:
    """The pieces of a document whose entities are marked."""

    def fail(place: int, what: str) -> None:
        line = first_line + text.count("\n", 0, place)
        raise DataError(f"{path}, line {line}: {what}; {HOW}")

    types: dict[int, str] = {}
    for found in PIECE.finditer(text):
        if found["bracket"]:
            fail(found.start(), f"the bracket {found[0]} belongs to no entity")
        if not found["entity"]:
            yield _unescaped(found[0])
            continue
        fields = (_unescaped(found[field] or "") for field in (2, 3, 4))
        name, number, kind = (" ".join(field.split()) for field in fields)  # lines may end inside
        if not WORD.search(name) or not re.fullmatch("[1-9][0-9]{0,5}", number):
            fail(found.start(), f"'{found[0]}' is no entity: one needs words and a number from 1")
        known = types[int(number)] = types.get(int(number)) or kind
        if kind not in ("", known):
            fail(found.start(), f"entity {number} is {kind} here and {known} before")
        yield Mention(name, int(number), kind)
    if not types:
        fail(0, "this document has no entity")
    if missing := set(range(1, max(types))) - set(types):
        fail(0, f"this document has no entity {min(missing)}, but has a later one")


def _unescaped(text: str) -> str:
    return re.sub(r"\\([\[\]|\\])", r"\1", text)


def _document(title: str, pieces: Pieces) -> dict[str, Any]:
    """A document in DocRED's format. A sentence ends after . ! or ? before a space or a mention,
    unless a lower-case mention comes next.
    """
    sentences: list[list[str]] = [[]]
    entities: dict[int, list[dict[str, Any]]] = {}
    types: dict[int, str] = {}
    for piece in pieces:
        if isinstance(piece, str):
            for found in WORD.finditer(piece):
                sentences[-1].append(found[0])
                after = piece[found.end() : found.end() + 1]
                if found[0] in ".!?" and (after.isspace() or not after):
                    sentences.append([])
            continue
        words = WORD.findall(piece.name)
        if not sentences[-1] and len(sentences) > 1 and words[0][0].islower():
            sentences.pop()
        start = len(sentences[-1])
        sentences[-1] += words
        place = {"sent_id": len(sentences) - 1, "pos": [start, start + len(words)]}
        entities.setdefault(piece.number, []).append({"name": piece.name, **place})
        types[piece.number] = types.get(piece.number) or piece.type
    return {
        "title": title,
        "sents": [sentence for sentence in sentences if sentence],
        "vertexSet": [
            [mention | {"type": types[number] or "MISC"} for mention in entities[number]]
            for number in sorted(entities)
        ],
    }
