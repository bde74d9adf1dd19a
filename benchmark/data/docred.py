"""DocRED-format JSON files -> canonical rows (benchmark.data.documents) -> a corpus.

validate.py says what such a file must hold. `datasets` keeps parsed documents on disk, under the
digest of the file's content: a second load parses nothing, and a corpus of any size is
memory-mapped.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.data.corpora import (
    cached,
    corpus_of_splits,
    partial,
    read_inventory,
    read_names,
    relation_frequencies,
    split_off,
)
from benchmark.data.jsonstream import existing_file
from benchmark.data.validate import Fault, evidence_of, examined, examined_documents
from benchmark.errors import ConfigError, DataError
from benchmark.registry import DATASETS

if TYPE_CHECKING:  # `datasets` takes a second to import, and reading rows does without
    from datasets import Dataset

    from benchmark.data.documents import Corpus

LAYOUT = 2  # raise when the rows made from a file change: part of the cache key
PLACE = ("name", "sentence", "start", "end")  # of a mention
LONG = 50_000_000  # bytes of a file from which on a progress bar is worth its line


@DATASETS.register("docred-format")
def docred_format(
    *,
    train: str,
    test: str,
    dev: str | None = None,
    dev_documents: int = 0,
    split_seed: int = 0,
    relations: str | Sequence[str] | None = None,
    relation_names: str | None = None,
    frequent: Sequence[str] | None = None,
    undirected: bool = False,
    shown_as: str = "docred-format",
    notes: Sequence[str] = (),
) -> Corpus:
    """Any DocRED-format JSON files, by path.

    Args:
        train, dev, test: the files. Without `dev`, `dev_documents` documents drawn by `split_seed`
            leave train to become dev.
        relations: the inventory: a JSON file {name: number} (rel2id.json), {name: readable name}
            (rel_info.json) or [name], or the names themselves. None: the relations of all three
            splits, sorted.
        relation_names: a JSON file {name: readable name}.
        frequent: the relations of Freq F1. None: the ten most frequent in train, ties by name.
            Empty: Freq F1 is not defined.
        undirected: facts hold in both directions.
        shown_as: the dataset's name in tables.
        notes: what a reader of the scores must know.

    Raises:
        DataError: a file is missing or faulty; names file, document and field.
        ConfigError: an option is.
    """
    return corpus_of_files(
        shown_as,
        train=train,
        dev=dev,
        test=test,
        dev_documents=dev_documents,
        split_seed=split_seed,
        relations=relations,
        relation_names=relation_names,
        frequent=frequent,
        undirected=undirected,
        notes=notes,
    )


def corpus_of_files(
    name: str,
    *,
    train: str,
    dev: str | None,
    test: str,
    dev_documents: int = 0,
    split_seed: int = 0,
    relations: str | Sequence[str] | None = None,
    relation_names: str | dict[str, str] | None = None,
    frequent: Sequence[str] | None = None,
    undirected: bool = False,
    notes: Sequence[str] = (),
    full_train: int | None = None,
    licence: str = "",
) -> Corpus:
    """The corpus of three files; arguments as for `docred_format`.

    Args:
        full_train: documents of the published training split; a note says so when there are fewer.
        licence: of the documents.
    """
    checked = {"train": train, "dev": dev, "test": test, "dev_documents": dev_documents}
    checked |= {"split_seed": split_seed, "undirected": undirected, "notes": notes}
    _check_options(name, checked)
    inventory, names = (None, {}) if relations is None else read_inventory(relations)
    names |= relation_names if isinstance(relation_names, dict) else read_names(relation_names)

    splits = {"train": load_split(train), "test": load_split(test)}
    if dev is not None:
        splits["dev"] = load_split(dev)
    if inventory is not None:
        for split, path in (("train", train), ("dev", dev), ("test", test)):
            if path is not None:
                _check_relations(path, relation_frequencies(splits[split]), inventory)
    source = Path(train).name
    if dev is None:
        if dev_documents >= (count := len(splits["train"])):
            raise ConfigError(
                f"dataset '{name}': dev_documents = {dev_documents}, but {train} holds only "
                f"{count} documents"
            )
        splits["train"], splits["dev"] = split_off(splits["train"], dev_documents, split_seed)
        source += f", less {dev_documents} to select on"
    return corpus_of_splits(
        name,
        splits,
        where=train,
        inventory=inventory,
        relation_names=names,
        frequent=frequent,
        undirected=undirected,
        notes=[*notes, *partial(len(splits["train"]), full_train, source)],
        licence=licence,
    )


def read_documents(
    path: str | os.PathLike, *, labelled: bool | None = True, distinct: bool = True
) -> Iterator[dict[str, Any]]:
    """Canonical rows of a DocRED-format file, in its order, one at a time.

    Gold is a set: a fact stated twice counts once, with the evidence of both. Facts that relate an
    entity to itself stay.

    Args:
        labelled: every document must have `labels`. False: a document without them has no facts.
            None: no document has any, whatever stands there.
        distinct: False leaves repeated facts as they stand, for statistics of the file.

    Raises:
        DataError: the first fault; names file, document, field, and what would be right.
    """
    yield from _rows(examined(path, labelled=labelled), labelled, distinct)


def own_rows(documents: Iterable[Any], where: str) -> Iterator[dict[str, Any]]:
    """Canonical rows, without facts, of documents that someone wants predictions for.

    They need neither titles nor the names and types of mentions: a document is then called by its
    number from 1, and a mention by its words.

    Args:
        where: the file that messages name.

    Raises:
        DataError: as `read_documents`.
    """
    named = (_named(document, number) for number, document in enumerate(documents, start=1))
    yield from _rows(examined_documents(named, where, labelled=None), None, True)


def _rows(
    examined: Iterable[tuple[int, Any, list[Fault]]], labelled: bool | None, distinct: bool
) -> Iterator[dict[str, Any]]:
    for _, document, found in examined:
        for fault in found:
            if fault.severity == "error":
                raise DataError(str(fault))
        yield _row(document if labelled is not None else {**document, "labels": []}, distinct)


def _named(document: Any, number: int) -> Any:
    """The document with a title, and its mentions with names and types, where they can be had."""
    if not isinstance(document, dict):
        return document
    entities = document.get("vertexSet")
    for mentions in entities if isinstance(entities, list) else ():
        for mention in mentions if isinstance(mentions, list) else ():
            if not isinstance(mention, dict):
                continue
            with contextlib.suppress(
                KeyError, TypeError, IndexError, ValueError
            ):  # validation tells
                start, end = mention["pos"]
                words = document["sents"][mention["sent_id"]][start:end]
                mention.setdefault("name", " ".join(words))
            mention.setdefault("name", "")
            mention.setdefault("type", "")
    return {"title": f"document {number}", **document}


def load_split(path: str | os.PathLike, *, labelled: bool | None = True) -> Dataset:
    """`read_documents` as a memory-mapped Dataset, parsed once and cached on disk. Raises
    DataError.
    """
    file = existing_file(path)
    digest = hashlib.sha256(f"{LAYOUT} {labelled}".encode())
    try:
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
        long = file.stat().st_size > LONG
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    return cached(
        lambda: read_documents(path, labelled=labelled), key=digest.hexdigest(), progress=long
    )


def _row(document: dict, distinct: bool) -> dict[str, Any]:
    """One faultless document in the canonical schema."""
    stated = [
        ((fact["h"], fact["t"], fact["r"]), evidence_of(fact, document["sents"]))
        for fact in document.get("labels") or ()
    ]
    if distinct:
        union: dict[tuple[int, int, str], set[int]] = {}
        for fact, evidence in stated:
            union.setdefault(fact, set()).update(evidence)
        stated = list(union.items())
    return {
        "title": document["title"],
        "sentences": document["sents"],
        "entities": [
            {
                "type": max(mentions, key=lambda mention: len(mention["name"]))["type"],
                "mentions": [
                    dict(zip(PLACE, (m["name"], m["sent_id"], *m["pos"]), strict=True))
                    for m in mentions
                ],
            }
            for mentions in document["vertexSet"]
        ],
        "facts": [
            {"head": head, "tail": tail, "relation": relation, "evidence": sorted(evidence)}
            for (head, tail, relation), evidence in stated
        ],
    }


def _check_options(name: str, options: dict[str, Any]) -> None:
    """Raises ConfigError at the first option of `corpus_of_files` that is wrong."""

    def refuse(option: str, expected: str) -> None:
        text = f"expected {expected}, got {options[option]!r}"
        raise ConfigError(f"dataset '{name}': {option}: {text}")

    dev, drawn = options["dev"], options["dev_documents"]
    for option in ("train", "dev", "test"):
        if not isinstance(options[option], (str, os.PathLike)) and (
            option != "dev" or dev is not None
        ):
            refuse(option, "the path of a DocRED-format JSON file")
    for option in ("dev_documents", "split_seed"):
        if type(options[option]) is not int or options[option] < 0:
            refuse(option, "an integer from 0")
    if dev is None and drawn == 0:
        refuse("dev", "a file, or dev_documents: how many documents of train to select on")
    if dev is not None and drawn > 0:
        refuse("dev_documents", f"0, since dev is given ({dev}); or leave dev out")
    if not isinstance(options["notes"], (list, tuple)):
        refuse("notes", "a list")
    if type(options["undirected"]) is not bool:
        refuse("undirected", "true or false")


def _check_relations(path: str, frequencies: Counter[str], inventory: tuple[str, ...]) -> None:
    """Raises DataError at the first fact whose relation is not in the inventory."""
    if set(frequencies) <= set(inventory):
        return
    for _, _, found in examined(path, relations=inventory):
        for fault in found:
            if fault.severity == "error":
                raise DataError(str(fault))
