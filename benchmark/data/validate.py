"""What is right in a DocRED-format document: the one place that knows.

The loaders stop at the first error, `faults` lists them all. A file is a JSON list of documents
(Yao et al. 2019). Keys that are not named here (global_pos, index ...) are not looked at.
"""

from __future__ import annotations

import os
import re
import reprlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from benchmark.data.jsonstream import iterate_array
from benchmark.errors import DataError, did_you_mean
from benchmark.options import in_words

# What a model can take: 249,500 pairs, and tables of 500 x 500 in each axial layer.
MOST_ENTITIES = 500

_abbreviated = reprlib.Repr()
_abbreviated.maxstring = _abbreviated.maxother = 60
short = _abbreviated.repr

# With a bound, pydantic checks the characters and rejects half of a surrogate pair.
Text = Annotated[str, Field(min_length=0)]


class OwnMention(TypedDict):
    sent_id: int
    pos: Annotated[list[int], Field(min_length=2, max_length=2)]  # [start, end) within its sentence
    name: NotRequired[Text]
    type: NotRequired[Text]


class OwnDocument(TypedDict):
    """A document that someone wants predictions for."""

    title: Text
    sents: list[list[Text]]  # words
    vertexSet: list[Annotated[list[OwnMention], Field(min_length=1)]]  # entities


class Mention(OwnMention):
    name: Text
    type: Text


class Fact(TypedDict):
    h: int  # number of the head entity, from 0
    t: int
    r: Text
    evidence: NotRequired[Any]  # sentences that support the fact; anything else is ignored


class Document(OwnDocument):
    vertexSet: list[Annotated[list[Mention], Field(min_length=1)]]
    labels: NotRequired[list[Fact] | None]


class Labelled(Document):
    """A document to train or score on."""

    labels: list[Fact]


_adapter = cache(TypeAdapter)  # of one of these forms

Severity = Literal["error", "warning", "info"]  # cannot be loaded | look at it | worth knowing
Found = Iterator[tuple[str, Severity, str]]  # field, severity and message of a fault


@dataclass(frozen=True)
class Fault:
    """One finding: where it stands and what would be right."""

    path: str
    document: int | None  # from 0; None: the file as a whole
    title: str | None
    field: str  # "vertexSet[3][0].pos"; "" when the document as a whole is meant
    severity: Severity
    message: str  # what differs from case to case, numbers aside, follows a colon

    @property
    def kind(self) -> str:
        """A text shared by faults that differ only in place and value."""
        if self.document is None:
            return "the file cannot be read"
        field = re.sub(r"[0-9]+", "", self.field)
        what = re.sub(r"-?[0-9][0-9,]*", "…", self.message.partition(":")[0])
        return f"{field}: {what}" if field else what

    def __str__(self) -> str:
        if self.document is None:
            return self.message
        title = f" {short(self.title)}" if self.title is not None else ""
        field = f", {self.field}" if self.field else ""
        return f"{self.path}: document {self.document}{title}{field}: {self.message}"


def faults(path: str | os.PathLike, relations: Collection[str] | None = None) -> Iterator[Fault]:
    """Every fault of a DocRED-format JSON file, in its order: errors, warnings and remarks.

    relations: the inventory; a fact with another relation is an error. None: any relation will do.
    """
    try:
        for _, found in _examined(iterate_array(path), str(path), relations, Document):
            yield from found
    except DataError as error:
        yield Fault(str(path), None, None, "", "error", str(error))


def sound(
    documents: Iterable[Any],
    where: str,
    relations: Collection[str] | None = None,
    form: type = Labelled,
) -> Iterator[dict[str, Any]]:
    """The documents, with the keys of their form alone.

    Args:
        where: the file that messages name.
        relations: as for `faults`.
        form: what a document must have: Labelled, Document or OwnDocument.

    Raises:
        DataError: the first error, or there is no document.
    """
    for document, found in _examined(documents, where, relations, form):
        for fault in found:
            if fault.severity == "error":
                raise DataError(str(fault))
        yield document


def _examined(
    documents: Iterable[Any], where: str, relations: Collection[str] | None, form: type
) -> Iterator[tuple[dict[str, Any], list[Fault]]]:
    """(document, its faults). One that lacks the form is not looked at any further."""
    adapter, index, first_with_title = _adapter(form), -1, {}
    for index, document in enumerate(documents):
        title = document.get("title") if isinstance(document, dict) else None
        title = title if isinstance(title, str) else None
        try:
            document = adapter.validate_python(document, strict=True)
        except ValidationError as error:
            found = [(field, "error", what) for field, what in _differences(error)]
        else:
            found = [*_text(document), *_entities(document["vertexSet"], document["sents"])]
            if form is not OwnDocument:
                found += _labels(document, relations)
        if (first := first_with_title.setdefault(title, index)) != index and title is not None:
            what = f"document {first} of this file has the same title"
            found.insert(0, ("title", "error", what))
        yield document, [Fault(where, index, title, *rest) for rest in found]
    if index < 0:
        raise DataError(f"{where}: holds no document; expected at least one")


