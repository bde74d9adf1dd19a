"""From predicted facts to scores: counts per document first, then scores that are functions of
their sums.

The formulas are those of the official Re-DocRED scorer (`evaluation.py`,
`official_evaluate_benchmark`), with the 1e-5 of Ign F1. Unlike it, this one copes with a split
without frequent or without inter-sentence facts and with zero or one prediction, and a title,
entity or relation that does not exist is a DataError rather than a KeyError or a silent false
positive.

A fact is (document, head, tail, relation). Gold and predictions are sets of facts: exact duplicates
count once. In an undirected dataset (head, tail) and (tail, head) are the same pair.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.errors import DataError

COLUMNS = (
    "tp",
    "pred",
    "gold",
    "tp_seen",
)  # tp_seen: true positives whose name pair is a training fact, what Ign F1 leaves out
BUCKETS = {
    "0": (0, 0),
    "1-10": (1, 10),
    "11-50": (11, 50),
    "51-200": (51, 200),
    "201+": (201, np.inf),
}  # training facts of the relation


@dataclass(frozen=True)
class TrainFacts:
    """What scoring needs of the training documents, expanded once and used for every evaluation.

    names: (head mention name, tail mention name, relation) of every training fact, over all pairs
        of mentions.
    frequency: number of training facts of each relation.
    """

    names: frozenset[tuple[str, str, str]]
    frequency: Mapping[str, int]
    undirected: bool


@dataclass(frozen=True, eq=False)
class Counts:
    """Integer counts of one set of predictions; D documents, R relations (the inventory, without
    NA).

    titles: D titles, in the order of the documents.
    groups: "all", "frequent", "tail", "intra", "inter" -> [D, 4], columns as in COLUMNS. Without a
        set of frequent relations, "frequent" and "tail" are absent. Intra: some mention of the head
        shares a sentence with one of the tail.
    buckets: a key of BUCKETS -> [D, 4], the facts of relations with so many training facts.
    relations: R names; by_relation: [R, 3] tp, pred and gold summed over documents;
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
        """The inverse of `to_json`. Raises DataError naming `source` (a file) and the field when a
        key or a row is missing.
        """
        try:
            if values["columns"] != list(COLUMNS):
                raise DataError(
                    f"{source}: columns are {values['columns']}, expected {list(COLUMNS)}"
                )
            if "all" not in values["groups"]:
                raise DataError(f"{source}: groups lack 'all'")
            titles, relations = tuple(values["titles"]), tuple(values["relations"])
            table = lambda rows, shape: np.asarray(rows, dtype=np.int64).reshape(shape)
            return cls(
                titles=titles,
                groups={
                    name: table(rows, (len(titles), 4)) for name, rows in values["groups"].items()
                },
                buckets={
                    name: table(rows, (len(titles), 4)) for name, rows in values["buckets"].items()
                },
                relations=relations,
                by_relation=table(values["by_relation"], (len(relations), 3)),
                train_frequency=table(values["train_frequency"], (len(relations),)),
            )
        except KeyError as error:
            raise DataError(f"{source}: the key {error} is missing") from error
        except (TypeError, ValueError, AttributeError) as error:
            raise DataError(f"{source}: not the counts of one run: {error}") from error


def train_facts(
    documents: Iterable[Mapping],
    *,
    undirected: bool = False,
    asked_by: Iterable[Mapping] | None = None,
) -> TrainFacts:
    """Expand the facts of `documents` (rows of FEATURES) over all mention-name pairs, as the
    official `gen_train_facts` does.

    In an undirected dataset both orders of the names are kept, and a fact stated in both directions
    is one fact.

    asked_by: the documents that will be scored. Names that none of them has are left out: nobody
        will ask for them, and those of a large training split would fill the memory. None: all
        names are kept.
    """
    known = (
        None
        if asked_by is None
        else set().union(*(entity for document in asked_by for entity in _names(document)))
    )
    names: set[tuple[str, str, str]] = set()
    frequency: Counter[str] = Counter()
    for document in documents:
        mentions = [entity if known is None else entity & known for entity in _names(document)]
        facts = {
            (*_ordered(fact["head"], fact["tail"], undirected), fact["relation"])
            for fact in document["facts"]
        }
        frequency.update(relation for _, _, relation in facts)
        for head, tail, relation in facts:
            names.update((h, t, relation) for h in mentions[head] for t in mentions[tail])
            if undirected:
                names.update((t, h, relation) for h in mentions[head] for t in mentions[tail])
    return TrainFacts(frozenset(names), dict(frequency), undirected)


