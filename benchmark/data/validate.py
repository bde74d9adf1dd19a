"""What is right in a DocRED-format document: the one place that knows.

The loaders stop at the first error, `faults` lists them all.

A file is a JSON list of documents (Yao et al. 2019, the format of DocRED, Re-DocRED, DWIE's and
BioRED's conversions)::

    {"title": str, "sents": [[word]], "vertexSet": [[{"name": str, "pos": [start, end), "sent_id":
     int, "type": str}]], "labels": [{"h": int, "t": int, "r": str, "evidence": [int]}]}

`evidence`, the sentences that support a fact, may be missing. Other keys (global_pos, index ...)
are not looked at.
"""

from __future__ import annotations

import difflib
import os
import reprlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from benchmark.data.jsonstream import iterate_array
from benchmark.errors import DataError

Severity = Literal[
    "error", "warning", "info"
]  # cannot be loaded | can, but look at it | worth knowing

# of a document that a model can take: 249,500 pairs, and tables of 500 x 500 in each axial layer
MOST_ENTITIES = 500

_abbreviated = reprlib.Repr()
_abbreviated.maxstring = _abbreviated.maxother = 60
_short = _abbreviated.repr


@dataclass(frozen=True)
class Fault:
    """One finding: where it stands and what would be right. `document` counts from 0; None: the
    file as a whole is meant.
    """

    path: str
    document: int | None
    title: str | None
    field: str  # "vertexSet[3][0].pos"; "" when the document as a whole is meant
    severity: Severity
    message: str

    def __str__(self) -> str:
        if self.document is None:
            return (
                self.message
                if self.message.startswith(self.path)
                else f"{self.path}: {self.message}"
            )
        title = f" {_short(self.title)}" if self.title is not None else ""
        field = f", {self.field}" if self.field else ""
        return f"{self.path}: document {self.document}{title}{field}: {self.message}"


def faults(path: str | os.PathLike, relations: Collection[str] | None = None) -> Iterator[Fault]:
    """Every fault of the file, in its order: errors, but also warnings and remarks that keep no one
    from loading it.

    Args:
        path: a DocRED-format JSON file.
        relations: the inventory; a fact with another relation is an error. None: any relation will
            do.
    """
    try:
        for _, _, found in examined(path, relations=relations, labelled=False):
            yield from found
    except DataError as error:
        yield Fault(str(path), None, None, "", "error", str(error))


def examined(
    path: str | os.PathLike,
    *,
    relations: Collection[str] | None = None,
    labelled: bool | None = True,
) -> Iterator[tuple[int, Any, list[Fault]]]:
    """(index, document as it stands in the file, its faults) for each document.

    Args:
        labelled: documents must have `labels`; False: their absence is only a warning; None: they
            are not looked at.

    Raises:
        DataError: the file is missing, is no JSON list, or the list is empty.
    """
    index, first_with_title = -1, {}
    for index, document in enumerate(iterate_array(path)):
        title = document.get("title") if isinstance(document, dict) else None
        title = title if isinstance(title, str) else None
        found = [
            Fault(str(path), index, title, field, severity, message)
            for field, severity, message in _document(document, relations, labelled)
        ]
        if title and first_with_title.setdefault(title, index) != index:
            message = f"document {first_with_title[title]} of this file has the same title; titles must be unique within a file"
            found.insert(0, Fault(str(path), index, title, "title", "error", message))
        yield index, document, found
    if index < 0:
        raise DataError(f"{path}: holds no document; expected at least one")


_Finding = tuple[str, Severity, str]  # field, severity, message


def _document(
    document: Any, relations: Collection[str] | None, labelled: bool | None
) -> Iterator[_Finding]:
    if not isinstance(document, dict):
        yield (
            "",
            "error",
            f"expected an object with the keys title, sents, vertexSet, labels; got {_short(document)}",
        )
        return
    if "title" not in document:
        yield "title", "error", _missing("title", document, "a text that is unique within the file")
    elif problem := _text_problem(document["title"]) or (
        "" if document["title"].strip() else "is empty; expected a text"
    ):
        yield "title", "error", problem
    yield from _sentences(document)
    yield from _entities(document)
    if labelled is not None:
        yield from _labels(document, relations, labelled)


def _sentences(document: dict) -> Iterator[_Finding]:
    if "sents" not in document:
        yield (
            "sents",
            "error",
            _missing("sents", document, "a list of sentences, each a list of words"),
        )
        return
    sentences = document["sents"]
    if not isinstance(sentences, list):
        yield (
            "sents",
            "error",
            f"expected a list of sentences, each a list of words; got {_short(sentences)}",
        )
        return
    for s, sentence in enumerate(sentences):
        if not isinstance(sentence, list):
            yield f"sents[{s}]", "error", f"expected a list of words; got {_short(sentence)}"
        elif not _all_text(sentence):
            for w, word in enumerate(sentence):
                if problem := _text_problem(word):
                    yield f"sents[{s}][{w}]", "error", problem
        elif "" in sentence:
            yield (
                f"sents[{s}][{sentence.index('')}]",
                "warning",
                "an empty word: no token stands for it",
            )
    if not any(isinstance(sentence, list) and sentence for sentence in sentences):
        yield (
            "sents",
            "error",
            "the document is empty; expected at least one sentence of at least one word",
        )


