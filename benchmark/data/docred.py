"""DocRED-format JSON files -> canonical rows (benchmark.data.documents) -> a corpus.

validate.py says what such a file must hold. `datasets` keeps parsed documents on disk, under the
digest of the file's content: a second load parses nothing, and a corpus of any size is
memory-mapped.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmark.data.cached import cached
from benchmark.data.corpora import corpus_of_splits, split_off, text_of
from benchmark.data.frequencies import relation_frequencies
from benchmark.data.inventory import read_inventory
from benchmark.data.jsonstream import existing_file, iterate_array
from benchmark.data.validate import Document, Labelled, OwnDocument, evidence_of, sound
from benchmark.errors import ConfigError, DataError
from benchmark.options import Count, checked
from benchmark.registry import DATASETS
from benchmark.store.files import sha256

if TYPE_CHECKING:  # `datasets` takes a second to import, and reading rows does without
    from datasets import Dataset

    from benchmark.data.documents import Corpus

LAYOUT = 2  # raise when the rows made from a file change: part of the cache key
LONG = 50_000_000  # bytes: larger files get a progress bar


@DATASETS.register("docred-format")
def docred_format(
    *,
    train: str,
    test: str,
    dev: str | None = None,
    dev_documents: int = 0,
    split_seed: int = 0,
    relations: str | Sequence[str] | Mapping[str, str] | None = None,
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
            (rel_info.json) or [name], or what such a file holds. None: the relations of all three
            splits, sorted.
        relation_names: a JSON file {name: readable name}.
        frequent: the relations of Freq F1. None: the ten most frequent in train, ties by name.
            Empty: Freq F1 is not defined.
        undirected: facts hold in both directions.
        shown_as: the dataset's name in tables.
        notes: what a reader of the scores must know.

    Raises:
        DataError: a file is missing or faulty; names file, document and field.
        ConfigError: a bad option.
    """
    checked("split_seed", split_seed, Count)
    checked("undirected", undirected, bool)
    if (dev is None) == (checked("dev_documents", dev_documents, Count) == 0):
        raise ConfigError(
            f"dataset '{shown_as}': give either dev (a file) or dev_documents (how many documents "
            "of train become dev)"
        )
    files = {"train": train, "test": test} | ({} if dev is None else {"dev": dev})
    splits = {split: load_split(path) for split, path in files.items()}
    inventory, names = (None, {}) if relations is None else read_inventory(relations)
    if relation_names is not None:
        names = {**names, **read_inventory(relation_names)[1]}
    for split, documents in splits.items():
        if inventory is not None and not set(relation_frequencies(documents)) <= set(inventory):
            for _ in sound(iterate_array(files[split]), files[split], inventory):
                pass  # it raises an error naming the document
    if dev is None:
        splits["train"], splits["dev"] = split_off(splits["train"], dev_documents, split_seed)
    return corpus_of_splits(
        shown_as,
        splits,
        inventory=inventory,
        relation_names=names,
        frequent=frequent,
        undirected=undirected,
        notes=[notes] if isinstance(notes, str) else notes,
    )


def read_documents(
    path: str | os.PathLike, *, labelled: bool = True, relations: Sequence[str] | None = None
) -> Iterator[dict[str, Any]]:
    """Canonical rows of a DocRED-format file, in its order, one at a time.

    Gold is a set: a fact stated twice counts once, with the evidence of both. Facts that relate an
    entity to itself stay.

    Args:
        labelled: every document must have `labels`. False: a document without them has no facts.
        relations: those that facts may have. None: any.

    Raises:
        DataError: the first fault; names file, document, field, and what would be right.
    """
    form = Labelled if labelled else Document
    return rows_of(iterate_array(path), str(path), form, relations)


def own_rows(documents: Iterable[Any], where: str) -> Iterator[dict[str, Any]]:
    """Canonical rows, without facts, of documents that someone wants predictions for.

    They need neither titles nor the names and types of mentions: a document is then called by its
    number from 1, and a mention by its words. Raises DataError, in which `where` names the file.
    """
    titled = (
        {"title": f"document {number}", **document} if isinstance(document, dict) else document
        for number, document in enumerate(documents, start=1)
    )
    return rows_of(titled, where, OwnDocument)


def rows_of(
    documents: Iterable[Any],
    where: str,
    form: type = Labelled,
    relations: Sequence[str] | None = None,
) -> Iterator[dict[str, Any]]:
    """Canonical rows of documents in DocRED's format. Raises DataError at the first fault."""
    return map(_row, sound(documents, where, relations, form))