def _names(document: Mapping) -> list[set[str]]:
    """The names of each entity."""
    return [{mention["name"] for mention in entity["mentions"]} for entity in document["entities"]]


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
    """Count true positives, predictions and gold facts per document, relation group and
    training-frequency bucket.

    Args:
        documents: gold documents, rows of FEATURES with unique titles. What is predicted in one
            without facts is wrong.
        predictions: an official DocRED submission, dicts with "title", "h_idx", "t_idx" and "r";
            other keys are ignored.
        relations: the dataset's inventory without NA.
        frequent: the relations of Freq F1; the rest of the inventory makes LTail F1. None: neither
            is defined.
        train_documents: the documents that were trained on, or what `train_facts` made of them.
        undirected: score unordered pairs.
        source: names the predictions in error messages (their file).

    Raises:
        DataError: a title, an entity index or a relation that does not exist, or two documents with
        one title.
    """
    train = (
        train_documents
        if isinstance(train_documents, TrainFacts)
        else train_facts(train_documents, undirected=undirected)
    )
    if train.undirected != undirected:
        raise ValueError(
            f"train facts were expanded with undirected={train.undirected}, scoring with "
            f"undirected={undirected}"
        )
    documents = list(documents)
    facts = _Facts(documents, relations, undirected)
    gold = facts.of_documents()
    predicted = facts.of_predictions(predictions, source)
    keys = np.union1d(gold, predicted)  # K facts that are gold, predicted or both
    is_gold, is_predicted = np.isin(keys, gold), np.isin(keys, predicted)
    hit = is_gold & is_predicted
    document, head, tail, relation = facts.decode(keys)
    seen = facts.seen_in(train.names, document, head, tail, relation, hit)
    flags = np.stack([hit, is_predicted, is_gold, seen], axis=1).astype(np.int64)  # [K, 4]

    def per_document(mask: np.ndarray) -> np.ndarray:
        table = np.zeros((len(documents), 4), dtype=np.int64)
        np.add.at(table, document[mask], flags[mask])
        return table

    intra = facts.intra(document, head, tail)
    groups = {"all": per_document(np.ones_like(hit))}
    if frequent is not None:
        frequent = frozenset(frequent)
        is_frequent = np.isin(
            relation, [index for index, name in enumerate(relations) if name in frequent]
        )
        groups |= {"frequent": per_document(is_frequent), "tail": per_document(~is_frequent)}
    groups |= {"intra": per_document(intra), "inter": per_document(~intra)}
    frequency = np.array([train.frequency.get(name, 0) for name in relations], dtype=np.int64)
    buckets = {
        name: per_document((low <= frequency[relation]) & (frequency[relation] <= high))
        for name, (low, high) in BUCKETS.items()
    }
    by_relation = np.zeros((len(relations), 3), dtype=np.int64)
    np.add.at(by_relation, relation, flags[:, :3])
    return Counts(tuple(facts.index), groups, buckets, tuple(relations), by_relation, frequency)


