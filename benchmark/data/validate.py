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
import re
import reprlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from benchmark.data.jsonstream import iterate_array
from benchmark.errors import DataError

Severity = Literal["error", "warning", "info"]  # cannot be loaded | look at it | worth knowing

# What a model can take: 249,500 pairs, and tables of 500 x 500 in each axial layer.
MOST_ENTITIES = 500

_abbreviated = reprlib.Repr()
_abbreviated.maxstring = _abbreviated.maxother = 60
_short = _abbreviated.repr


@dataclass(frozen=True)
class Fault:
    """One finding: where it stands and what would be right.

    `document` counts from 0; None means the file as a whole.
    """

    path: str
    document: int | None
    title: str | None
    field: str  # "vertexSet[3][0].pos"; "" when the document as a whole is meant
    severity: Severity
    message: str
    kind: str = "the file cannot be read"  # the same for faults that differ only in place and value

    def __str__(self) -> str:
        if self.document is None:
            named = self.message.startswith(self.path)
            return self.message if named else f"{self.path}: {self.message}"
        title = f" {_short(self.title)}" if self.title is not None else ""
        field = f", {self.field}" if self.field else ""
        return f"{self.path}: document {self.document}{title}{field}: {self.message}"


def faults(path: str | os.PathLike, relations: Collection[str] | None = None) -> Iterator[Fault]:
    """Every fault of the file, in its order: errors, warnings and remarks.

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
    return examined_documents(
        iterate_array(path), str(path), relations=relations, labelled=labelled
    )


def examined_documents(
    documents: Iterable[Any],
    where: str,
    *,
    relations: Collection[str] | None = None,
    labelled: bool | None = True,
) -> Iterator[tuple[int, Any, list[Fault]]]:
    """As `examined`, for documents that `where` holds."""
    index, first_with_title = -1, {}
    for index, document in enumerate(documents):
        title = document.get("title") if isinstance(document, dict) else None
        title = title if isinstance(title, str) else None
        found = _Findings(where, index, title)
        if title and (first := first_with_title.setdefault(title, index)) != index:
            unique = "titles must be unique within a file"
            found.error("title", "document {} of this file has the same title; " + unique, first)
        _document(found, document, relations, labelled)
        yield index, document, found.faults
    if index < 0:
        raise DataError(f"{where}: holds no document; expected at least one")


class _Findings:
    """Collects the faults of one document.

    A message is a template, its values and perhaps a hint. Faults of one kind share the template.
    """

    def __init__(self, path: str, index: int, title: str | None):
        self.place, self.faults = (path, index, title), []

    def add(
        self, severity: Severity, field: str, template: str, *values: Any, hint: str = ""
    ) -> None:
        kind = template.replace("{:,}", "{}").replace("{!r}", "{}").replace("{}", "…")
        if field:
            kind = f"{re.sub(r'[0-9]+', '', field)}: {kind}"
        message = template.format(*values) + hint
        self.faults.append(Fault(*self.place, field, severity, message, kind))

    def error(self, field: str, template: str, *values: Any, hint: str = "") -> None:
        self.add("error", field, template, *values, hint=hint)

    def warning(self, field: str, template: str, *values: Any) -> None:
        self.add("warning", field, template, *values)

    def unexpected(self, field: str, expected: str, value: Any) -> None:
        self.error(field, f"expected {expected}; got {{}}", _short(value))

    def has(self, key: str, holder: dict, field: str, expected: str) -> bool:
        """Whether `holder` has the key; an error, with a hint at a misspelt one, if not."""
        if key not in holder:
            near = difflib.get_close_matches(key, [k for k in holder if k not in _KEYS], n=1)
            hint = f" (there is {near[0]!r})" if near else ""
            self.error(field, f"missing; expected {expected}", hint=hint)
        return key in holder

    def is_text(self, field: str, value: Any) -> bool:
        if not isinstance(value, str):
            self.unexpected(field, "a text", value)
            return False
        if not _all_text([value]):
            shown = ascii(value[:60])
            self.error(field, "is not valid Unicode (half of a surrogate pair): {}", shown)
            return False
        return True


def _document(
    found: _Findings, document: Any, relations: Collection[str] | None, labelled: bool | None
) -> None:
    if not isinstance(document, dict):
        found.unexpected("", "an object with the keys title, sents, vertexSet, labels", document)
        return
    if (
        found.has("title", document, "title", "a text that is unique within the file")
        and found.is_text("title", document["title"])
        and not document["title"].strip()
    ):
        found.error("title", "is empty; expected a text")
    _sentences(found, document)
    _entities(found, document)
    if labelled is not None:
        _labels(found, document, relations, labelled)


def _sentences(found: _Findings, document: dict) -> None:
    expected = "a list of sentences, each a list of words"
    if not found.has("sents", document, "sents", expected):
        return
    sentences = document["sents"]
    if not isinstance(sentences, list):
        found.unexpected("sents", expected, sentences)
        return
    for s, sentence in enumerate(sentences):
        if not isinstance(sentence, list):
            found.unexpected(f"sents[{s}]", "a list of words", sentence)
        elif not _all_text(sentence):
            for w, word in enumerate(sentence):
                found.is_text(f"sents[{s}][{w}]", word)
        elif "" in sentence:
            field = f"sents[{s}][{sentence.index('')}]"
            found.warning(field, "an empty word: no token stands for it")
    if not any(isinstance(sentence, list) and sentence for sentence in sentences):
        expected = "expected at least one sentence of at least one word"
        found.error("sents", f"the document is empty; {expected}")


def _entities(found: _Findings, document: dict) -> None:
    expected = "a list of entities, each a list of mentions"
    if not found.has("vertexSet", document, "vertexSet", expected + "; [] if there are none"):
        return
    entities = document["vertexSet"]
    if not isinstance(entities, list):
        found.unexpected("vertexSet", expected, entities)
        return
    sentences = document["sents"] if isinstance(document.get("sents"), list) else None
    owner: dict[tuple[int, int, int], int] = {}  # span -> the entity that has it
    for e, mentions in enumerate(entities):
        field = f"vertexSet[{e}]"
        if not isinstance(mentions, list):
            found.unexpected(field, "a list of mentions", mentions)
        elif not mentions:
            found.error(field, "the entity has no mention; expected at least one")
        else:
            for m, mention in enumerate(mentions):
                _mention(found, f"{field}[{m}]", e, mention, sentences, owner)
    count = len(entities)
    if count > MOST_ENTITIES:
        most = f"a model takes at most {MOST_ENTITIES:,} entities"
        pairs = count * (count - 1)
        found.warning("vertexSet", f"{{:,}} entities make {{:,}} pairs: {most}", count, pairs)
    if count < 2:
        template = "{} entity: the document has no pair to classify"
        found.add("info", "vertexSet", template, count or "no")


def _mention(
    found: _Findings,
    field: str,
    entity: int,
    mention: Any,
    sentences: list | None,
    owner: dict[tuple[int, int, int], int],
) -> None:
    if not isinstance(mention, dict):
        found.unexpected(field, "an object with the keys name, pos, sent_id, type", mention)
        return
    for key in ("name", "type"):
        if found.has(key, mention, f"{field}.{key}", "a text"):
            found.is_text(f"{field}.{key}", mention[key])
    sentence = _sentence_of(found, f"{field}.sent_id", mention, sentences)

    expected = "[start, end), the mention's words within its sentence"
    if not found.has("pos", mention, f"{field}.pos", expected):
        return
    pos = mention["pos"]
    if not isinstance(pos, list) or [type(position) for position in pos] != [int, int]:
        found.unexpected(f"{field}.pos", "two integers [start, end)", pos)
        return
    if not isinstance(sentence, list):
        return
    start, end = pos
    if not 0 <= start < end <= len(sentence):
        found.error(
            f"{field}.pos",
            "[{}, {}) lies outside sentence {}, which has {} words",
            *(_short(start), _short(end), mention["sent_id"], len(sentence)),
            hint=f"; expected 0 <= start < end <= {len(sentence)}",
        )
        return

    span = (mention["sent_id"], start, end)
    if span in owner:
        which = "the same entity" if owner[span] == entity else f"entity {owner[span]}"
        found.add("info", f"{field}.pos", "{} has a mention of the very same words", which)
    owner.setdefault(span, entity)
    words, name = sentence[start:end], mention.get("name")
    if not isinstance(name, str) or not _all_text(words):
        return
    if "".join(name.split()) != "".join("".join(words).split()):
        template = "the name {} differs from the mention's words {}"
        found.warning(f"{field}.name", template, _short(name), _short(" ".join(words)))


def _sentence_of(found: _Findings, field: str, mention: dict, sentences: list | None) -> Any:
    """The mention's sentence, None where that is not known."""
    if not found.has("sent_id", mention, field, "the number of the mention's sentence, from 0"):
        return None
    number = mention["sent_id"]
    if type(number) is not int:
        found.unexpected(field, "an integer, the number of a sentence", number)
    elif sentences is not None:
        if 0 <= number < len(sentences):
            return sentences[number]
        there = f"the document has {len(sentences)} sentences (0 to {len(sentences) - 1})"
        there = there if sentences else "there is none"
        found.error(field, "sentence {} does not exist: {}", _short(number), there)
    return None


