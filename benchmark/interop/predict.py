"""A stored model on the user's own documents. All it needs is in the run's directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from accelerate import Accelerator
from datasets import Dataset

from benchmark.config import RunConfig
from benchmark.data.docred import own_rows
from benchmark.data.documents import FEATURES, Corpus
from benchmark.data.jsonstream import iterate_array
from benchmark.data.ner import marker
from benchmark.data.text import read_marked
from benchmark.errors import UserError
from benchmark.interop.publishing import pulled, single_run
from benchmark.progress import Progress
from benchmark.scoring.calibration import above
from benchmark.training.building import restore_model
from benchmark.training.evaluation import Evaluator, batches_of

THRESHOLDS = {"class": None, "tuned": "threshold", "per_relation": "thresholds"}  # in metrics.json


def own_documents(path: Path, ner: str | None = None) -> Dataset:
    """The user's documents in the canonical schema.

    ner: what finds the entities of a plain text ("spacy:MODEL"); None: they are marked.

    Raises:
        DataError: a document is faulty; names file and place.
        UserError: `ner` cannot be had, or the documents are JSON, which names its entities.
    """
    is_json = path.suffix.lower() in (".json", ".jsonl")
    if is_json and ner:
        raise UserError(f"{path}: --ner is for plain text; a JSON file names its entities itself")
    documents = iterate_array(path) if is_json else read_marked(path, ner and marker(ner))
    return Dataset.from_list(list(own_rows(documents, str(path))), features=FEATURES)


def predict(run: Path, documents: Path | Dataset, threshold: str = "class") -> list[dict[str, Any]]:
    """Facts found in `documents`: DocRED-format JSON (labels are neither needed nor read), text
    with its entities marked (benchmark/data/text.py), or what `own_documents` returned.

    Args:
        threshold: "class": the model's own; "tuned": one for all relations; "per_relation": one for
            each. The last two were tuned on dev and are stored with the run.

    Returns one dict per fact: `title`, `h_idx`, `t_idx` and `r` as in the official submission
    format; `head`, `relation` and `tail` in words; `score`, the margin of the logit over the
    threshold class. In an undirected corpus each pair comes once.

    Raises UserError: the run is not finished, or kept no weights or no such threshold; a document
    is faulty.
    """
    run = run if run.exists() else pulled(str(run))
    directory = single_run(run)
    config = RunConfig.model_validate(directory.read().config)
    if not (directory.path / "best.safetensors").is_file():
        raise UserError(
            f"{run}: there are no weights (best.safetensors) in this folder. Runs keep theirs with "
            "train.keep_weights: best; a published copy of a run has none"
        )
    key = THRESHOLDS[threshold]
    if key and key not in (metrics := directory.read_json("metrics.json")):
        raise UserError(
            f"{run}: holds no such threshold; it was imported, or made by an earlier version, and "
            "nothing was tuned on dev"
        )
    stored = directory.read_json("relations.json")
    names = dict(stored["relations"])
    rows = documents if isinstance(documents, Dataset) else own_documents(documents)
    types, undirected = tuple(stored.get("entity_types", ())), stored["undirected"]
    told = {"undirected": undirected, "entity_types": types}
    corpus = Corpus("the documents", rows, rows, rows, tuple(names), names, None, **told)
    accelerator = Accelerator(mixed_precision=config.train.mixed_precision)
    model = restore_model(config, directory.path, len(names) + 1).to(accelerator.device)
    loader = batches_of(rows, corpus, model, config)
    evaluator = Evaluator(
        model, accelerator, corpus, Progress.for_console(), max_labels=config.train.max_labels
    )
    if key:
        _, candidates = evaluator.predict_and_rank(loader, list(rows["title"]), "predicting")
        facts = above(candidates, metrics[key])
    else:
        facts = evaluator.predict(loader, list(rows["title"]))
    longest = {
        row["title"]: [max((m["name"] for m in e["mentions"]), key=len) for e in row["entities"]]
        for row in rows
    }
    return [
        {key: fact[key] for key in ("title", "h_idx", "t_idx", "r")}
        | {
            "head": longest[fact["title"]][fact["h_idx"]],
            "relation": names[fact["r"]],
            "tail": longest[fact["title"]][fact["t_idx"]],
            "score": fact["score"],
        }
        for fact in facts
    ]
