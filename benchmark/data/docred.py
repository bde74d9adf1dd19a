"""DocRED-format JSON files -> canonical rows (benchmark.data.documents) -> a corpus.

What such a file must hold stands in validate.py. Parsed documents are kept on disk by `datasets`,
under the digest of the file's
content: a second load parses nothing, and a corpus of any size is memory-mapped.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.data.jsonstream import existing_file, read_json
from benchmark.data.validate import evidence_of, examined, is_na, unknown_relation
from benchmark.errors import ConfigError, DataError, UserError
from benchmark.registry import DATASETS
from benchmark.seeds import derive
from benchmark.store.files import says_torn

if TYPE_CHECKING:  # `datasets` takes a second to import, and reading rows does without
    from datasets import Dataset

    from benchmark.data.documents import Corpus

LAYOUT = 2  # raise when the rows made from a file change: part of the cache key
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
) -> Corpus:
    """The corpus of three files; arguments as for `docred_format`.

    Args:
        full_train: documents of the published training split; a note says so when there are fewer.
    """
    from benchmark.data.documents import Corpus

    _check_options(name, train, dev, test, dev_documents, split_seed, frequent, undirected, notes)
    names: dict[str, str] = {}
    inventory: tuple[str, ...] | None = None
    if relations is not None:
        inventory, names = read_inventory(relations)
    names |= _read_names(relation_names) if not isinstance(relation_names, dict) else relation_names

    splits = {"train": load_split(train), "test": load_split(test)}
    frequencies = {split: relation_frequencies(documents) for split, documents in splits.items()}
    if dev is None:
        count = len(splits["train"])
        if dev_documents >= count:
            raise ConfigError(
                f"dataset '{name}': dev_documents = {dev_documents}, but {train} holds only {count} documents"
            )
        splits["train"], splits["dev"] = split_off(splits["train"], dev_documents, split_seed)
    else:
        splits["dev"] = load_split(dev)
        frequencies["dev"] = relation_frequencies(splits["dev"])

    if inventory is None:
        inventory = tuple(sorted(set().union(*frequencies.values())))
        if not inventory:
            raise DataError(
                f"{train}: no document of any split has a fact, and no inventory is given: there is no relation to learn"
            )
    else:
        for split, path in (("train", train), ("dev", dev), ("test", test)):
            if path is not None:
                _check_relations(path, frequencies[split], inventory)
    if not frequencies["train"]:
        raise DataError(f"{train}: no training document has a fact: there is nothing to learn")

    if frequent is None:
        counts = relation_frequencies(splits["train"])
        frequent = sorted(counts, key=lambda relation: (-counts[relation], relation))[:10]
    for relation in frequent:
        if relation not in inventory:
            raise ConfigError(
                f"dataset '{name}': frequent: {unknown_relation(str(relation), inventory)}"
            )

    notes = [*notes]
    if full_train is not None and len(splits["train"]) < full_train:
        source = (
            f"{Path(train).name}, less {dev_documents} to select on"
            if dev is None
            else Path(train).name
        )
        notes.append(
            f"trained on {len(splits['train']):,} documents ({source}), not the {full_train:,} of the published training split: "
            "scores, Ign F1 above all, are not comparable with published ones"
        )
    notes += _shared_titles(splits)
    return Corpus(
        name=name,
        train=splits["train"],
        dev=splits["dev"],
        test=splits["test"],
        relations=inventory,
        relation_names={relation: names[relation] for relation in inventory if relation in names},
        frequent=frozenset(frequent) or None,
        undirected=undirected,
        notes=tuple(notes),
    )


def read_documents(
    path: str | os.PathLike, *, labelled: bool | None = True, distinct: bool = True
) -> Iterator[dict[str, Any]]:
    """Canonical rows of a DocRED-format file, in its order, one at a time.

    Gold is a set: a fact stated twice counts once, with the evidence of both. Facts that relate an entity to itself stay.

    Args:
        labelled: every document must have `labels`. False: a document without them has no facts.
            None: no document has any, whatever stands there.
        distinct: False leaves repeated facts as they stand, for statistics of the file.

    Raises:
        DataError: the first fault; names file, document, field, and what would be right.
    """
    for _, document, found in examined(path, labelled=labelled):
        for fault in found:
            if fault.severity == "error":
                raise DataError(str(fault))
        yield _row(document if labelled is not None else {**document, "labels": []}, distinct)


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


def cached(
    rows: Callable[[], Iterator[dict[str, Any]]], *, key: str, progress: bool = False
) -> Dataset:
    """The Dataset of `rows()`, which is called only when the disk cache of `datasets` holds
    nothing, or a torn file, under `key`.

    Raises:
        UserError: `rows` raised it, or the cache cannot be written.
    """
    import datasets
    from datasets.exceptions import DatasetGenerationError

    from benchmark.data.documents import FEATURES

    fingerprint = hashlib.sha256(f"{key} {FEATURES!r}".encode()).hexdigest()[:32]
    make = partial(
        datasets.Dataset.from_generator, rows, features=FEATURES, fingerprint=fingerprint
    )
    quiet = not progress and not datasets.are_progress_bars_disabled()
    if quiet:
        datasets.disable_progress_bars()
    try:
        try:
            return make()
        except (ValueError, OSError) as error:
            if not says_torn(error):
                raise
            for folder in Path(datasets.config.HF_DATASETS_CACHE).glob(
                f"generator/*{fingerprint}*"
            ):
                shutil.rmtree(folder)
            return make()
    except (DatasetGenerationError, OSError) as error:
        cause = (
            error.__cause__
            if isinstance(error, DatasetGenerationError) and error.__cause__ is not None
            else error
        )
        if isinstance(cause, UserError):
            raise cause from None
        if isinstance(cause, OSError):
            folder = datasets.config.HF_DATASETS_CACHE
            raise UserError(
                f"{folder}: parsed documents cannot be cached there: {cause}. HF_DATASETS_CACHE names another folder"
            ) from error
        raise
    finally:
        if quiet:
            datasets.enable_progress_bars()


def split_off(documents: Dataset, count: int, seed: int) -> tuple[Dataset, Dataset]:
    """(the others, `count` documents drawn by `seed`), both in file order."""
    drawn = set(random.Random(derive(seed, "split")).sample(range(len(documents)), count))
    return (
        documents.select([i for i in range(len(documents)) if i not in drawn]),
        documents.select(sorted(drawn)),
    )


def relation_frequencies(documents: Dataset) -> Counter[str]:
    """Number of facts of each relation."""
    from benchmark.data.documents import tally

    return tally(documents, "facts", "relation")


def read_inventory(
    source: str | os.PathLike | Sequence[str],
) -> tuple[tuple[str, ...], dict[str, str]]:
    """(relations in class order, readable names where known) of rel2id.json, rel_info.json, a JSON
    list, or a list of names.

    The entry for pairs without a relation ("Na") is left out. A {name: number} file is ordered by
    number, others as they stand.
    """
    where, content = "relations", source
    if isinstance(source, (str, os.PathLike)):
        where, content = str(source), read_json(source)
    names: dict[str, str] = {}
    if isinstance(content, dict) and all(type(number) is int for number in content.values()):
        relations = sorted(content, key=content.get)
        if len(set(content.values())) != len(content):
            raise DataError(f"{where}: two relations have the same number")
    elif isinstance(content, dict) and all(isinstance(name, str) for name in content.values()):
        relations, names = list(content), content
    elif isinstance(content, (list, tuple)) and all(isinstance(name, str) for name in content):
        relations = list(content)
    else:
        raise DataError(
            f'{where}: expected relations as {{"P17": 1, ...}}, {{"P17": "country", ...}} or ["P17", ...]'
        )
    relations = [relation for relation in relations if not is_na(relation)]
    if not relations or "" in relations or len(set(relations)) != len(relations):
        raise DataError(
            f"{where}: expected at least one relation, each named once and none empty; got {len(relations)}"
        )
    return tuple(relations), names


def _row(document: dict, distinct: bool) -> dict[str, Any]:
    """One faultless document in the canonical schema."""
    stated: list[tuple[tuple[int, int, str], set[int]]] = [
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
                    {
                        "name": mention["name"],
                        "sentence": mention["sent_id"],
                        "start": mention["pos"][0],
                        "end": mention["pos"][1],
                    }
                    for mention in mentions
                ],
            }
            for mentions in document["vertexSet"]
        ],
        "facts": [
            {"head": head, "tail": tail, "relation": relation, "evidence": sorted(evidence)}
            for (head, tail, relation), evidence in stated
        ],
    }


def _check_options(
    name: str,
    train: Any,
    dev: Any,
    test: Any,
    dev_documents: Any,
    split_seed: Any,
    frequent: Any,
    undirected: Any,
    notes: Any,
) -> None:
    def refuse(option: str, value: Any, expected: str) -> None:
        raise ConfigError(f"dataset '{name}': {option}: expected {expected}, got {value!r}")

    for option, value in (("train", train), ("dev", dev), ("test", test)):
        if not isinstance(value, (str, os.PathLike)) and not (option == "dev" and value is None):
            refuse(option, value, "the path of a DocRED-format JSON file")
    for option, value in (("dev_documents", dev_documents), ("split_seed", split_seed)):
        if type(value) is not int or value < 0:
            refuse(option, value, "an integer from 0")
    if dev is None and dev_documents == 0:
        refuse("dev", dev, "a file, or dev_documents: how many documents of train to select on")
    if dev is not None and dev_documents > 0:
        refuse("dev_documents", dev_documents, f"0, since dev is given ({dev}); or leave dev out")
    for option, value in (("frequent", frequent), ("notes", notes)):
        if value is not None and (
            not isinstance(value, Collection) or isinstance(value, (str, dict))
        ):
            refuse(option, value, "a list")
    if type(undirected) is not bool:
        refuse("undirected", undirected, "true or false")


def _read_names(path: str | None) -> dict[str, str]:
    if path is None:
        return {}
    names = read_json(path)
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise DataError(
            f'{path}: expected readable names of relations as {{"P17": "country", ...}}'
        )
    return names


def _check_relations(path: str, frequencies: Counter[str], inventory: tuple[str, ...]) -> None:
    """Raises DataError at the first fact whose relation is not in the inventory."""
    if set(frequencies) <= set(inventory):
        return
    for _, _, found in examined(path, relations=inventory):
        for fault in found:
            if fault.severity == "error":
                raise DataError(str(fault))


def _shared_titles(splits: dict[str, Dataset]) -> Iterator[str]:
    """A note for each split whose documents stand in train too."""
    train = set(splits["train"]["title"])
    for split in ("dev", "test"):
        if shared := sum(title in train for title in splits[split]["title"]):
            yield f"{shared} of {len(splits[split])} {split} documents have the title of a training document"
