"""Prediction files of any system, in the official DocRED format, against gold documents."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.data.docred import read_documents
from benchmark.data.frequencies import MOST_FREQUENT, by_frequency
from benchmark.data.jsonstream import read_json
from benchmark.errors import ConfigError, DataError
from benchmark.scoring.counts import Counts, TrainFacts, count, ordered, score, train_facts

SCORES = ("precision", "recall", "f1", "ign_f1", "freq_f1", "ltail_f1", "intra_f1", "inter_f1")


@dataclass(frozen=True)
class Reference:
    """What predictions are scored against.

    Without `train` there is no Ign F1, without `frequent` neither Freq nor LTail F1.
    """

    documents: Sequence[Mapping]
    train: TrainFacts | None
    frequent: frozenset[str] | None
    undirected: bool = False

    def count(self, predictions: Sequence[Mapping], source: str = "predictions") -> Counts:
        """Counts per document; a predicted relation that is new here is wrong and in the tail.

        Raises DataError naming `source` for a title or an entity index that does not exist.
        """
        known = {fact["relation"] for document in self.documents for fact in document["facts"]}
        known |= {*(self.train.frequency if self.train else ()), *(self.frequent or ())}
        asked = (item.get("r") for item in predictions if isinstance(item, dict))
        known |= {relation for relation in asked if isinstance(relation, str)}
        return count(
            self.documents,
            predictions,
            relations=sorted(known),
            frequent=self.frequent,
            train_documents=self.train or TrainFacts(frozenset(), {}),
            undirected=self.undirected,
            source=source,
        )

    def score(self, counts: Counts) -> dict[str, Any]:
        """SCORES of what `count` gave, as fractions; None where one is undefined."""
        scores = score(counts)
        if self.train is None:
            scores["ign_f1"] = None
        return {name: scores[name] for name in SCORES}


def read_reference(
    gold: Path,
    *,
    train: Path | None,
    facts: Path | None,
    frequent: str | None,
    known_lists: Mapping[str, frozenset[str]],
    undirected: bool,
) -> Reference:
    """The reference from files.

    gold, train: DocRED-format documents with labels; `train` are those that were trained on.
    facts: instead of `train`, their facts, see `read_facts`.
    frequent: the relations of Freq F1, see `frequent_relations`. None: the ten most frequent of
        the training facts, ties by name; without such facts, none.
    undirected: score unordered pairs.

    Raises DataError or ConfigError for a faulty file, both `train` and `facts`, and an unusable
    `frequent`.
    """
    if train is not None and facts is not None:
        raise ConfigError("--train and --train-facts both give the training facts: use one of them")
    documents, seen, chosen = list(read_documents(gold)), None, None
    if train is not None:
        seen = train_facts(read_documents(train), undirected=undirected)
    elif facts is not None:
        seen = read_facts(facts, undirected=undirected)
    if frequent is not None:
        chosen = frequent_relations(frequent, known_lists)
    elif seen is not None and seen.frequency:
        chosen = frozenset(by_frequency(seen.frequency)[:MOST_FREQUENT])
    return Reference(documents, seen, chosen, undirected)


def read_facts(path: Path, *, undirected: bool = False) -> TrainFacts:
    """Training facts in the official `.fact` form.

    A JSON list of [head mention name, tail mention name, relation]. A relation's frequency is the
    number of its distinct name pairs. Raises DataError naming the file and the entry.
    """
    entries, form = read_json(path), "[head mention name, tail mention name, relation]"
    if not isinstance(entries, list):
        raise DataError(f"{path}: expected a list of {form}")
    for number, entry in enumerate(entries):
        if not _names(entry) or len(entry) != 3:
            raise DataError(f"{path}: entry {number}: expected {form}, got {entry!r:.200}")
    distinct = {(*ordered(head, tail, undirected), name) for head, tail, name in entries}
    mirrored = {(tail, head, name) for head, tail, name in distinct if undirected}
    return TrainFacts(frozenset(distinct | mirrored), Counter(name for *_, name in distinct))


def read_predictions(path: Path) -> list[dict[str, Any]]:
    """The list of a submission file; `count` checks its entries. Raises DataError."""
    predictions = read_json(path)
    if not isinstance(predictions, list):
        found = type(predictions).__name__
        raise DataError(
            f'{path}: expected a list of {{"title", "h_idx", "t_idx", "r"}}, got {found}'
        )
    return predictions


def frequent_relations(text: str, known_lists: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """A name of `known_lists`, a JSON file with a list, or relations separated by commas.

    Raises ConfigError for none of these, and DataError for a file without a list of relations.
    """
    if text in known_lists:
        return known_lists[text]
    if os.path.isfile(text):  # false, and no error, for what no file can be called
        if not _names(names := read_json(Path(text))):
            raise DataError(f'{text}: expected a list of relations such as ["P17", "P131"]')
        return frozenset(names)
    names = [part.strip() for part in text.split(",") if part.strip()]
    if "," in text and names:
        return frozenset(names)
    known = ", ".join(sorted(known_lists))
    raise ConfigError(
        f"--frequent {text}: neither a known list ({known}) nor a file, nor relations separated "
        "by commas (one alone as 'P17,')"
    )


def _names(value: Any) -> bool:
    """Whether it is a list of texts with something in it."""
    return isinstance(value, list) and bool(value) and all(isinstance(n, str) for n in value)