def _entities(document: dict) -> Iterator[_Finding]:
    if "vertexSet" not in document:
        yield (
            "vertexSet",
            "error",
            _missing(
                "vertexSet",
                document,
                "a list of entities, each a list of mentions; [] if there are none",
            ),
        )
        return
    entities = document["vertexSet"]
    if not isinstance(entities, list):
        yield (
            "vertexSet",
            "error",
            f"expected a list of entities, each a list of mentions; got {_short(entities)}",
        )
        return
    sentences = document["sents"] if isinstance(document.get("sents"), list) else None
    owner: dict[tuple[int, int, int], int] = {}  # span -> the entity that has it
    for e, mentions in enumerate(entities):
        field = f"vertexSet[{e}]"
        if not isinstance(mentions, list):
            yield field, "error", f"expected a list of mentions; got {_short(mentions)}"
        elif not mentions:
            yield field, "error", "the entity has no mention; expected at least one"
        else:
            for m, mention in enumerate(mentions):
                yield from _mention(f"{field}[{m}]", e, mention, sentences, owner)
    if len(entities) > MOST_ENTITIES:
        pairs = f"{len(entities) * (len(entities) - 1):,} pairs"
        yield (
            "vertexSet",
            "warning",
            f"{len(entities):,} entities make {pairs}: a model takes at most {MOST_ENTITIES:,} entities",
        )
    if len(entities) < 2:
        yield (
            "vertexSet",
            "info",
            f"{len(entities) or 'no'} entity: the document has no pair to classify",
        )


def _mention(
    field: str,
    entity: int,
    mention: Any,
    sentences: list | None,
    owner: dict[tuple[int, int, int], int],
) -> Iterator[_Finding]:
    if not isinstance(mention, dict):
        yield (
            field,
            "error",
            f"expected an object with the keys name, pos, sent_id, type; got {_short(mention)}",
        )
        return
    for key in ("name", "type"):
        if key not in mention:
            yield f"{field}.{key}", "error", _missing(key, mention, "a text")
        elif problem := _text_problem(mention[key]):
            yield f"{field}.{key}", "error", problem

    sentence = None
    if "sent_id" not in mention:
        yield (
            f"{field}.sent_id",
            "error",
            _missing("sent_id", mention, "the number of the mention's sentence, from 0"),
        )
    elif type(mention["sent_id"]) is not int:
        yield (
            f"{field}.sent_id",
            "error",
            f"expected an integer, the number of a sentence; got {_short(mention['sent_id'])}",
        )
    elif sentences is not None:
        if 0 <= mention["sent_id"] < len(sentences):
            sentence = sentences[mention["sent_id"]]
        else:
            there = (
                f"the document has {len(sentences)} sentences (0 to {len(sentences) - 1})"
                if sentences
                else "there is none"
            )
            yield (
                f"{field}.sent_id",
                "error",
                f"sentence {_short(mention['sent_id'])} does not exist: {there}",
            )

    if "pos" not in mention:
        yield (
            f"{field}.pos",
            "error",
            _missing("pos", mention, "[start, end), the mention's words within its sentence"),
        )
        return
    pos = mention["pos"]
    if (
        not isinstance(pos, list)
        or len(pos) != 2
        or any(type(position) is not int for position in pos)
    ):
        yield f"{field}.pos", "error", f"expected two integers [start, end); got {_short(pos)}"
        return
    start, end = pos
    if not isinstance(sentence, list):
        return
    if not 0 <= start < end <= len(sentence):
        message = f"[{_short(start)}, {_short(end)}) lies outside sentence {mention['sent_id']}, which has {len(sentence)} words"
        yield f"{field}.pos", "error", f"{message}; expected 0 <= start < end <= {len(sentence)}"
        return

    span = (mention["sent_id"], start, end)
    if span in owner:
        which = "the same entity" if owner[span] == entity else f"entity {owner[span]}"
        yield f"{field}.pos", "info", f"{which} has a mention of the very same words"
    owner.setdefault(span, entity)
    words, name = sentence[start:end], mention.get("name")
    if (
        isinstance(name, str)
        and _all_text(words)
        and "".join(name.split()) != "".join("".join(words).split())
    ):
        yield (
            f"{field}.name",
            "warning",
            f"the name {_short(name)} differs from the mention's words {_short(' '.join(words))}",
        )


