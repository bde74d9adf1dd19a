"""The one canonical schema of a document, and the corpus that an experiment runs on.

Every loader turns its files into rows of `FEATURES`; everything after the loaders knows only these
rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from datasets import Dataset, Features, List, Value

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
            }
        ),
    }
)

NA = "NA"  # the name of class 0 of every backbone: no relation, and the adaptive threshold


@dataclass(frozen=True)
class Corpus:
    """Three splits of one dataset and what must be known about its relations.

    Args:
        name: shown in tables ("re-docred").
        train, dev, test: `datasets.Dataset` of FEATURES rows. Titles are unique within a split.
        relations: the dataset's inventory without NA, in class order: class r + 1 is relations[r].
        relation_names: a readable name per relation, where one is known ("P17" -> "country").
        frequent: the relations that count for Freq F1; all others count for LTail F1. None: not
            defined.
        undirected: facts hold in both directions and are scored once per unordered pair (BioRED).
        notes: what a reader of the scores must know ("400 of 3,053 training documents; Ign F1 is
            not comparable").
    """

    name: str
    train: Dataset
    dev: Dataset
    test: Dataset
    relations: tuple[str, ...]
    relation_names: dict[str, str]
    frequent: frozenset[str] | None
    undirected: bool = False
    notes: tuple[str, ...] = ()

    @cached_property
    def relation_index(self) -> dict[str, int]:
        """Class index of each relation; class 0 is NA."""
        return {relation: index for index, relation in enumerate(self.relations, start=1)}

    @cached_property
    def digest(self) -> str:
        """Identifies the content (splits, inventory, frequent set), whatever the path it was read
        from.
        """
        import hashlib
        import json

        sha = hashlib.sha256()
        for split in (self.train, self.dev, self.test):
            for row in split:
                sha.update(json.dumps(row, sort_keys=True).encode())
        sha.update(
            json.dumps([self.relations, sorted(self.frequent or ()), self.undirected]).encode()
        )
        return sha.hexdigest()[:16]