def load_split(path: str | os.PathLike) -> Dataset:
    """`read_documents` as a memory-mapped Dataset, parsed once and cached on disk. Raises
    DataError.
    """
    file = existing_file(path)
    try:
        digest, long = sha256(file), file.stat().st_size > LONG
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}") from error

    def rows() -> Iterator[dict[str, Any]]:
        yield from read_documents(path)
        if sha256(file) != digest:  # else these rows would be cached as those of the earlier file
            raise DataError(f"{path}: was changed while it was read; run the command again")

    return cached(rows, key=f"{LAYOUT} {digest}", progress=long)


def further_documents(rows: Sequence[dict[str, Any]], corpus: Corpus, where: str) -> Dataset:
    """Canonical rows that an augmenter adds to `corpus`, as a memory-mapped split of it.

    Raises DataError, in which `where` names the augmenter, for the first fault of a document or a
    relation that the corpus does not know.
    """
    rows = list(faultless(rows, where, corpus.relations))
    sha = hashlib.sha256(f"{LAYOUT} further".encode())
    for row in rows:
        sha.update(json.dumps(row, sort_keys=True).encode())
    return cached(lambda: iter(rows), key=sha.hexdigest())


def require_unseen(rows: Iterable[dict[str, Any]], corpus: Corpus, where: str) -> None:
    """Refuse to train on a document of dev or test, whatever its title.

    Raises DataError, in which `where` names the file or the augmenter of the canonical rows.
    """
    held_out = {}
    for split in ("dev", "test"):
        for row in corpus.splits[split].select_columns(["title", "sentences"]):
            held_out[text_of(row)] = f"{split} document {row['title']!r:.80}"
    for number, row in enumerate(rows):
        if known := held_out.get(text_of(row)):
            raise DataError(
                f"{where}: document {number} {row['title']!r:.80} is the {known}, word for word: "
                "leave it out, so that scores are those of unseen documents"
            )


def faultless(
    rows: Iterable[dict[str, Any]], where: str, relations: Sequence[str] | None = None
) -> Iterator[dict[str, Any]]:
    """Canonical rows, checked by the rules of `data validate`. As in `read_documents`, a fact
    counts once. Unknown keys, and evidence that names no sentence, are dropped.

    Raises DataError at the first fault.
    """
    try:
        yield from rows_of(map(as_docred, rows), where, relations=relations)
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{where}: expected documents as benchmark/data/documents.py describes them; "
            f"{type(error).__name__}: {error}"
        ) from error


def as_docred(row: dict[str, Any]) -> dict[str, Any]:
    """A canonical row in DocRED's format."""
    return {
        "title": row["title"],
        "sents": row["sentences"],
        "vertexSet": [
            [
                {
                    "name": mention["name"],
                    "sent_id": mention["sentence"],
                    "pos": [mention["start"], mention["end"]],
                    "type": entity["type"],
                }
                for mention in entity["mentions"]
            ]
            for entity in row["entities"]
        ],
        "labels": [
            {"h": f["head"], "t": f["tail"], "r": f["relation"], "evidence": f.get("evidence")}
            for f in row["facts"]
        ],
    }


def _row(document: dict[str, Any]) -> dict[str, Any]:
    """One faultless document in the canonical schema."""
    sentences = document["sents"]
    facts: dict[tuple[int, int, str], set[int]] = {}
    for fact in document.get("labels") or ():
        key = fact["h"], fact["t"], fact["r"]
        facts.setdefault(key, set()).update(evidence_of(fact, sentences))
    return {
        "title": document["title"],
        "sentences": sentences,
        "entities": [_entity(mentions, sentences) for mentions in document["vertexSet"]],
        "facts": [
            {"head": head, "tail": tail, "relation": relation, "evidence": sorted(evidence)}
            for (head, tail, relation), evidence in facts.items()
        ],
    }


def _entity(mentions: list[dict[str, Any]], sentences: list[list[str]]) -> dict[str, Any]:
    places = []
    for mention in mentions:
        sentence, (start, end) = mention["sent_id"], mention["pos"]
        name = mention.get("name", " ".join(sentences[sentence][start:end]))
        places.append({"name": name, "sentence": sentence, "start": start, "end": end})
    longest = max(range(len(places)), key=lambda m: len(places[m]["name"]))
    return {"type": mentions[longest].get("type", ""), "mentions": places}
