"""The canonical schema of a document, and the corpus that an experiment runs on.

Every loader makes rows of `FEATURES`; all later code knows only these.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property

from datasets import Dataset, Features, List, Value

from benchmark.data.frequencies import by_frequency, tally

FEATURES = Features(
    {
        "title": Value("string"),
        "sentences": List(List(Value("string"))),  # words
        "entities": List(
            {
                "type": Value("string"),  # of the mention with the longest name
                "mentions": List(
                    {
                        "name": Value("string"),
                        "sentence": Value("int32"),
                        "start": Value("int32"),  # first word
                        "end": Value("int32"),  # one past the last word
                    }
                ),
            }
        ),
        "facts": List(
            {
                "head": Value("int32"),  # index into entities
                "tail": Value("int32"),
                "relation": Value("string"),
                "evidence": List(Value("int32")),  # sentences that support the fact; [] if unknown
            }
        ),
    }
)

MOST_TYPES = 256  # ids of entity types, 0 (unknown) included: the size of an embedding of types
NA = "NA"  # the name of class 0 of every backbone: no relation, and the adaptive threshold


@dataclass(frozen=True)
class Corpus:
    """Three splits of one dataset and what must be known about its relations."""

    name: str  # shown in tables ("re-docred")
    train: Dataset  # of FEATURES rows; titles are unique within a split
    dev: Dataset
    test: Dataset
    relations: tuple[str, ...]  # without NA, in class order: class r + 1 is relations[r]
    relation_names: dict[str, str]  # readable, where known ("P17" -> "country")
    frequent: frozenset[str] | None  # those of Freq F1, all others of LTail F1; None: not defined
    undirected: bool = False  # facts hold in both directions, scored once per unordered pair
    notes: tuple[str, ...] = ()  # what a reader of the scores must know
    licence: str = ""  # of the documents, as far as known
    # in the order of their ids, which count from 1; None: those of train, most frequent first
    entity_types: tuple[str, ...] | None = None

    @property
    def splits(self) -> dict[str, Dataset]:
        return {"train": self.train, "dev": self.dev, "test": self.test}

    @cached_property
    def relation_index(self) -> dict[str, int]:
        """Class index of each relation; class 0 is NA."""
        return {relation: index for index, relation in enumerate(self.relations, start=1)}

    @cached_property
    def type_ids(self) -> dict[str, int]:
        """Id of each entity type, below MOST_TYPES; every other type has id 0, unknown."""
        types = self.entity_types
        if types is None:
            types = by_frequency(tally(self.train, "entities", "type"))
        return {name: number for number, name in enumerate(types[: MOST_TYPES - 1], start=1)}

    @cached_property
    def digest(self) -> str:
        """Identifies the content (splits, inventory, frequent set), not the place it came from.

        Evidence is left out: no score depends on it, and digests in stored results stay valid.
        """
        sha = hashlib.sha256()
        for documents in self.splits.values():
            for row in documents:
                for fact in row["facts"]:
                    fact.pop("evidence", None)
                sha.update(json.dumps(row, sort_keys=True).encode())
        known = [self.relations, sorted(self.frequent or ()), self.undirected]
        sha.update(json.dumps(known).encode())
        return sha.hexdigest()[:16]