def score(counts: Counts) -> dict[str, Any]:
    """The scores of `counts`, fractions in [0, 1]; None where a score is undefined.

    Keys: `f1`, `precision`, `recall` (micro, over all relations), `ign_f1`, `ign_precision`,
    `freq_*` and `ltail_*` (f1, precision, recall), `intra_f1`, `inter_f1`, `macro_f1` (mean over
    the relations that have gold facts), and `bucket_f1` (a key of BUCKETS -> F1). A recall or an F1
    is undefined without gold facts, a precision without predictions; with gold facts and no
    prediction F1 is 0.
    """
    none = np.zeros(4, dtype=np.int64)
    totals = {
        name: counts.groups[name].sum(axis=0) if name in counts.groups else none
        for name in _PREFIXES
    }
    scores: dict[str, Any] = {}
    for name, prefix in _PREFIXES.items():
        for key, value in zip(
            ("precision", "recall", "f1"), precision_recall_f1(totals[name]), strict=True
        ):
            scores[prefix + key] = _defined(value)
    ign_precision, _, ign_f1 = precision_recall_f1(totals["all"], ignore_seen=True)
    scores |= {"ign_f1": _defined(ign_f1), "ign_precision": _defined(ign_precision)}
    relation_f1 = precision_recall_f1(np.pad(counts.by_relation, ((0, 0), (0, 1))))[2]
    with_gold = counts.by_relation[:, 2] > 0
    scores["macro_f1"] = _defined(relation_f1[with_gold].mean()) if with_gold.any() else None
    scores["bucket_f1"] = {
        name: _defined(precision_recall_f1(table.sum(axis=0))[2])
        for name, table in counts.buckets.items()
    }
    return scores


def score_relations(counts: Counts) -> dict[str, dict[str, Any]]:
    """Per relation of the inventory: `precision`, `recall`, `f1` (None where undefined), `gold` and
    `train_frequency`.
    """
    columns = precision_recall_f1(np.pad(counts.by_relation, ((0, 0), (0, 1))))
    return {
        name: {
            key: _defined(column[r])
            for key, column in zip(("precision", "recall", "f1"), columns, strict=True)
        }
        | {"gold": int(counts.by_relation[r, 2]), "train_frequency": int(counts.train_frequency[r])}
        for r, name in enumerate(counts.relations)
    }


