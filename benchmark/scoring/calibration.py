"""Calibration told apart from learning.

An augmenter may gain F1 only because it moves the balance of precision and recall. One threshold
for all relations, tuned on dev, does the same for nothing, and one for each relation moves the
balance between them as well. So scores are also computed at that threshold ("calibrated"), at those
of each relation ("per_relation"), and as micro average precision, which has no threshold.

A candidate is a fact with its margin: its logit minus that of the threshold class. Each document
has PER_ENTITY candidates for each of its entities, those of the largest margin, and in any case all
above the threshold. A gold fact that is no candidate counts as never found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.errors import DataError
from benchmark.scoring.counts import ordered

# beside the plain scores of a split in metrics.json -> where metrics.json has the thresholds
CALIBRATIONS = {"calibrated": "threshold", "per_relation": "thresholds"}
PER_ENTITY = 5
SHRINKAGE = 10  # dev facts of a relation at which its own threshold counts half
LEAST_F1 = 0.1  # below it a relation is not worth predicting
DECIMALS = 4  # of a stored margin
_FIELDS = ("title", "h_idx", "t_idx", "r", "score")  # of a candidate


@dataclass(frozen=True, eq=False)
class Ranking:
    """The K candidates of a split by falling margin.

    margins: [K]. hits: [K] bool, which of them are gold facts. relations: [K] names.
    gold: number of gold facts of each relation.
    """

    margins: np.ndarray
    hits: np.ndarray
    relations: np.ndarray
    gold: Mapping[str, int]

    def of(self, relations: Collection[str]) -> Ranking:
        """The same for these relations alone."""
        kept = np.isin(self.relations, list(relations))
        gold = {name: number for name, number in self.gold.items() if name in relations}
        return Ranking(self.margins[kept], self.hits[kept], self.relations[kept], gold)


def rank(
    documents: Iterable[Mapping], candidates: Sequence[Mapping], *, undirected: bool = False
) -> Ranking:
    """Sort candidates, and look each up among the gold facts.

    documents: gold documents, rows of FEATURES with unique titles.
    candidates: dicts with "title", "h_idx", "t_idx", "r" and "score", the margin.
    undirected: (head, tail) and (tail, head) are the same pair.
    """
    fact = lambda title, head, tail, relation: (title, *ordered(head, tail, undirected), relation)
    gold = {
        fact(document["title"], f["head"], f["tail"], f["relation"])
        for document in documents
        for f in document["facts"]
    }
    found = [fact(c["title"], c["h_idx"], c["t_idx"], c["r"]) in gold for c in candidates]
    margins = np.array([c["score"] for c in candidates], dtype=np.float64)
    order = np.argsort(-margins, kind="stable")
    return Ranking(
        margins[order],
        np.array(found, dtype=bool)[order],
        np.array([c["r"] for c in candidates], dtype=object)[order],
        Counter(relation for *_, relation in gold),
    )


def tuned_threshold(ranking: Ranking) -> float:
    """The threshold with the best micro F1; a candidate is predicted when its margin is above it.

    It lies halfway between two margins, or just below the lowest. Of several that are equally good,
    the one nearest to 0 is taken; 0 where no threshold finds a gold fact.
    """
    return _best(ranking, near=0.0)[0]


def thresholds_by_relation(
    ranking: Ranking, relations: Iterable[str], around: float
) -> dict[str, float]:
    """A threshold for each relation (SCut, Yang 2001), drawn towards the one for all.

    theta_r = around + n_r / (n_r + SHRINKAGE) (best_r - around), where n_r is the number of the
    relation's dev facts, so that few facts do not overfit. Where no threshold gives the relation an
    F1 of LEAST_F1, best_r is its largest margin (SCutFBR), but not below `around`: it is hardly
    ever predicted.

    ranking: of dev. around: the threshold for all relations.
    """
    found = {}
    for relation in relations:
        own = ranking.of([relation])
        facts = own.gold.get(relation, 0)
        best, f1 = _best(own, near=around)
        if f1 < LEAST_F1 and own.margins.size:
            best = max(around, float(own.margins[0]))
        found[relation] = around + facts / (facts + SHRINKAGE) * (best - around)
    return found


def _best(ranking: Ranking, near: float) -> tuple[float, float]:
    """The threshold with the best micro F1, of several the one nearest to `near`; and that F1."""
    found, predicted, ends = _at_each_margin(ranking)
    if not found.size or not found[-1]:
        return near, 0.0
    f1 = 2 * found / (predicted + sum(ranking.gold.values()))
    last = np.append(ranking.margins[ends], ranking.margins[-1] - 2 * 10**-DECIMALS)
    thresholds = (last[:-1] + last[1:]) / 2
    best = thresholds[f1 == f1.max()]
    return float(best[np.argmin(abs(best - near))]), float(f1.max())


def average_precision(ranking: Ranking) -> float | None:
    """Sum over the margins, from the largest down, of precision times gained recall.

    Candidates of equal margin are found at once. None without gold facts.
    """
    if not (gold := sum(ranking.gold.values())):
        return None
    found, predicted, _ = _at_each_margin(ranking)
    return float((np.diff(found, prepend=0) * found / predicted).sum() / gold)


def average_precisions(
    ranking: Ranking, relations: Collection[str], frequent: Collection[str] | None
) -> dict[str, float | None]:
    """Those of all relations of the inventory, of the frequent ones and of the "tail"."""
    groups = {"all": set(relations)}
    if frequent is not None:
        groups |= {"frequent": set(frequent), "tail": set(relations) - set(frequent)}
    return {name: average_precision(ranking.of(names)) for name, names in groups.items()}


def above(candidates: Iterable[Mapping], threshold: float | Mapping[str, float]) -> list[Mapping]:
    """The candidates that are predicted at a threshold, or at one for each relation."""
    if isinstance(threshold, Mapping):
        return [c for c in candidates if c["score"] > threshold[c["r"]]]
    return [candidate for candidate in candidates if candidate["score"] > threshold]


def to_columns(candidates: Sequence[Mapping], relations: Sequence[str]) -> dict[str, Any]:
    """Candidates for `candidates_*.json`: a list a field, titles and relations as numbers."""
    titles = list(dict.fromkeys(candidate["title"] for candidate in candidates))
    title = {name: number for number, name in enumerate(titles)}
    relation = {name: number for number, name in enumerate(relations)}
    columns = {key: [candidate[key] for candidate in candidates] for key in _FIELDS}
    columns["title"] = [title[name] for name in columns["title"]]
    columns["r"] = [relation[name] for name in columns["r"]]
    return {"titles": titles, "relations": list(relations), **columns}


def from_columns(columns: Mapping[str, Any], source: str) -> list[dict[str, Any]]:
    """The inverse of `to_columns`. Raises DataError naming `source` (a file)."""
    try:
        titles, relations = columns["titles"], columns["relations"]
        fields = (columns[key] for key in _FIELDS)
        return [
            {"title": titles[d], "h_idx": h, "t_idx": t, "r": relations[r], "score": score}
            for d, h, t, r, score in zip(*fields, strict=True)
        ]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise DataError(f"{source}: not the candidates of one run: {error}") from error


def _at_each_margin(ranking: Ranking) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """At each distinct margin, from the largest down: gold facts found so far, candidates so far,
    and the number of its last candidate.
    """
    size = len(ranking.margins)
    ends = np.append(np.flatnonzero(np.diff(ranking.margins)), size - 1) if size else np.arange(0)
    return np.cumsum(ranking.hits)[ends], ends + 1, ends
