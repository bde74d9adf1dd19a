"""Prediction files of any system, in the official DocRED submission format, against gold
documents.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.data.docred import read_documents
from benchmark.data.jsonstream import read_json
from benchmark.errors import ConfigError, DataError
from benchmark.scoring.counts import Counts, TrainFacts, count, score, train_facts

MOST_FREQUENT = 10
SCORES = ("precision", "recall", "f1", "ign_f1", "freq_f1", "ltail_f1", "intra_f1", "inter_f1")


@dataclass(frozen=True)
class Reference:
    """What predictions are scored against. Without `train` there is no Ign F1, without `frequent`
    neither Freq nor LTail F1.
    """

    documents: Sequence[Mapping]
    train: TrainFacts | None
    frequent: frozenset[str] | None
    undirected: bool = False

    def count(self, predictions: Sequence[Mapping], source: str = "predictions") -> Counts:
        """Counts per document. A predicted relation that neither gold nor training facts have is
        wrong, and belongs to the tail.

        Raises:
            DataError: naming `source`, for a title or an entity index that does not exist.
        """
        known = {fact["relation"] for document in self.documents for fact in document["facts"]}
        known |= set(self.train.frequency) if self.train else set()
        known |= self.frequent or set()
        known |= {
            item["r"]
            for item in predictions
            if isinstance(item, dict) and isinstance(item.get("r"), str)
        }
        return count(
            self.documents,
            predictions,
            relations=sorted(known),
            frequent=self.frequent,
            train_documents=self.train or TrainFacts(frozenset(), {}, self.undirected),
            undirected=self.undirected,
            source=source,
        )

    def score(self, predictions: Sequence[Mapping], source: str = "predictions") -> dict[str, Any]:
        """SCORES as fractions; None where one is undefined."""
        scores = score(self.count(predictions, source))
        if self.train is None:
            scores["ign_f1"] = None
        return {name: scores[name] for name in SCORES}


def read_reference(
    gold: Path,
    *,
    train: Path | None = None,
    facts: Path | None = None,
    frequent: str | None = None,
    known_lists: Mapping[str, frozenset[str]] | None = None,
    undirected: bool = False,
) -> Reference:
    """The reference from files.

    Args:
        gold: DocRED-format documents with labels.
        train: DocRED-format documents that were trained on; or
        facts: their facts in the official `.fact` form, a JSON list of [head mention name, tail
            mention name, relation].
        frequent: the relations of Freq F1: a name of `known_lists`, a JSON file with a list, or the
            relations themselves, separated by commas. None: the ten most frequent of the training
            facts, ties by name; without such facts, none.
        undirected: score unordered pairs.

    Raises:
        DataError: a file is missing or faulty. ConfigError: both `train` and `facts`, or an
        unusable `frequent`.
    """
    if train is not None and facts is not None:
        raise ConfigError(
            "--train and --train-facts say the same thing in two ways: give one of them"
        )
    documents = list(read_documents(gold))
    seen = train_facts(read_documents(train), undirected=undirected) if train is not None else None
    if facts is not None:
        seen = read_facts(facts, undirected=undirected)
    chosen = frequent_relations(frequent, known_lists or {}) if frequent is not None else None
    if chosen is None and seen is not None and seen.frequency:
        ranked = sorted(seen.frequency, key=lambda relation: (-seen.frequency[relation], relation))
        chosen = frozenset(ranked[:MOST_FREQUENT])
    return Reference(documents, seen, chosen, undirected)


def read_facts(path: Path, *, undirected: bool = False) -> TrainFacts:
    """Training facts in the official `.fact` form. A relation's frequency is the number of its
    distinct name pairs.

    Raises DataError naming the file and the entry.
    """
    entries = read_json(path)
    if not isinstance(entries, list):
        raise DataError(
            f"{path}: expected a list of [head mention name, tail mention name, relation]"
        )
    for number, entry in enumerate(entries):
        if not (
            isinstance(entry, list)
            and len(entry) == 3
            and all(isinstance(part, str) for part in entry)
        ):
            raise DataError(
                f"{path}: entry {number}: expected [head mention name, tail mention name, "
                f"relation], got {entry!r:.200}"
            )
    distinct = {
        (*sorted((head, tail)), relation) if undirected else (head, tail, relation)
        for head, tail, relation in entries
    }
    names = (
        distinct | {(tail, head, relation) for head, tail, relation in distinct}
        if undirected
        else distinct
    )
    return TrainFacts(
        frozenset(names), dict(Counter(relation for *_, relation in distinct)), undirected
    )


def read_predictions(path: Path) -> list[dict[str, Any]]:
    """The list of a submission file; its entries are checked when they are counted. Raises
    DataError.
    """
    predictions = read_json(path)
    if not isinstance(predictions, list):
        raise DataError(
            f'{path}: expected a list of {{"title", "h_idx", "t_idx", "r"}}, got '
            f"{type(predictions).__name__}"
        )
    return predictions


def frequent_relations(text: str, known_lists: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """A name of `known_lists`, relations separated by commas, or a JSON file with a list. Raises
    ConfigError, DataError.
    """
    if text in known_lists:
        return known_lists[text]
    if "," in text:
        if names := frozenset(part.strip() for part in text.split(",") if part.strip()):
            return names
        raise ConfigError(f"--frequent {text}: an empty list")
    if not Path(text).is_file():
        known = ", ".join(sorted(known_lists))
        raise ConfigError(
            f"--frequent {text}: neither a known list ({known}) nor a file, nor relations "
            "separated by commas"
        )
    names = read_json(Path(text))
    if not (isinstance(names, list) and names and all(isinstance(name, str) for name in names)):
        raise DataError(f'{text}: expected a list of relations such as ["P17", "P131"]')
    return frozenset(names)
