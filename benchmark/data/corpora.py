"""Splits of canonical rows -> a corpus: its inventory, its frequent relations, and its notes."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.data.jsonstream import read_json
from benchmark.data.validate import is_na, unknown_relation
from benchmark.errors import ConfigError, DataError, UserError
from benchmark.seeds import derive
from benchmark.store.files import says_torn

if TYPE_CHECKING:  # `datasets` takes a second to import
    from datasets import Dataset

    from benchmark.data.documents import Corpus

SPLITS = ("train", "dev", "test")
MOST_FREQUENT = 10  # relations of Freq F1 where none are named


def corpus_of_splits(
    name: str,
    splits: Mapping[str, Dataset],
    *,
    inventory: Sequence[str] | None,
    relation_names: Mapping[str, str] | None = None,
    frequent: Sequence[str] | None = None,
    undirected: bool = False,
    notes: Sequence[str] = (),
) -> Corpus:
    """The corpus of the splits train, dev and test.

    Args:
        inventory: the relations in class order. None: those of all splits, sorted.
        frequent: as for `docred-format`.

    Raises:
        DataError: there is nothing to learn.
        ConfigError: `name` is no text, `frequent` or `notes` no list of texts, or `frequent` names
            a relation that the inventory lacks.
    """
    from benchmark.data.documents import Corpus

    if not isinstance(name, str):
        raise ConfigError(f"dataset {name!r:.80}: its name in tables must be a text")
    for option, value in (("frequent", () if frequent is None else frequent), ("notes", notes)):
        if not isinstance(value, (list, tuple, set, frozenset)) or not _all_text(value):
            what = "expected a list of texts"
            raise ConfigError(f"dataset '{name}': {option}: {what}, got {value!r:.80}")
    known = relation_names or {}
    counts = {split: relation_frequencies(documents) for split, documents in splits.items()}
    if not counts["train"]:
        raise DataError(
            f"dataset '{name}': no training document has a fact: there is nothing to learn"
        )
    if inventory is None:
        inventory = sorted(set().union(*counts.values()))
    if frequent is None:
        train = relation_frequencies(splits["train"], undirected=undirected)
        frequent = by_frequency(train)[:MOST_FREQUENT]
    for relation in frequent:
        if relation not in inventory:
            unknown = unknown_relation(relation, inventory)
            raise ConfigError(f"dataset '{name}': frequent: {unknown}")
    return Corpus(
        name=name,
        **splits,
        relations=tuple(inventory),
        relation_names={name: known[name] for name in inventory if name in known},
        frequent=frozenset(frequent) or None,
        undirected=undirected,
        notes=(*notes, *_remarks(splits, inventory, frequent)),
    )


def _remarks(
    splits: Mapping[str, Dataset], inventory: Sequence[str], frequent: Sequence[str]
) -> Iterator[str]:
    """Notes where all relations are frequent, and where documents stand in two splits."""
    if set(inventory) <= set(frequent):
        count = len(inventory)
        all_of_them = "the only relation is" if count == 1 else f"all {count} relations are"
        yield (
            f"{all_of_them} frequent, so LTail F1 is undefined: dataset.frequent names the "
            "frequent ones"
        )
    train = {title: number for number, title in enumerate(splits["train"]["title"])}
    for split in ("dev", "test"):
        documents = splits[split]
        shared = [(title, n) for n, title in enumerate(documents["title"]) if title in train]
        texts = splits["train"].select_columns("sentences"), documents.select_columns("sentences")
        same = sum(texts[0][train[title]] == texts[1][number] for title, number in shared)
        if same:
            yield (
                f"{same} of {len(documents)} {split} documents are training documents, word for "
                f"word: scores on {split} do not tell how well unseen documents are read"
            )
        if others := len(shared) - same:
            count = f"{others} of {len(documents)} {split} documents"
            yield f"{count} have the title of a training document"


def with_source(corpus: Corpus, source: str, *, full: int, less: int, licence: str) -> Corpus:
    """The corpus with the licence of its documents, and a note if its training split, read from
    `source`, is not the published one of `full` documents. `less` of train became dev.
    """
    notes, count = corpus.notes, len(corpus.train)
    if count != full:
        source += f", less {less} to select on" if less else ""
        note = (
            f"trained on {count:,} documents ({source}), not the {full:,} of the published "
            "training split: scores, Ign F1 above all, are not comparable with published ones"
        )
        notes = (note, *notes)
    return dataclasses.replace(corpus, notes=notes, licence=licence)


def split_off(documents: Dataset, count: int, seed: int) -> tuple[Dataset, Dataset]:
    """(the others, `count` documents drawn by `seed`), both in file order."""
    if count >= len(documents):
        raise ConfigError(
            f"dev_documents = {count}, but train holds only {len(documents)} documents"
        )
    drawn = set(random.Random(derive(seed, "split")).sample(range(len(documents)), count))
    others = [number for number in range(len(documents)) if number not in drawn]
    return documents.select(others), documents.select(sorted(drawn))


def relation_frequencies(documents: Dataset, *, undirected: bool = False) -> Counter[str]:
    """Number of facts of each relation. undirected: one that is stated in both directions counts
    once.
    """
    if not undirected:
        return tally(documents, "facts", "relation")
    stated = (
        {(*sorted((fact["head"], fact["tail"])), fact["relation"]) for fact in facts}
        for facts in documents["facts"]
    )
    return Counter(relation for facts in stated for *_, relation in facts)


def tally(documents: Dataset, column: str, key: str) -> Counter[str]:
    """How often each value of `key` occurs among the entries of a list column."""
    counts: Counter[str] = Counter()
    for batch in documents.select_columns(column).with_format("arrow").iter(1000):
        values = batch[column].combine_chunks().flatten().field(key)
        counts.update({v["values"]: v["counts"] for v in values.value_counts().to_pylist()})
    return counts


def by_frequency(counts: Mapping[str, int]) -> list[str]:
    """The names that are counted, most frequent first, ties by name."""
    return sorted(counts, key=lambda name: (-counts[name], name))


def read_inventory(
    source: str | os.PathLike | Sequence[str] | Mapping[str, Any],
) -> tuple[tuple[str, ...], dict[str, str]]:
    """(relations in class order, readable names where known) of rel2id.json, rel_info.json, a JSON
    list, or what such a file holds. The entry for pairs without a relation ("Na") is left out.

    Raises DataError when it is none of these, is empty, or names a relation twice.
    """
    is_file = isinstance(source, (str, os.PathLike))
    where, content = (source, read_json(source)) if is_file else ("relations", source)
    named = isinstance(content, (dict, list, tuple)) and _all_text(content)
    values = list(content.values()) if named and isinstance(content, dict) else []
    names: dict[str, str] = {}
    numbered = all(type(value) is int for value in values) and len({*values}) == len(values)
    if values and numbered:
        relations = sorted(content, key=content.get)
    elif values and _all_text(values):
        relations, names = list(content), content
    elif named and not isinstance(content, dict):
        relations = list(content)
    else:
        quoted = "" if is_file else "; names that YAML reads as 17 or false need quotes"
        raise DataError(
            f'{where}: expected relations as {{"P17": 1, ...}}, each with a number of its own, '
            f'{{"P17": "country", ...}} or ["P17", ...]{quoted}'
        )
    relations = [relation for relation in relations if not is_na(relation)]
    if not relations or "" in relations or len(set(relations)) != len(relations):
        raise DataError(
            f"{where}: expected at least one relation, each named once and none empty; got "
            f"{len(relations)}"
        )
    return tuple(relations), names


def _all_text(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


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

    cache = datasets.config.HF_DATASETS_CACHE
    fingerprint = hashlib.sha256(f"{key} {FEATURES!r}".encode()).hexdigest()[:32]
    make = lambda: datasets.Dataset.from_generator(rows, features=FEATURES, fingerprint=fingerprint)
    try:
        with contextlib.nullcontext() if progress else without_bars():
            try:
                return make()
            except (ValueError, OSError) as error:
                if not says_torn(error):
                    raise
                for folder in Path(cache).glob(f"generator/*{fingerprint}*"):
                    shutil.rmtree(folder)
                return make()
    except (DatasetGenerationError, OSError) as error:
        cause = error.__cause__ or error
        if isinstance(cause, UserError):
            raise cause from None
        if not isinstance(cause, OSError):
            raise
        raise UserError(
            f"{cache}: parsed documents cannot be cached there: {cause}. HF_DATASETS_CACHE names "
            "another folder"
        ) from error


@contextlib.contextmanager
def without_bars() -> Iterator[None]:
    """No progress bars of `datasets` in this block."""
    import datasets

    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()