def _labels(
    found: _Findings, document: dict, relations: Collection[str] | None, labelled: bool
) -> None:
    labels = document.get("labels")
    if labels is None:
        if labelled:
            # `null` is as good as missing.
            others = {key: value for key, value in document.items() if key != "labels"}
            found.has("labels", others, "labels", "a list of facts; [] if there are none")
        else:
            use = "one can predict on the document, but neither train nor score on it"
            found.warning("labels", f"missing: {use}")
        return
    if not isinstance(labels, list):
        found.unexpected("labels", "a list of facts", labels)
        return
    seen: dict[tuple, int] = {}
    for f, fact in enumerate(labels):
        field = f"labels[{f}]"
        if not isinstance(fact, dict):
            found.unexpected(field, "an object with the keys h, t, r", fact)
            continue
        before = len(found.faults)
        _fact(found, field, fact, document.get("vertexSet"), relations)
        sound = len(found.faults) == before
        _evidence(found, f"{field}.evidence", fact, document.get("sents"))
        if sound:
            key = (fact["h"], fact["t"], fact["r"])
            if seen.setdefault(key, f) != f:
                template = "repeats labels[{}] {}: it counts once"
                found.warning(field, template, seen[key], _short(key))
            elif fact["h"] == fact["t"]:
                use = "it stays in gold, but is not trained on"
                template = f"relates entity {{}} to itself by {{}}: {use}"
                found.warning(field, template, fact["h"], _short(fact["r"]))
    if not labels:
        use = "it counts in evaluation through false positives only"
        found.warning("labels", f"the document has no fact: {use}")


