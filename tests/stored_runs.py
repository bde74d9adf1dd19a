"""Finished runs for tests of reports: hand-made numbers in the files of a real run's form."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from benchmark.reports.evidence import Evidence
from benchmark.reports.leaderboard import Board, boards, by_data
from benchmark.reports.significance import Significance, significance
from benchmark.reports.study import Study, studies
from benchmark.scoring.counts import Counts
from benchmark.store.runs import RunDirectory, StoredRun

KEYS = ("ign_f1", "freq_f1", "ltail_f1", "precision", "recall", "macro_f1", "intra_f1", "inter_f1")
BUCKETS = ("0", "1-10", "11-50", "51-200", "201+")


def scores(f1: float) -> dict:
    return {"f1": f1, "bucket_f1": dict.fromkeys(BUCKETS, f1), **dict.fromkeys(KEYS, f1)}


def relations(**f1: float | None) -> dict:
    """relation -> its scores; the first has 300 training facts, each further one a hundred less."""
    found = {}
    for i, (name, value) in enumerate(f1.items()):
        found[name] = {"precision": value, "recall": value, "f1": value}
        found[name] |= {"gold": 10 + i, "train_frequency": 300 - 100 * i}
    return found


def run(
    folder: Path,
    augmenter: str,
    seed: int,
    f1: float,
    *,
    experiment: str = "demo",
    backbone: str = "atlop",
    dataset: str = "toy",
    digest: str = "aa",
    of_relations: dict | None = None,
    **metrics,
) -> StoredRun:
    """A finished run in memory, with the path it would have below `folder`."""
    config = dict(
        dataset={"name": dataset, "options": {}},
        encoder={"name": "tiny", "options": {}, "freeze": "none"},
        backbone={"name": backbone, "options": {}},
        augmenter={"name": augmenter, "options": {}},
        augment=None,
        train={"epochs": 3},
        seed=seed,
    )
    known = {"dev": scores(f1 + 0.1), "test": scores(f1), "seconds": 600.0}
    known |= {"device": "cpu, 2 threads", "best_epoch": 2, "epochs": 3}
    known |= {"test_relations": of_relations} if of_relations is not None else {}
    names = (name.replace("/", "_") for name in (experiment, backbone, augmenter))
    path = RunDirectory.of(folder, *names, seed).path
    return StoredRun(path, config, {"corpus": dataset, "corpus_digest": digest}, known | metrics)


def counts(f1: float, tail: float | None = None, *, spread: int = 0, documents: int = 10) -> Counts:
    """Counts whose F1 is `f1`, and LTail F1 `tail` (else the same): 1,000 predicted and 1,000 gold
    facts in each document.

    spread: documents have so many true positives more and less, in turn, so that a bootstrap over
        documents sees a difference.
    """

    def table(score: float) -> np.ndarray:
        tp = round(1000 * score) + spread * np.where(np.arange(documents) % 2, 1, -1)
        return np.stack([tp, np.full(documents, 1000), np.full(documents, 1000), 0 * tp], axis=1)

    groups = {"all": table(f1), "frequent": table(f1), "tail": table(f1 if tail is None else tail)}
    groups |= {"intra": table(f1), "inter": table(f1)}
    titles = tuple(f"d{i}" for i in range(documents))
    return Counts(titles, groups, {}, ("P1",), np.zeros((1, 3), int), np.zeros(1, int))


def counted(
    folder: Path,
    augmenter: str,
    seed: int,
    f1: float,
    tail: float | None = None,
    *,
    spread: int = 0,
    documents=10,
    **options,
) -> StoredRun:
    """A finished run on disk with its counts per document; `options` as of `run`."""
    stored = run(folder, augmenter, seed, f1, **options)
    stored.metrics["test"]["ltail_f1"] = f1 if tail is None else tail
    found = counts(f1, tail, spread=spread, documents=documents)
    write(stored, files={"counts_test.json": found.to_json()})
    return stored


def scored(folder: Path, augmenter: str, values: Iterable[float], **options) -> list[StoredRun]:
    """Counted runs of one augmenter, of the seeds 0, 1 ... with these F1."""
    return [counted(folder, augmenter, seed, f1, **options) for seed, f1 in enumerate(values)]


def write(
    stored: StoredRun, *, relation_names: dict[str, str] | None = None, files: dict | None = None
) -> RunDirectory:
    """The run on disk, with further JSON files by name."""
    directory = RunDirectory(stored.path)
    directory.start(stored.config, facts=stored.facts)
    directory.write_json("metrics.json", json.loads(json.dumps(stored.metrics)))
    names = [list(item) for item in (relation_names or {}).items()]
    inventory = {"relations.json": {"relations": names, "undirected": False}} if names else {}
    for name, content in (inventory | (files or {})).items():
        directory.write_json(name, content)
    directory.finish()
    return directory


def compared_with_none(
    runs: Iterable[StoredRun], expected=None, *, resamples: int = 199
) -> Significance:
    """The comparisons of an experiment with `none`."""
    study = Study.of(runs, expected)
    return significance(study, Evidence(study.runs, resamples=resamples))


def boards_of(runs: Iterable[StoredRun], expected=None, *, resamples: int = 199) -> list[Board]:
    """The leaderboard of all these runs."""
    found, _ = studies(runs, expected)
    evidence = {
        data: Evidence((run for study in together for run in study.runs), resamples=resamples)
        for data, together in by_data(found).items()
    }
    return boards(found, evidence)
