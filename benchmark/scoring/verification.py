"""The metrics of a finished run, recomputed from the files beside them: `report --verify`.

    files               against their SHA-256 in DONE
    best_epoch, epochs  from history.jsonl
    scores              from the stored predictions and the gold documents, where the dataset's
                        files are at hand; else from the stored counts
    calibrated scores   from the stored candidates and the gold documents, the threshold tuned
                        on dev again; else from the stored counts
    counts              against those of predictions and gold documents; else against the
                        predictions, as far as that goes without gold facts; and in themselves: each
                        fact is frequent or tail, intra or inter, in one bucket

What cannot be recomputed, such as the quality of generated pairs, is checked by its digest alone.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmark.config import complete_options
from benchmark.errors import UserError
from benchmark.registry import DATASETS
from benchmark.scoring.calibration import (
    CALIBRATIONS,
    above,
    average_precisions,
    from_columns,
    rank,
    thresholds_by_relation,
    tuned_threshold,
)
from benchmark.scoring.counts import (
    COLUMNS,
    Counts,
    TrainFacts,
    count,
    score,
    score_relations,
    train_facts,
)
from benchmark.store.differences import flat
from benchmark.store.runs import RunDirectory, StoredRun

SPLITS = ("dev", "test")
CALIBRATION = (*CALIBRATIONS, "average_precision")  # beside the plain scores of a split
TOLERANCE = 1e-9  # sums on another machine may differ in their last digits
PARTS = (("frequent", "tail"), ("intra", "inter"))  # each makes up "all"


@dataclass
class Verified:
    """What was found of one run.

    differences: each names the file, what differs, and both values.
    unverified: what could not be recomputed, and why.
    """

    directory: RunDirectory
    differences: list[str] = field(default_factory=list)
    unverified: list[str] = field(default_factory=list)


class Documents:
    """The documents that runs were trained and scored on, loaded once for all runs.

    dataset: {"name", "options"} of where they are now; None: where each run found them.
    """

    def __init__(self, dataset: Mapping[str, Any] | None = None):
        self.dataset = dataset
        self._loaded: dict[str, _Corpus | UserError] = {}

    def of(self, run: StoredRun) -> _Corpus:
        """Raises UserError when they are not at hand, or are not those of the run."""
        dataset = self.dataset or run.config["dataset"]
        key = json.dumps(dataset, sort_keys=True)
        if key not in self._loaded:
            try:
                self._loaded[key] = _Corpus.load(dataset["name"], dataset.get("options") or {})
            except UserError as error:
                self._loaded[key] = error
        found = self._loaded[key]
        if isinstance(found, UserError):
            raise found
        if run.facts.get("corpus_digest") not in (None, found.digest):
            raise UserError(
                f"{dataset['name']} holds other documents now than those of the run (another "
                "corpus_digest)"
            )
        return found


@dataclass(frozen=True)
class _Corpus:
    splits: dict[str, list[dict]]
    train: TrainFacts
    relations: tuple[str, ...]
    frequent: frozenset[str] | None
    undirected: bool
    digest: str

    @classmethod
    def load(cls, name: str, options: Mapping[str, Any]) -> _Corpus:
        corpus = DATASETS[name](**complete_options(DATASETS, name, dict(options)))
        facts = train_facts(corpus.train, undirected=corpus.undirected)
        splits = {split: list(getattr(corpus, split)) for split in SPLITS}
        known = (corpus.relations, corpus.frequent, corpus.undirected, corpus.digest)
        return cls(splits, facts, *known)

    def count(self, split: str, predictions: list, source: str) -> Counts:
        return count(
            self.splits[split],
            predictions,
            relations=self.relations,
            frequent=self.frequent,
            train_documents=self.train,
            undirected=self.undirected,
            source=source,
        )


def verify(directory: RunDirectory, documents: Documents) -> Verified:
    """Compare a finished run with what its files give."""
    found = Verified(directory)
    found.differences += directory.changes()
    try:
        config, metrics = (directory.read_json(f"{name}.json") for name in ("config", "metrics"))
        run = StoredRun(directory.path, config, config.pop("facts", {}), metrics)
        found.differences += _of_history(directory, metrics)
        corpus = None
        try:
            corpus = documents.of(run)
        except UserError as error:
            found.unverified.append(f"not compared with gold documents: {error}")
        for split in SPLITS:
            _of_split(found, metrics, split, corpus)
            for name in CALIBRATIONS:
                if name in metrics[split]:  # older runs have none
                    _of_calibration(found, metrics, split, name, corpus)
    except UserError as error:
        found.differences.append(str(error))
    except (KeyError, TypeError, AttributeError, ValueError) as error:  # JSON that was edited
        found.differences.append(
            f"{directory.path}: not the files of a run ({type(error).__name__}: {error})"
        )
    return found


def _of_history(directory: RunDirectory, metrics: Mapping[str, Any]) -> Iterator[str]:
    """`epochs`, and `best_epoch`: the first with the highest dev F1, an undefined one being 0."""
    if "epochs" not in metrics:  # not trained here
        return
    f1 = [epoch["dev"]["f1"] or 0.0 for epoch in directory.read_history()]
    given = {"epochs": len(f1), "best_epoch": 1 + f1.index(max(f1)) if f1 else None}
    stored = {name: metrics.get(name) for name in given}
    yield from _unequal(directory, stored, given, "history.jsonl gives")


def _of_split(
    found: Verified, metrics: Mapping[str, Any], split: str, corpus: _Corpus | None
) -> None:
    """The scores of one split, from the best that there is."""
    names = f"counts_{split}.json", f"predictions_{split}.json"
    counts, source = _counts(found, split, corpus, names, lambda predictions: predictions)
    if counts is None:
        return
    file = found.directory.path / names[0]
    if corpus is None and (found.directory.path / names[1]).is_file():
        predictions = found.directory.read_json(names[1])
        undirected = found.directory.read_json("relations.json")["undirected"]
        found.differences += _of_predictions(counts, predictions, undirected, str(file), names[1])
    relations = f"{split}_relations"
    plain = {name: value for name, value in metrics[split].items() if name not in CALIBRATION}
    stored = {split: plain, relations: metrics[relations]}
    given = {split: score(counts), relations: score_relations(counts)}
    found.differences += _unequal(found.directory, flat(stored), flat(given), source)


def _of_calibration(
    found: Verified, metrics: Mapping[str, Any], split: str, name: str, corpus: _Corpus | None
) -> None:
    """The thresholds of one of CALIBRATIONS, the scores at them and the average precision, from the
    best that there is.
    """
    key, directory = CALIBRATIONS[name], found.directory
    names = (f"counts_{split}_{name}.json", f"candidates_{split}.json")
    candidates_of = lambda columns: from_columns(columns, str(directory.path / names[1]))
    chosen = lambda columns: above(candidates_of(columns), metrics[key])
    counts, source = _counts(found, split, corpus, names, chosen)
    if counts is None:
        return
    stored, given = {name: metrics[split][name]}, {name: score(counts)}
    if corpus is not None and (directory.path / names[1]).is_file():
        candidates = candidates_of(directory.read_json(names[1]))
        ranking = rank(corpus.splits[split], candidates, undirected=corpus.undirected)
        stored["average_precision"] = metrics[split]["average_precision"]
        given["average_precision"] = average_precisions(ranking, corpus.relations, corpus.frequent)
        if split == "dev":
            tuned = tuned_threshold(ranking)
            if key == "thresholds":
                tuned = thresholds_by_relation(ranking, corpus.relations, metrics["threshold"])
            stored[key], given[key] = metrics[key], tuned
    stored, given = flat({split: stored}), flat({split: given})
    found.differences += _unequal(directory, stored, given, source)


def _counts(
    found: Verified,
    split: str,
    corpus: _Corpus | None,
    names: tuple[str, str],
    predictions_of: Callable[[Any], list],
) -> tuple[Counts | None, str]:
    """The counts made of the second file and gold documents, or the first file; and from what."""
    directory, counts, source = found.directory, None, f"{names[0]} gives"
    there = [(directory.path / name).is_file() for name in names]
    gone = [
        f"there is no {name}" for name, is_there in zip(names, there, strict=True) if not is_there
    ]
    found.unverified += [reason for reason in gone if reason not in found.unverified]
    file, of = (str(directory.path / name) for name in names)
    if there[0]:
        counts = Counts.from_json(directory.read_json(names[0]), file)
        found.differences += _inconsistent(counts, file)
    if there[1] and corpus is not None:
        made = corpus.count(split, predictions_of(directory.read_json(names[1])), of)
        if counts is not None:
            found.differences += _unlike(counts, made, file, names[1])
        counts, source = made, f"{names[1]} and the gold documents give"
    return counts, source


def _unequal(
    directory: RunDirectory, stored: Mapping[str, Any], given: Mapping[str, Any], source: str
) -> Iterator[str]:
    """Each key of metrics.json that is not what `source` gives."""
    number = lambda value: isinstance(value, (int, float)) and not isinstance(value, bool)
    for key in dict.fromkeys([*stored, *given]):
        one, other = stored.get(key, "nothing"), given.get(key, "nothing")
        close = number(one) and number(other) and abs(one - other) <= TOLERANCE
        if not close and one != other:
            yield f"{directory.path / 'metrics.json'}: {key} is {one}; {source} {other}"


def _inconsistent(counts: Counts, file: str) -> Iterator[str]:
    """Where counts contradict themselves."""
    everything = counts.groups["all"]
    tp, predicted, gold, seen = everything.T
    if not ((tp >= 0) & (seen >= 0) & (seen <= tp) & (tp <= np.minimum(predicted, gold))).all():
        yield (
            f"{file}: some counts are below 0, or there are more true positives than predicted or "
            "gold facts"
        )
    for names in (*PARTS, tuple(counts.buckets)):
        if names and all(name in counts.tables for name in names):
            parts = sum(counts.tables[name] for name in names)
            for d in np.flatnonzero((parts != everything).any(axis=1))[:1]:
                yield f"{file}: document '{counts.titles[d]}': {' + '.join(names)} is not all"
    if (counts.by_relation.sum(axis=0) != everything.sum(axis=0)[:3]).any():
        yield f"{file}: the sums over relations and over documents differ"


def _of_predictions(
    counts: Counts, predictions: list, undirected: bool, file: str, source: str
) -> Iterator[str]:
    """Whether each document and each relation has as many predicted facts as the counts say."""
    pair = lambda item: (item["h_idx"], item["t_idx"])
    ordered = lambda item: sorted(pair(item)) if undirected else pair(item)
    facts = {(item["title"], *ordered(item), item["r"]) for item in predictions}
    of_documents = dict(zip(counts.titles, counts.groups["all"][:, 1].tolist(), strict=True))
    of_relations = dict(zip(counts.relations, counts.by_relation[:, 1].tolist(), strict=True))
    for what, stored, position in (("document", of_documents, 0), ("relation", of_relations, 3)):
        given = Counter(fact[position] for fact in facts)
        for name in dict.fromkeys([*stored, *given]):
            if stored.get(name, 0) != given[name]:
                yield (
                    f"{file}: {what} '{name}' has {stored.get(name, 0)} predicted facts, {source} "
                    f"has {given[name]}"
                )
                break


def _unlike(stored: Counts, made: Counts, file: str, source: str) -> Iterator[str]:
    """Where stored counts are not those made of predictions and gold documents."""
    for what in ("titles", "relations"):
        if getattr(stored, what) != getattr(made, what):
            yield f"{file}: its {what} are not those of the gold documents"
            return
    for name in dict.fromkeys([*stored.tables, *made.tables]):
        left, right = (counts.tables.get(name) for counts in (stored, made))
        if left is None or right is None:
            fault = "missing" if left is None else "not defined in the gold documents"
            yield f"{file}: the group '{name}' is {fault}"
        elif (different := np.argwhere(left != right)).size:
            d, c = different[0]
            yield (
                f"{file}: {name}, document '{stored.titles[d]}': {COLUMNS[c]} is {left[d, c]}; "
                f"{source} and the gold documents give {right[d, c]} ({len(different)} such "
                "numbers)"
            )
    for what in ("by_relation", "train_frequency"):
        if (different := np.argwhere(getattr(stored, what) != getattr(made, what))).size:
            yield (
                f"{file}: {what} of '{stored.relations[different[0][0]]}' is not what predictions "
                "and gold documents give"
            )