def _fact(
    found: _Findings, field: str, fact: dict, entities: Any, relations: Collection[str] | None
) -> None:
    for key, role in (("h", "head"), ("t", "tail")):
        number = f"the number of the {role} entity"
        if not found.has(key, fact, f"{field}.{key}", f"{number}, from 0"):
            continue
        if type(fact[key]) is not int:
            found.unexpected(f"{field}.{key}", f"an integer, {number}", fact[key])
        elif isinstance(entities, list) and not 0 <= fact[key] < len(entities):
            there = f"{len(entities)} entities (0 to {len(entities) - 1})"
            template = "entity {} does not exist: the document has {}"
            values = _short(fact[key]), there if entities else "no entity"
            found.error(f"{field}.{key}", template, *values)
    field, name = f"{field}.r", "the name of a relation"
    if not found.has("r", fact, field, "the name of the relation"):
        return
    relation = fact["r"]
    if not found.is_text(field, relation):
        return
    if not relation:
        found.error(field, f"is empty; expected {name}")
    elif is_na(relation):
        template = "{!r} is no relation: leave pairs without a relation out of labels"
        found.error(field, template, relation)
    elif relations is not None and relation not in relations:
        message = unknown_relation(relation, relations)
        found.error(field, "unknown relation", hint=message.removeprefix("unknown relation"))


def _evidence(found: _Findings, field: str, fact: dict, sentences: Any) -> None:
    evidence = fact.get("evidence")
    if evidence is None or not isinstance(sentences, list):
        return
    cited = evidence if isinstance(evidence, list) else [evidence]
    known = evidence_of(fact, sentences)
    if strange := [s for s in cited if type(s) is not int or s not in known]:
        template = "{} is not the number of a sentence of the document (0 to {}); ignored"
        found.warning(field, template, _short(strange[0]), len(sentences) - 1)


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
    where = f"not among the {len(relations)} relations of the inventory"
    return f"unknown relation {_short(relation)}: {where}{hint}"


_KEYS = frozenset(
    {"title", "sents", "vertexSet", "labels", "name", "pos", "sent_id", "type", "h", "t", "r"}
)


def _all_text(words: list) -> bool:
    try:
        "".join(words).encode()
    except (TypeError, UnicodeEncodeError):
        return False
    return True
