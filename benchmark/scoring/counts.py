"""From predicted facts to scores: counts per document first, then scores of their sums.

The formulas are those of the official Re-DocRED scorer (`evaluation.py`,
`official_evaluate_benchmark`). Unlike it, this one copes with a split without frequent or without
inter-sentence facts and with zero or one prediction.

A fact is (document, head, tail, relation). Gold and predictions are sets of facts: exact duplicates
count once. In an undirected dataset (head, tail) and (tail, head) are the same pair.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from benchmark.errors import DataError

COLUMNS = ("tp", "pred", "gold", "tp_seen")
"""tp_seen: true positives whose name pair is a training fact, what Ign F1 leaves out."""
BUCKETS = {
    "0": (0, 0),
    "1-10": (1, 10),
    "11-50": (11, 50),
    "51-200": (51, 200),
    "201+": (201, np.inf),
}
"""By the training facts of the relation."""
_PREFIXES = {"all": "", "frequent": "freq_", "tail": "ltail_", "intra": "intra_", "inter": "inter_"}


@dataclass(frozen=True)
class TrainFacts:
    """What scoring needs of the training documents, expanded once and used for every evaluation.

    names: (head mention name, tail mention name, relation) of every training fact, over all pairs
        of mentions.
    frequency: number of training facts of each relation.
    """

    names: frozenset[tuple[str, str, str]]
    frequency: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class Counts:
    """Integer counts of one set of predictions; D documents, R relations (the inventory, no NA).

    titles: D titles, in the order of the documents.
    groups: "all", "frequent", "tail", "intra", "inter" -> [D, 4], columns as in COLUMNS. Without a
        set of frequent relations, "frequent" and "tail" are absent. Intra: some mention of the head
        shares a sentence with one of the tail.
    buckets: a key of BUCKETS -> [D, 4].
    relations: R names.
    by_relation: [R, 3] tp, pred and gold summed over documents.
    train_frequency: [R].
    """

    titles: tuple[str, ...]
    groups: dict[str, np.ndarray]
    buckets: dict[str, np.ndarray]
    relations: tuple[str, ...]
    by_relation: np.ndarray
    train_frequency: np.ndarray

    def to_json(self) -> dict[str, Any]:
        """Plain lists and dicts, for `counts_*.json`."""
        return {
            "columns": list(COLUMNS),
            "titles": list(self.titles),
            "groups": {name: table.tolist() for name, table in self.groups.items()},
            "buckets": {name: table.tolist() for name, table in self.buckets.items()},
            "relations": list(self.relations),
            "by_relation": self.by_relation.tolist(),
            "train_frequency": self.train_frequency.tolist(),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any], source: str = "counts") -> Counts:
        """The inverse of `to_json`. Raises DataError naming `source` (a file) for anything else."""
        table = lambda rows, *shape: np.asarray(rows, dtype=np.int64).reshape(shape)
        try:
            if values["columns"] != list(COLUMNS) or "all" not in values["groups"]:
                raise ValueError(f"expected columns {list(COLUMNS)} and a group 'all'")
            titles, relations = tuple(values["titles"]), tuple(values["relations"])
            groups, buckets = (
                {name: table(rows, len(titles), 4) for name, rows in values[kind].items()}
                for kind in ("groups", "buckets")
            )
            by_relation = table(values["by_relation"], len(relations), 3)
            frequency = table(values["train_frequency"], len(relations))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            what = f"{type(error).__name__}: {error}"
            raise DataError(f"{source}: not the counts of one run ({what})") from error
        return cls(titles, groups, buckets, relations, by_relation, frequency)


def train_facts(
    documents: Iterable[Mapping],
    *,
    undirected: bool = False,
    asked_by: Iterable[Mapping] | None = None,
) -> TrainFacts:
    """The facts of `documents` (rows of FEATURES) over all pairs of mention names.

    As the official `gen_train_facts` does it. In an undirected dataset both orders of the names are
    kept, and a fact stated in both directions is one fact.

    asked_by: the documents that will be scored. Names that none of them has are left out: those of
        a large training split would fill the memory. None: all names are kept.
    """
    known = None
    if asked_by is not None:
        known = {name for document in asked_by for entity in _names(document) for name in entity}
    names: set[tuple[str, str, str]] = set()
    frequency: Counter[str] = Counter()
    for document in documents:
        mentions = [entity if known is None else entity & known for entity in _names(document)]
        facts = {
            (*ordered(fact["head"], fact["tail"], undirected), fact["relation"])
            for fact in document["facts"]
        }
        frequency.update(relation for _, _, relation in facts)
        for head, tail, relation in facts:
            pairs = set(product(mentions[head], mentions[tail]))
            pairs |= {pair[::-1] for pair in pairs} if undirected else set()
            names.update((*pair, relation) for pair in pairs)
    return TrainFacts(frozenset(names), dict(frequency))


def count(
    documents: Iterable[Mapping],
    predictions: Sequence[Mapping],
    *,
    relations: Sequence[str],
    frequent: Iterable[str] | None,
    train_documents: Iterable[Mapping] | TrainFacts,
    undirected: bool = False,
    source: str = "predictions",
) -> Counts:
    """Count true positives, predictions and gold facts per document, group and bucket.

    Args:
        documents: gold documents, rows of FEATURES with unique titles.
        predictions: an official DocRED submission, dicts with "title", "h_idx", "t_idx" and "r".
        relations: the dataset's inventory without NA.
        frequent: the relations of Freq F1; the rest makes LTail F1. None: neither is defined.
        train_documents: the documents that were trained on, or their `train_facts`.
        undirected: score unordered pairs.
        source: names the predictions in error messages (their file).

    Raises DataError for a title, an entity index or a relation that does not exist, and for two
    documents with one title.
    """
    train = train_documents
    if not isinstance(train, TrainFacts):
        train = train_facts(train, undirected=undirected)
    documents = list(documents)
    read = _Reader(documents, relations, undirected)
    gold = {
        read.fact(f"gold: document '{document['title']}'", d, f["head"], f["tail"], f["relation"])
        for d, document in enumerate(documents)
        for f in document["facts"]
    }
    predicted = {
        read.prediction(f"{source}: prediction {n}", item) for n, item in enumerate(predictions)
    }
    facts = list(gold | predicted)  # K facts that are gold, predicted or both
    names = [_names(document) for document in documents]
    sentences = [
        [{mention["sentence"] for mention in entity["mentions"]} for entity in row["entities"]]
        for row in documents
    ]

    def seen(d: int, head: int, tail: int, relation: int) -> bool:
        """Whether some name of the head with some name of the tail is a training fact."""
        pairs = product(names[d][head], names[d][tail])
        return any((*pair, relations[relation]) in train.names for pair in pairs)

    right = gold & predicted
    flags = [
        (fact in right, fact in predicted, fact in gold, fact in right and seen(*fact))
        for fact in facts
    ]
    flags = np.array(flags, dtype=np.int64).reshape(-1, 4)  # [K, 4]
    document, _, _, relation = np.array(facts, dtype=np.int64).reshape(-1, 4).T

    def table(of_fact: np.ndarray, size: int, mask: np.ndarray | slice = slice(None)) -> np.ndarray:
        total = np.zeros((size, 4), dtype=np.int64)
        np.add.at(total, of_fact[mask], flags[mask])
        return total

    groups = {"all": np.ones(len(facts), dtype=bool)}
    if frequent is not None:
        frequent = frozenset(frequent)
        # no array of names: it would give each the room of the longest
        usual = np.array([name in frequent for name in relations], dtype=bool)[relation]
        groups |= {"frequent": usual, "tail": ~usual}
    # the official "smallest distance is 0"
    intra = [not sentences[d][head].isdisjoint(sentences[d][tail]) for d, head, tail, _ in facts]
    groups["intra"] = np.array(intra, dtype=bool)
    groups["inter"] = ~groups["intra"]
    frequency = np.array([train.frequency.get(name, 0) for name in relations], dtype=np.int64)
    buckets = {
        name: (low <= frequency[relation]) & (frequency[relation] <= high)
        for name, (low, high) in BUCKETS.items()
    }
    tables = (
        {name: table(document, len(documents), mask) for name, mask in masks.items()}
        for masks in (groups, buckets)
    )
    by_relation = table(relation, len(relations))[:, :3]
    return Counts(tuple(read.place), *tables, tuple(relations), by_relation, frequency)


def score(counts: Counts) -> dict[str, Any]:
    """The scores of `counts`, fractions in [0, 1]; None where a score is undefined.

    Keys: `f1`, `precision`, `recall` (micro, over all relations), the same after `freq_`, `ltail_`,
    `intra_` and `inter_`, `ign_f1`, `ign_precision`, `macro_f1` (mean over the relations that have
    gold facts), and `bucket_f1` (a key of BUCKETS -> F1). A recall or an F1 is undefined without
    gold facts, a precision without predictions; with gold facts and no prediction F1 is 0.
    """
    scores: dict[str, Any] = {}
    for name, prefix in _PREFIXES.items():
        totals = counts.groups[name].sum(axis=0) if name in counts.groups else np.zeros(4)
        for key, value in zip(_KINDS, precision_recall_f1(totals), strict=True):
            scores[prefix + key] = _defined(value)
    totals = counts.groups["all"].sum(axis=0)
    ign_precision, _, ign_f1 = precision_recall_f1(totals, ignore_seen=True)
    scores |= {"ign_f1": _defined(ign_f1), "ign_precision": _defined(ign_precision)}
    f1 = _of_relations(counts)[2][counts.by_relation[:, 2] > 0]
    scores["macro_f1"] = _defined(f1.mean()) if len(f1) else None
    of_bucket = lambda table: _defined(precision_recall_f1(table.sum(axis=0))[2])
    scores["bucket_f1"] = {name: of_bucket(table) for name, table in counts.buckets.items()}
    return scores


def score_relations(counts: Counts) -> dict[str, dict[str, Any]]:
    """Per relation: `precision`, `recall`, `f1` (or None), `gold` and `train_frequency`."""
    gold, frequency = counts.by_relation[:, 2].tolist(), counts.train_frequency.tolist()
    found = {}
    for r, values in enumerate(zip(*_of_relations(counts), strict=True)):
        scores = dict(zip(_KINDS, map(_defined, values), strict=True))
        found[counts.relations[r]] = scores | {"gold": gold[r], "train_frequency": frequency[r]}
    return found


def precision_recall_f1(
    totals: np.ndarray, *, ignore_seen: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Micro precision, recall and F1 of summed counts [..., 4]; NaN where undefined.

    ignore_seen: the official Ign F1. True positives seen in training leave the precision, and only
        the precision: P = (tp - tp_seen) / (pred - tp_seen + 1e-5).
    """
    tp, predicted, gold, seen = np.moveaxis(np.asarray(totals, dtype=np.float64), -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = (tp - seen) / (predicted - seen + 1e-5) if ignore_seen else tp / predicted
        precision = np.where(predicted > 0, precision, np.nan)
        recall = tp / gold
        f1 = 2 * precision * recall / (precision + recall)
    f1 = np.where(tp - seen * ignore_seen > 0, f1, 0.0)
    return precision, recall, np.where(gold > 0, f1, np.nan)


_KINDS = ("precision", "recall", "f1")


def _of_relations(counts: Counts) -> tuple[np.ndarray, ...]:
    """Precision, recall and F1 of each relation, [R]."""
    return precision_recall_f1(np.pad(counts.by_relation, ((0, 0), (0, 1))))


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _names(document: Mapping) -> list[set[str]]:
    """The names of each entity."""
    return [{mention["name"] for mention in entity["mentions"]} for entity in document["entities"]]


def ordered(head: Any, tail: Any, undirected: bool) -> tuple[Any, Any]:
    """The two ends of a fact; in an undirected dataset in the one order that both facts share."""
    return (tail, head) if undirected and tail < head else (head, tail)


class _Reader:
    """Facts as integers, checked against the documents, entities and relations that there are."""

    def __init__(self, documents: list[Mapping], relations: Sequence[str], undirected: bool):
        self.undirected = undirected
        self.entities = [len(document["entities"]) for document in documents]
        self.place = {document["title"]: d for d, document in enumerate(documents)}
        self.relation = {name: r for r, name in enumerate(relations)}
        for title, times in Counter(document["title"] for document in documents).items():
            if times > 1:
                raise DataError(
                    f"two documents have the title '{title}'; predictions are matched by title"
                )

    def prediction(self, where: str, item: Mapping) -> tuple[int, int, int, int]:
        """The fact of an item of a submission."""
        try:
            title, head, tail, relation = item["title"], item["h_idx"], item["t_idx"], item["r"]
        except (TypeError, KeyError) as error:
            raise DataError(
                f"{where}: expected an object with title, h_idx, t_idx and r, got {item!r:.200}"
            ) from error
        if not isinstance(title, str) or title not in self.place:
            raise DataError(
                f"{where}: none of the {len(self.entities)} documents has the title {title!r}"
            )
        return self.fact(f"{where}: document '{title}'", self.place[title], head, tail, relation)

    def fact(
        self, where: str, d: int, head: int, tail: int, relation: str
    ) -> tuple[int, int, int, int]:
        """(document, head, tail, relation), in canonical order."""
        for field, entity in (("h_idx", head), ("t_idx", tail)):
            whole = isinstance(entity, (int, np.integer)) and not isinstance(entity, bool)
            if not whole or not 0 <= entity < self.entities[d]:
                raise DataError(
                    f"{where}: {field} is {entity!r}, which is none of the document's "
                    f"{self.entities[d]} entities, counted from 0"
                )
        if not isinstance(relation, str) or relation not in self.relation:
            raise DataError(
                f"{where}: r is {relation!r}, none of the dataset's {len(self.relation)} relations"
            )
        return (d, *ordered(head, tail, self.undirected), self.relation[relation])
