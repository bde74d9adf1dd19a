"""The metrics of a finished run, recomputed from the files beside them: `report --verify`.

    files               against their SHA-256 in DONE
    best_epoch, epochs  from history.jsonl
    scores              from the stored predictions and the gold documents, where the dataset's
                        files are at hand; else from the stored counts
    calibrated scores   from the stored candidates and the gold documents, the threshold tuned
                        on dev again; else from the stored counts
    average precision,  from the stored candidates and the gold documents alone
    thresholds
    fused scores        in the same way from candidates of their own, and the fused predictions
    counts              against those of predictions or candidates and gold documents
    stage1              (cheap protocol) against the test scores of the stage 1 run, where the
                        experiment's folder lies beside that of the stage 1 models

Scores that cannot be recomputed here are named. What never can be, such as times and the quality of
generated pairs, is checked by its digest alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from benchmark.config import HEAD, complete_options
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
from benchmark.scoring.counts import Counts, count, score, score_relations, train_facts
from benchmark.scoring.merging import FUSED
from benchmark.store.differences import flat
from benchmark.store.runs import RunDirectory, StoredRun

SCORED = ("dev", "test")
THRESHOLDS = CALIBRATIONS | FUSED  # a kind of scores -> where metrics.json has its threshold
BESIDE = (*THRESHOLDS, "average_precision")  # the plain scores of a split
PREDICTIONS, CANDIDATES = (f"{files} and gold documents" for files in ("predictions", "candidates"))
TOLERANCE = 1e-9  # sums on another machine may differ in their last digits


@dataclass
class Verified:
    """What was found of one run.

    differences: each names the file, what differs, and both values.
    unverified: files that could not be compared with others, and why.
    left: score -> what it takes to recompute it, which is not there.
    """

    directory: RunDirectory
    differences: list[str] = field(default_factory=list)
    unverified: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)

    def compare(
        self, name: str, stored: Mapping[str, Any], given: Mapping[str, Any], source: str
    ) -> None:
        """Note each key of the stored file `name` whose value is not what `source` gives."""
        stored, given = flat(stored), flat(given)
        number = lambda value: isinstance(value, (int, float)) and not isinstance(value, bool)
        for key in dict.fromkeys([*stored, *given]):
            one, other = stored.get(key, "nothing"), given.get(key, "nothing")
            close = number(one) and number(other) and abs(one - other) <= TOLERANCE
            if not close and one != other:
                long = isinstance(one, list) or isinstance(other, list)
                said = f"not what {source}" if long else f"{one}; {source} {other}"
                self.differences.append(f"{self.directory.path / name}: {key} is {said}")


class Documents:
    """The documents that runs were trained and scored on, loaded once for all runs.

    dataset: {"name", "options"} of where they are now; None: where each run found them.
    """

    def __init__(self, dataset: Mapping[str, Any] | None = None):
        self.dataset = dataset
        self._loaded: dict[str, _Gold | UserError] = {}

    def of(self, run: StoredRun) -> _Gold:
        """The documents of a run. Raises UserError if they are missing or have changed."""
        dataset = self.dataset or run.config["dataset"]
        key = json.dumps(dataset, sort_keys=True)
        if key not in self._loaded:
            try:
                self._loaded[key] = _Gold(dataset["name"], dataset.get("options") or {})
            except UserError as error:  # kept, so that its other runs do not read it again
                self._loaded[key] = error
        if isinstance(found := self._loaded[key], UserError):
            raise found
        if run.facts.get("corpus_digest") not in (None, found.corpus.digest):
            raise UserError(
                f"{dataset['name']} now holds other documents than those of the run (another "
                "corpus_digest)"
            )
        return found


class _Gold:
    def __init__(self, name: str, options: Mapping[str, Any]):
        corpus = DATASETS[name](**complete_options(DATASETS, name, dict(options)))
        self.corpus, self.splits = corpus, {split: list(corpus.splits[split]) for split in SCORED}
        self.count = partial(
            count,
            relations=corpus.relations,
            frequent=corpus.frequent,
            train_documents=train_facts(corpus.train, undirected=corpus.undirected),
            undirected=corpus.undirected,
        )


def verify(directory: RunDirectory, documents: Documents) -> Verified:
    """Compare a finished run with what its files give."""
    found, gold = Verified(directory), None
    found.differences += directory.changes()
    try:
        config, metrics = (directory.read_json(f"{name}.json") for name in ("config", "metrics"))
        run = StoredRun(directory.path, config, config.pop("facts", {}), metrics)
        _of_history(found, metrics)
        try:
            gold = documents.of(run)
        except UserError as error:
            found.unverified.append(f"not compared with gold documents: {error}")
        for split in SCORED:
            # not every run has all
            for kind in ("plain", *(kind for kind in THRESHOLDS if kind in metrics[split])):
                _of_split(found, metrics, split, kind, gold)
        if "stage1" in metrics:
            _of_stage1(found, run)
    except UserError as error:
        found.differences.append(str(error))
    except (KeyError, TypeError, AttributeError, ValueError) as error:  # JSON that was edited
        found.differences.append(
            f"{directory.path}: not the files of a run ({type(error).__name__}: {error})"
        )
    return found


def _of_history(found: Verified, metrics: Mapping[str, Any]) -> None:
    """`epochs`, and `best_epoch`: the first with the highest dev F1, an undefined one being 0."""
    if "epochs" not in metrics:  # not trained here
        return
    f1 = [epoch["dev"]["f1"] or 0.0 for epoch in found.directory.read_history()]
    given = {"epochs": len(f1), "best_epoch": 1 + f1.index(max(f1)) if f1 else None}
    stored = {name: metrics.get(name) for name in given}
    found.compare("metrics.json", stored, given, "history.jsonl gives")


def _of_stage1(found: Verified, run: StoredRun) -> None:
    """Compare the stage 1 scores that tables show with those of the stage 1 run itself."""
    folder = found.directory.experiment.resolve()
    name = folder.name.removesuffix(HEAD)
    stage1 = RunDirectory.of(folder.parent, name, run.backbone, run.augmenter, run.seed)
    if name == folder.name or not stage1.is_sound():  # verifying that folder says what is wrong
        found.left["stage1"] = f"a sound stage 1 run in the folder without {HEAD}"
        return
    stored, given = run.metrics["stage1"], stage1.read().metrics["test"]
    source = f"{'/'.join(stage1.path.parts[-4:])}/metrics.json has"
    found.compare("metrics.json", {"stage1": stored}, {"stage1": given}, source)


def _of_split(
    found: Verified, metrics: Mapping[str, Any], split: str, kind: str, gold: _Gold | None
) -> None:
    """Compare one split's scores, plain or of one of THRESHOLDS, with the best source there is.

    A threshold is checked along with the scores made with it, average precision along with the
    calibrated ones.
    """
    plain, directory = kind == "plain", found.directory
    beside = "" if plain else f"_{kind}"
    counted = f"counts_{split}{beside}.json"
    made_of = f"{'predictions' if plain else 'candidates'}_{split}{beside * (kind in FUSED)}.json"
    # those of calibrated scores are not stored: they follow from the candidates
    predicted = [f"predictions_{split}{beside}.json"] * (kind in FUSED)
    for name in (counted, made_of, *predicted):
        reason = f"there is no {name}"
        if not directory.has(name) and reason not in found.unverified:
            found.unverified.append(reason)
    counts, source, of_ranking = None, f"{counted} gives", {}
    if directory.has(counted):
        counts = Counts.from_json(directory.read_json(counted), str(directory.path / counted))
    if gold is not None and directory.has(made_of):
        chosen, where = directory.read_json(made_of), str(directory.path / made_of)
        if not plain:
            candidates = from_columns(chosen, where)
            chosen = above(candidates, metrics[THRESHOLDS[kind]])
        made = gold.count(gold.splits[split], chosen, source=where)
        of_ranking = {} if plain else _of_ranking(gold, split, kind, candidates, metrics)
        source = f"{made_of} and the gold documents give"
        if counts is not None:
            found.compare(counted, counts.to_json(), made.to_json(), source)
        for name in filter(directory.has, predicted):
            stored = {"facts": directory.read_json(name)}
            found.compare(name, stored, {"facts": chosen}, f"{made_of} gives")
        counts = made
    elif not plain:
        names = [THRESHOLDS[kind]] if split == "dev" else []
        if kind in CALIBRATIONS and "average_precision" in metrics[split]:
            names.append(f"{split}.average_precision")
        found.left |= dict.fromkeys(names, CANDIDATES)
    if counts is None:
        scores = (split, f"{split}_relations") if plain else (f"{split}.{kind}",)
        found.left |= dict.fromkeys(scores, PREDICTIONS if plain else CANDIDATES)
    elif plain:
        scores = {name: value for name, value in metrics[split].items() if name not in BESIDE}
        stored = {split: scores, f"{split}_relations": metrics[f"{split}_relations"]}
        given = {split: score(counts), f"{split}_relations": score_relations(counts)}
        found.compare("metrics.json", stored, given, source)
    else:
        given = {kind: score(counts)} | of_ranking
        stored = {name: (metrics | metrics[split])[name] for name in given}
        found.compare("metrics.json", {split: stored}, {split: given}, source)


def _of_ranking(
    gold: _Gold, split: str, kind: str, candidates: list, metrics: Mapping[str, Any]
) -> dict[str, Any]:
    """Average precision for calibrated scores, and on dev the thresholds."""
    corpus, given = gold.corpus, {}
    ranking = rank(gold.splits[split], candidates, undirected=corpus.undirected)
    if kind == "calibrated":
        precisions = average_precisions(ranking, corpus.relations, corpus.frequent)
        given["average_precision"] = precisions
    if split == "dev" and kind == "per_relation":
        around = metrics["threshold"]
        given["thresholds"] = thresholds_by_relation(ranking, corpus.relations, around)
    elif split == "dev":
        given[THRESHOLDS[kind]] = tuned_threshold(ranking)
    return given