def _labels(
    document: dict, relations: Collection[str] | None, labelled: bool
) -> Iterator[_Finding]:
    labels = document.get("labels")
    if labels is None:
        expected = "a list of facts; [] if there are none"
        if labelled:
            yield "labels", "error", _missing("labels", document, expected)
        else:
            yield (
                "labels",
                "warning",
                "missing: one can predict on the document, but neither train nor score on it",
            )
        return
    if not isinstance(labels, list):
        yield "labels", "error", f"expected a list of facts; got {_short(labels)}"
        return
    entities = document.get("vertexSet")
    seen: dict[tuple, int] = {}
    for f, fact in enumerate(labels):
        field = f"labels[{f}]"
        if not isinstance(fact, dict):
            yield field, "error", f"expected an object with the keys h, t, r; got {_short(fact)}"
            continue
        sound = True
        for finding in _fact(field, fact, entities, relations):
            sound = False
            yield finding
        evidence, sentences = fact.get("evidence"), document.get("sents")
        if evidence is not None and isinstance(sentences, list):
            cited = evidence if isinstance(evidence, list) else [evidence]
            known = evidence_of(fact, sentences)
            if strange := [s for s in cited if type(s) is not int or s not in known]:
                message = f"{_short(strange[0])} is not the number of a sentence of the document"
                yield (
                    f"{field}.evidence",
                    "warning",
                    f"{message} (0 to {len(sentences) - 1}); ignored",
                )
        if sound:
            key = (fact["h"], fact["t"], fact["r"])
            if seen.setdefault(key, f) != f:
                yield field, "warning", f"repeats labels[{seen[key]}] {_short(key)}: it counts once"
            elif fact["h"] == fact["t"]:
                yield (
                    field,
                    "warning",
                    f"relates entity {fact['h']} to itself by {_short(fact['r'])}: it stays in gold, but is not trained on",
                )
    if not labels:
        yield (
            "labels",
            "warning",
            "the document has no fact: it counts in evaluation through false positives only",
        )


def _fact(
    field: str, fact: dict, entities: Any, relations: Collection[str] | None
) -> Iterator[_Finding]:
    for key, role in (("h", "head"), ("t", "tail")):
        if key not in fact:
            yield (
                f"{field}.{key}",
                "error",
                _missing(key, fact, f"the number of the {role} entity, from 0"),
            )
        elif type(fact[key]) is not int:
            yield (
                f"{field}.{key}",
                "error",
                f"expected an integer, the number of the {role} entity; got {_short(fact[key])}",
            )
        elif isinstance(entities, list) and not 0 <= fact[key] < len(entities):
            there = (
                f"{len(entities)} entities (0 to {len(entities) - 1})" if entities else "no entity"
            )
            yield (
                f"{field}.{key}",
                "error",
                f"entity {_short(fact[key])} does not exist: the document has {there}",
            )
    if "r" not in fact:
        yield f"{field}.r", "error", _missing("r", fact, "the name of the relation")
    elif problem := _text_problem(fact["r"]) or (
        "" if fact["r"] else "is empty; expected the name of a relation"
    ):
        yield f"{field}.r", "error", problem
    elif is_na(fact["r"]):
        yield (
            f"{field}.r",
            "error",
            f"{fact['r']!r} is no relation: leave pairs without a relation out of labels",
        )
    elif relations is not None and fact["r"] not in relations:
        yield f"{field}.r", "error", unknown_relation(fact["r"], relations)


def evidence_of(fact: dict, sentences: list) -> set[int]:
    """The sentences that a fact cites; those that do not exist are left out."""
    cited = fact.get("evidence")
    cited = cited if isinstance(cited, list) else []
    return {s for s in cited if type(s) is int and 0 <= s < len(sentences)}


def is_na(relation: str) -> bool:
    """Whether this is the inventory's entry for pairs without a relation ("Na" in DocRED's
    rel2id.json).
    """
    return relation.lower() == "na"


def unknown_relation(relation: str, relations: Collection[str]) -> str:
    """The text of the error about a relation that the inventory lacks, with the nearest that it
    has.
    """
    near = difflib.get_close_matches(relation, relations, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"unknown relation {_short(relation)}: not among the {len(relations)} relations of the inventory{hint}"


def _missing(key: str, holder: dict, expected: str) -> str:
    near = difflib.get_close_matches(key, [k for k in holder if k not in _KEYS], n=1)
    return f"missing; expected {expected}" + (f" (there is {near[0]!r})" if near else "")


_KEYS = frozenset(
    {"title", "sents", "vertexSet", "labels", "name", "pos", "sent_id", "type", "h", "t", "r"}
)


def _text_problem(value: Any) -> str:
    """What is wrong with a value that should be text; "" if nothing is."""
    if not isinstance(value, str):
        return f"expected a text; got {_short(value)}"
    try:
        value.encode()
    except UnicodeEncodeError:
        return f"is not valid Unicode (half of a surrogate pair): {ascii(value[:60])}"
    return ""


def _all_text(words: list) -> bool:
    try:
        "".join(words).encode()
    except (TypeError, UnicodeEncodeError):
        return False
    return True