def precision_recall_f1(
    totals: np.ndarray, *, ignore_seen: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Micro precision, recall and F1 of summed counts [..., 4] (COLUMNS), each of shape [...]; NaN
    where undefined.

    ignore_seen: the official Ign F1. True positives seen in training leave the precision, and only
        the precision:
    P = (tp - tp_seen) / (pred - tp_seen + 1e-5), recall unchanged.
    """
    tp, predicted, gold, seen = np.moveaxis(np.asarray(totals, dtype=np.float64), -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = (tp - seen) / (predicted - seen + 1e-5) if ignore_seen else tp / predicted
        precision = np.where(predicted > 0, precision, np.nan)
        recall = tp / gold
        f1 = 2 * precision * recall / (precision + recall)
    f1 = np.where(tp - seen * ignore_seen > 0, f1, 0.0)
    return precision, recall, np.where(gold > 0, f1, np.nan)


_PREFIXES = {"all": "", "frequent": "freq_", "tail": "ltail_", "intra": "intra_", "inter": "inter_"}


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _ordered(head: int, tail: int, undirected: bool) -> tuple[int, int]:
    return (tail, head) if undirected and tail < head else (head, tail)


class _Facts:
    """Facts as integers: key = ((document * E + head) * E + tail) * R + relation, with E the most
    entities of any document.
    """

    def __init__(self, documents: list[Mapping], relations: Sequence[str], undirected: bool):
        self.documents, self.relations, self.undirected = documents, relations, undirected
        self.index: dict[str, int] = {}  # title -> document
        for document in documents:
            if document["title"] in self.index:
                raise DataError(
                    f"two documents have the title '{document['title']}'; predictions are matched "
                    "by title"
                )
            self.index[document["title"]] = len(self.index)
        self.sizes = [len(document["entities"]) for document in documents]
        self.relation = {name: index for index, name in enumerate(relations)}
        self.base = (
            len(documents) or 1,
            max(self.sizes, default=1) or 1,
            max(self.sizes, default=1) or 1,
            len(relations) or 1,
        )

    def of_documents(self) -> np.ndarray:
        """Sorted keys of the gold facts."""
        return self._encode(
            (
                self._checked(d, fact["head"], fact["tail"], fact["relation"])
                for fact in document["facts"]
            )
            for d, document in enumerate(self.documents)
        )

    def of_predictions(self, predictions: Sequence[Mapping], source: str) -> np.ndarray:
        """Sorted keys of the predicted facts."""
        return self._encode(
            [[self._predicted(number, item, source) for number, item in enumerate(predictions)]]
        )

    def decode(self, keys: np.ndarray) -> tuple[np.ndarray, ...]:
        """Document, head, tail and relation of each key."""
        return np.unravel_index(keys, self.base)

    def intra(self, document: np.ndarray, head: np.ndarray, tail: np.ndarray) -> np.ndarray:
        """Whether head and tail share a sentence: the official "smallest distance is 0"."""
        sentences = [
            [{m["sentence"] for m in entity["mentions"]} for entity in row["entities"]]
            for row in self.documents
        ]
        triples = zip(document.tolist(), head.tolist(), tail.tolist(), strict=True)
        return np.array(
            [not sentences[d][h].isdisjoint(sentences[d][t]) for d, h, t in triples], dtype=bool
        )

    def seen_in(self, train_names, document, head, tail, relation, mask) -> np.ndarray:
        """Whether some name of the head with some name of the tail is a training fact of the
        relation; looked up where `mask`.
        """
        names = [_names(row) for row in self.documents]
        seen = np.zeros(len(document), dtype=bool)
        for k in np.flatnonzero(mask).tolist():
            pair, r = names[document[k]], self.relations[relation[k]]
            seen[k] = any((h, t, r) in train_names for h in pair[head[k]] for t in pair[tail[k]])
        return seen

    def _encode(
        self, facts_by_document: Iterable[Iterable[tuple[int, int, int, int]]]
    ) -> np.ndarray:
        rows = [fact for facts in facts_by_document for fact in facts]
        columns = np.array(rows, dtype=np.int64).reshape(-1, 4).T
        return np.unique(np.ravel_multi_index(tuple(columns), self.base))

    def _predicted(self, number: int, item: Mapping, source: str) -> tuple[int, int, int, int]:
        where = f"{source}: prediction {number}"
        try:
            title, head, tail, relation = item["title"], item["h_idx"], item["t_idx"], item["r"]
        except (TypeError, KeyError) as error:
            raise DataError(
                f"{where}: expected an object with title, h_idx, t_idx and r, got {item!r:.200}"
            ) from error
        d = self.index.get(title) if isinstance(title, str) else None
        if d is None:
            raise DataError(
                f"{where}: title {title!r} is none of the {len(self.documents)} documents"
            )
        return self._checked(d, head, tail, relation, where=where, fields=("h_idx", "t_idx", "r"))

    def _checked(
        self,
        d: int,
        head,
        tail,
        relation,
        *,
        where: str = "gold",
        fields=("head", "tail", "relation"),
    ):
        """(document, head, tail, relation) as integers, in canonical order, once all of them
        exist.
        """
        where = f"{where}: document '{self.documents[d]['title']}'"
        for field, entity in zip(fields[:2], (head, tail), strict=True):
            if (
                isinstance(entity, bool)
                or not isinstance(entity, (int, np.integer))
                or not 0 <= entity < self.sizes[d]
            ):
                allowed = (
                    f"0 to {self.sizes[d] - 1}"
                    if self.sizes[d]
                    else "none: the document has no entities"
                )
                raise DataError(
                    f"{where}: {field} is {entity!r}, which is no entity index (allowed: {allowed})"
                )
        r = self.relation.get(relation) if isinstance(relation, str) else None
        if r is None:
            raise DataError(
                f"{where}: {fields[2]} is {relation!r}, none of the dataset's "
                f"{len(self.relations)} relations"
            )
        return (d, *_ordered(head, tail, self.undirected), r)
