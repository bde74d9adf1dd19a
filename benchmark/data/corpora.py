"""Splits of canonical rows -> a corpus: its inventory, its frequent relations, and its notes."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
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


def corpus_of_splits(
    name: str,
    splits: Mapping[str, Dataset],
    *,
    where: str,
    inventory: tuple[str, ...] | None = None,
    relation_names: Mapping[str, str],
    frequent: Sequence[str] | None = None,
    undirected: bool = False,
    notes: Sequence[str] = (),
    licence: str = "",
) -> Corpus:
    """The corpus of the splits train, dev and test.

    Args:
        where: the file or folder that messages name.
        inventory: the relations in class order. None: those of all splits, sorted.
        frequent: as for `docred-format`.

    Raises:
        DataError: there is nothing to learn.
        ConfigError: `frequent` is no list, or names a relation that the inventory lacks.
    """
    from benchmark.data.documents import Corpus

    if frequent is not None and not isinstance(frequent, (list, tuple, set, frozenset)):
        raise ConfigError(f"dataset '{name}': frequent: expected a list, got {frequent!r}")
    counts = {split: relation_frequencies(documents) for split, documents in splits.items()}
    if inventory is None:
        inventory = tuple(sorted(set().union(*counts.values())))
        if not inventory:
            raise DataError(
                f"{where}: no document of any split has a fact, and no inventory is given: there "
                "is no relation to learn"
            )
    if not counts["train"]:
        raise DataError(f"{where}: no training document has a fact: there is nothing to learn")
    if frequent is None:
        train = counts["train"]
        frequent = sorted(train, key=lambda relation: (-train[relation], relation))[:10]
    for relation in frequent:
        if relation not in inventory:
            raise ConfigError(
                f"dataset '{name}': frequent: {unknown_relation(str(relation), inventory)}"
            )
    known = {
        relation: relation_names[relation] for relation in inventory if relation in relation_names
    }
    return Corpus(
        name=name,
        train=splits["train"],
        dev=splits["dev"],
        test=splits["test"],
        relations=inventory,
        relation_names=known,
        frequent=frozenset(frequent) or None,
        undirected=undirected,
        notes=(*notes, *_without_a_tail(inventory, frequent), *_shared_titles(splits)),
        licence=licence,
    )


def _without_a_tail(inventory: Sequence[str], frequent: Collection[str]) -> Iterator[str]:
    """A note where all relations are frequent."""
    if set(inventory) <= set(frequent):
        all_of_them = (
            "the only relation is"
            if len(inventory) == 1
            else (f"all {len(inventory)} relations are")
        )
        yield (
            f"{all_of_them} frequent, so LTail F1 is undefined: dataset.frequent names the "
            "frequent ones"
        )


def partial(count: int, full: int | None, source: str) -> list[str]:
    """The note of a training split that is smaller than the published one; else none."""
    if full is None or count >= full:
        return []
    return [
        f"trained on {count:,} documents ({source}), not the {full:,} of the published training "
        "split: scores, Ign F1 above all, are not comparable with published ones"
    ]


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
            f'{where}: expected relations as {{"P17": 1, ...}}, {{"P17": "country", ...}} or '
            '["P17", ...]'
        )
    relations = [relation for relation in relations if not is_na(relation)]
    if not relations or "" in relations or len(set(relations)) != len(relations):
        raise DataError(
            f"{where}: expected at least one relation, each named once and none empty; got "
            f"{len(relations)}"
        )
    return tuple(relations), names


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
    make = functools.partial(
        datasets.Dataset.from_generator, rows, features=FEATURES, fingerprint=fingerprint
    )
    try:
        with contextlib.nullcontext() if progress else without_bars():
            try:
                return make()
            except (ValueError, OSError) as error:
                if not says_torn(error):
                    raise
                cache = Path(datasets.config.HF_DATASETS_CACHE)
                for folder in cache.glob(f"generator/*{fingerprint}*"):
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
                f"{folder}: parsed documents cannot be cached there: {cause}. HF_DATASETS_CACHE "
                "names another folder"
            ) from error
        raise


@contextlib.contextmanager
def without_bars() -> Iterator[None]:
    """No progress bars of `datasets` in this block."""
    import datasets

    shown = not datasets.are_progress_bars_disabled()
    if shown:
        datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()


def read_names(path: str | None) -> dict[str, str]:
    if path is None:
        return {}
    names = read_json(path)
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise DataError(
            f'{path}: expected readable names of relations as {{"P17": "country", ...}}'
        )
    return names


def _shared_titles(splits: dict[str, Dataset]) -> Iterator[str]:
    """A note for each split whose documents stand in train too."""
    train = set(splits["train"]["title"])
    for split in ("dev", "test"):
        if shared := sum(title in train for title in splits[split]["title"]):
            count = f"{shared} of {len(splits[split])} {split} documents"
            yield f"{count} have the title of a training document"