def _differences(error: ValidationError) -> Iterator[tuple[str, str]]:
    """(field, message) of each place where a document differs from its form."""
    for fault in error.errors(include_url=False, include_context=False):
        steps = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in fault["loc"]]
        message = in_words(fault)
        if fault["type"] != "missing":
            message += f": got {short(fault['input'])}"
        elif near := get_close_matches(str(fault["loc"][-1]), fault["input"], n=1):
            message += f": did you call it {near[0]!r}?"
        yield "".join(steps).removeprefix("."), message


def _text(document: dict[str, Any]) -> Found:
    if not document["title"].strip():
        yield "title", "error", "is empty"
    for s, sentence in enumerate(document["sents"]):
        if "" in sentence:
            field = f"sents[{s}][{sentence.index('')}]"
            yield field, "warning", "an empty word: it has no token"
    if not any(document["sents"]):
        yield "sents", "error", "the document is empty: expected at least one word"


def _entities(entities: list[list[dict]], sentences: list[list[str]]) -> Found:
    owner: dict[tuple[int, int, int], int] = {}  # span -> the entity that has it
    for e, mentions in enumerate(entities):
        for m, mention in enumerate(mentions):
            field, s, (start, end) = f"vertexSet[{e}][{m}]", mention["sent_id"], mention["pos"]
            if not 0 <= s < len(sentences):
                there = f"the document has {len(sentences)}, counted from 0"
                yield f"{field}.sent_id", "error", f"sentence {short(s)} does not exist: {there}"
                continue
            if not 0 <= start < end <= len(sentences[s]):
                what = f"[{short(start)}, {short(end)}) lies outside sentence {s}"
                expected = f"expected 0 <= start < end <= {len(sentences[s])}"
                yield f"{field}.pos", "error", f"{what}: {expected}"
                continue
            if (span := (s, start, end)) in owner:
                what = f"entity {owner[span]} has a mention of exactly the same words"
                yield f"{field}.pos", "info", what
            owner.setdefault(span, e)
            words = " ".join(sentences[s][start:end])
            name = mention.get("name", words)
            if "".join(name.split()) != "".join(words.split()):
                what = f"the name differs from the words: {short(name)}, {short(words)}"
                yield f"{field}.name", "warning", what
    count = len(entities)
    if count > MOST_ENTITIES:
        pairs = f"{count:,} entities make {count * (count - 1):,} pairs"
        yield "vertexSet", "warning", f"{pairs}: a model takes at most {MOST_ENTITIES:,} entities"
    if count < 2:
        yield "vertexSet", "info", f"entities: {count}; the document has no pair to classify"


def _labels(document: dict[str, Any], relations: Collection[str] | None) -> Found:
    labels, entities = document.get("labels"), len(document["vertexSet"])
    if labels is None:
        use = "one can predict on the document, but neither train nor score on it"
        yield "labels", "warning", f"missing: {use}"
    elif not labels:
        use = "it counts in evaluation through false positives only"
        yield "labels", "warning", f"the document has no fact: {use}"
    seen: dict[tuple[int, int, str], int] = {}
    for f, fact in enumerate(labels or ()):
        field, key = f"labels[{f}]", (fact["h"], fact["t"], fact["r"])
        errors = [
            (f"{field}.{part}", "error", what) for part, what in _errors(fact, entities, relations)
        ]
        yield from errors
        if (cited := fact.get("evidence")) not in (None, evidence_of(fact, document["sents"])):
            what = f"not only numbers of sentences; the rest is ignored: {short(cited)}"
            yield f"{field}.evidence", "warning", what
        if errors:
            continue
        if seen.setdefault(key, f) != f:
            yield field, "warning", f"repeats labels[{seen[key]}]: it counts once"
        elif fact["h"] == fact["t"]:
            what = "it counts as gold, but is not trained on"
            yield field, "warning", f"relates entity {fact['h']} to itself: {what}"


def _errors(
    fact: dict[str, Any], entities: int, relations: Collection[str] | None
) -> Iterator[tuple[str, str]]:
    for key in ("h", "t"):
        if not 0 <= fact[key] < entities:
            there = f"the document has {entities}, counted from 0"
            yield key, f"entity {short(fact[key])} does not exist: {there}"
    relation = fact["r"]
    if not relation or is_na(relation):
        yield "r", f"no relation: {relation!r}; leave pairs without a relation out of labels"
    elif relations is not None and relation not in relations:
        yield "r", unknown_relation(relation, relations)


def evidence_of(fact: dict[str, Any], sentences: list) -> list[int]:
    """The sentences that a fact cites; those that do not exist are left out."""
    cited = fact.get("evidence")
    cited = cited if isinstance(cited, list) else []
    return [s for s in cited if type(s) is int and 0 <= s < len(sentences)]


def is_na(relation: str) -> bool:
    """Whether this is DocRED's entry for pairs without a relation ("Na" in rel2id.json)."""
    return relation.lower() == "na"


def unknown_relation(relation: str, relations: Collection[str]) -> str:
    near = did_you_mean(relation, relations)
    return f"unknown relation: {short(relation)} is none of the {len(relations)} known.{near}"
