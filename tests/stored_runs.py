"""Finished runs for tests of reports: hand-made numbers in the files of a real run's form."""

import json
from pathlib import Path

from benchmark.results import RunDirectory, StoredRun

KEYS = ("ign_f1", "freq_f1", "ltail_f1", "precision", "recall", "macro_f1", "intra_f1", "inter_f1")
BUCKETS = ("0", "1-10", "11-50", "51-200", "201+")


def scores(f1: float) -> dict:
    return {"f1": f1, "bucket_f1": dict.fromkeys(BUCKETS, f1), **dict.fromkeys(KEYS, f1)}


def relations(**f1: float | None) -> dict:
    """relation -> its scores; the first has 300 training facts, each further one a hundred less."""
    return {
        name: {"precision": value, "recall": value, "f1": value, "gold": 10 + i, "train_frequency": 300 - 100 * i}
        for i, (name, value) in enumerate(f1.items())
    }


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
    config = {
        "dataset": {"name": dataset, "options": {}},
        "encoder": {"name": "tiny", "options": {}, "freeze": "none"},
        "backbone": {"name": backbone, "options": {}},
        "augmenter": {"name": augmenter, "options": {}},
        "augment": None,
        "train": {"epochs": 3},
        "seed": seed,
    }
    known = {
        "dev": scores(f1 + 0.1),
        "test": scores(f1),
        "seconds": 600.0,
        "device": "cpu, 2 threads",
        "best_epoch": 2,
        "epochs": 3,
    }
    known |= {"test_relations": of_relations} if of_relations is not None else {}
    names = (name.replace("/", "_") for name in (experiment, backbone, augmenter))
    path = RunDirectory.of(folder, *names, seed).path
    return StoredRun(path, config, {"corpus": dataset, "corpus_digest": digest}, known | metrics)


def write(stored: StoredRun, *, relation_names: dict[str, str] | None = None) -> RunDirectory:
    """The run on disk."""
    directory = RunDirectory(stored.path)
    directory.start(stored.config, facts=stored.facts)
    directory.write_json("metrics.json", json.loads(json.dumps(stored.metrics)))
    if relation_names:
        directory.write_json("relations.json", {"relations": [list(item) for item in relation_names.items()], "undirected": False})
    directory.finish()
    return directory
