"""Finished runs on the Hugging Face hub: uploaded with a model card, and found again."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from benchmark.errors import UserError
from benchmark.hub import downloaded, upload
from benchmark.store.cleaning import WEIGHTS
from benchmark.store.runs import RunDirectory, StoredRun, find_runs

LEFT_OUT = ("candidates_*.json", "sample.json")  # large, and no table needs them
REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
COLUMNS = {"F1": "f1", "Ign F1": "ign_f1", "Freq F1": "freq_f1", "LTail F1": "ltail_f1"}


def push(run: Path, repository: str, *, private: bool = False) -> str:
    """Upload a finished run with its weights, results and a model card; returns the address.

    Raises UserError if the run is not finished, is damaged, has no scores or kept no weights, or
    the hub refuses.
    """
    directory = single_run(run)
    stored = directory.read()
    if imported := stored.metrics.get("imported_from"):
        raise UserError(
            f"{run}: was imported from {imported}, so there are no scores for a model card; `push` "
            "uploads what was trained here"
        )
    directory.verify()
    if not (directory.path / "best.safetensors").exists():
        raise UserError(
            f"{run}: there are no weights (best.safetensors) in this folder, so there is no model "
            "to upload. Runs keep theirs with train.keep_weights: best"
        )
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        directory.copy_results(folder, *LEFT_OUT)
        for source in (directory.path / name for name in (*WEIGHTS, "encoder")):
            if source.exists():
                (shutil.copytree if source.is_dir() else shutil.copy2)(source, folder / source.name)
        (folder / "README.md").write_text(card(stored, repository), encoding="utf-8")
        message = f"{stored.backbone} with {stored.augmenter} on {stored.dataset}"
        return upload(folder, repository, "model", message=message, private=private)


def single_run(path: Path) -> RunDirectory:
    """The run in a folder. Raises UserError if there is no such folder, or it holds others."""
    directory = RunDirectory(path)
    if inside := [run.path for run in find_runs(path) if run.path != directory.path]:
        raise UserError(f"{path}: holds {len(inside)} runs; give one of them, such as {inside[0]}")
    return directory


def pulled(repository: str) -> Path:
    """The folder of an uploaded run, downloaded the first time.

    Raises UserError for a bad id, a failed download, or a model that `push` did not upload.
    """
    if not REPOSITORY.fullmatch(repository):
        raise UserError(f"{repository}: no such folder; expected the folder of a finished run")
    told = f"{repository}: no folder of a run, and the hub could not provide such a model"
    folder = downloaded(repository, told, "`push` uploads such models")
    if not (folder / "DONE").is_file():
        raise UserError(f"{repository}: this model of the hub was not uploaded by `push`")
    return folder


def card(run: StoredRun, repository: str) -> str:
    """The model card: what was trained, its scores, how to use it, whose licences apply."""
    rows = ["| | " + " | ".join(COLUMNS) + " |", "| --- |" + " ---: |" * len(COLUMNS)]
    for split in ("dev", "test"):
        for label, scores in (
            (split, run.metrics[split]),
            (f"{split}, threshold tuned on dev", run.metrics[split].get("calibrated")),
        ):
            if scores:
                cells = [_percent(scores.get(key)) for key in COLUMNS.values()]
                rows.append(f"| {label} | {' | '.join(cells)} |")
    encoder = run.config["encoder"]["name"]
    # null for a local folder; runs of earlier versions did not record it
    local = run.facts.get("encoder_revision", "unknown") is None
    on_hub = REPOSITORY.fullmatch(encoder) is not None and not local
    notes = "".join(f"\n- {note}" for note in run.facts.get("corpus_notes") or ())
    return CARD.format(
        base=f"base_model: {encoder}\n" if on_hub else "",
        backbone=run.backbone,
        augmenter=run.augmenter,
        dataset=run.dataset,
        notes=f"\n{notes.lstrip()}\n" if notes else "",
        encoder=encoder if on_hub else Path(encoder).name,
        seed=run.seed,
        epochs=run.metrics.get("epochs"),
        best=run.metrics.get("best_epoch"),
        table="\n".join(rows),
        repository=repository,
        commit=run.facts.get("commit") or "unknown",
        digest=run.facts.get("corpus_digest") or "unknown",
    )


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"


CARD = """---
tags:
- relation-extraction
- document-level-relation-extraction
{base}---

# {backbone} with {augmenter} on {dataset}

A document-level relation extractor: backbone `{backbone}`, augmenter `{augmenter}`, encoder \
`{encoder}`, trained on `{dataset}`.
{notes}
## Scores

One run, seed {seed}; the model of epoch {best} of {epochs}, chosen on dev. In percent.

{table}

One seed says little about a method: compare several, and test.

## Use

    docre-bench predict {repository} my_text.txt

my_text.txt marks entities: `[Marie Curie|1] was born in [Warsaw|2].`

## How it was made

config.json holds every setting, history.jsonl the epochs, metrics.json all scores.
Code: commit {commit}. Data: digest {digest}.

## Licence

The code is under the MIT licence. The weights come from the encoder `{encoder}` and the documents
of `{dataset}`: their licences apply to them.
"""
