"""Splits of canonical rows -> a corpus: its inventory, its frequent relations, and its notes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmark.data.frequencies import MOST_FREQUENT, by_frequency, relation_frequencies
from benchmark.data.inventory import all_text
from benchmark.data.validate import unknown_relation
from benchmark.errors import ConfigError, DataError
from benchmark.seeds import derive

if TYPE_CHECKING:  # `datasets` takes a second to import
    from datasets import Dataset

    from benchmark.data.documents import Corpus

SPLITS = ("train", "dev", "test")


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
        if not isinstance(value, (list, tuple, set, frozenset)) or not all_text(value):
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
            f"{all_of_them} frequent, so LTail F1 is undefined: name the frequent ones in "
            "dataset.frequent"
        )
    train = splits["train"]
    titles, texts = set(train["title"]), set(map(text_of, train.select_columns("sentences")))
    for split in ("dev", "test"):
        documents = splits[split]
        seen = [text_of(row) in texts for row in documents.select_columns("sentences")]
        if same := sum(seen):
            yield (
                f"{same} of {len(documents)} {split} documents are training documents, word for "
                f"word: scores on {split} do not tell how well unseen documents are read"
            )
        of_titles = zip(documents["title"], seen, strict=True)
        if others := sum(title in titles and not known for title, known in of_titles):
            count = f"{others} of {len(documents)} {split} documents"
            yield f"{count} have the title of a training document"


def text_of(row: Mapping[str, Any]) -> bytes:
    """A digest of a canonical row's words and of how they are split into sentences."""
    return hashlib.sha256(json.dumps(row["sentences"]).encode()).digest()


def with_source(corpus: Corpus, source: str, *, full: int, less: int, licence: str) -> Corpus:
    """The corpus with the licence of its documents, and a note if its training split, read from
    `source`, is not the published one of `full` documents. `less` documents of it became dev.
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
