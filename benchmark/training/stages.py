"""One run of the grid, stage by stage (the paper's section 2.3).

Stage 1 trains the backbone. Stage 2 fits the augmenter to the pair representations of the stage 1
model. Stage 3 trains the backbone anew, with generated pairs. A run with the augmenter `none` is
stage 1 alone, and its model serves every augmenter of the same backbone and seed.

With `augment.stage3: head`, stage 3 trains only the backbone's head, on the encoder of stage 1; a
run with `none` is then such a stage 3 without generated pairs.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DataLoaderConfiguration

from benchmark import processes
from benchmark.config import RunConfig
from benchmark.data.documents import Corpus
from benchmark.progress import Progress
from benchmark.scoring.calibration import (
    CALIBRATIONS,
    above,
    average_precisions,
    thresholds_by_relation,
    to_columns,
    tuned_threshold,
)
from benchmark.scoring.counts import score, score_relations
from benchmark.store.runs import RunDirectory
from benchmark.training import tracking
from benchmark.training.augmentation import Augmentation
from benchmark.training.checkpoints import load_weights
from benchmark.training.distillation import store_logits
from benchmark.training.fusion import score_fused
from benchmark.training.loop import Loop, Trained
from benchmark.training.resume import require_fitting_state, starting_point, with_stage1
from benchmark.training.session import Session, stage1_weights


def train_run(
    run: RunConfig,
    directory: RunDirectory,
    *,
    corpus: Corpus,
    facts: Mapping[str, Any],
    stage1: Path | None = None,
    base: Path | None = None,
    branch_epoch: int | None = None,
    save_every: float = 600.0,
    progress: Progress,
) -> None:
    """Train, score and store one run. Everything but the DONE marker is written into `directory`.

    Several processes train and predict together. What they cannot share, the main one does alone:
    it fits the augmenter, computes stage 1 representations, measures quality, and writes.

    Args:
        facts: the run's IDENTIFYING_FACTS, stored with its training states.
        stage1: directory of the finished stage 1 run of the same backbone and seed. Needed by
            augmenters that are fitted, by `augment.start: stage1` and by `augment.stage3: head`.
        base: directory of the finished `none` run of the same protocol, backbone and seed, from
            whose training state after the warm-up a run starts, if it is there.
        branch_epoch: for a `none` run: the epoch after which to keep that state.
        save_every: seconds between two checkpoints within an epoch.

    Raises UserError when an earlier attempt saved a state that does not fit, among others.
    """
    began = time.perf_counter()
    accelerator = Accelerator(
        mixed_precision=run.train.mixed_precision,
        gradient_accumulation_steps=run.train.accumulation,
        # copies do not block: the loaders pin their memory
        dataloader_config=DataLoaderConfiguration(non_blocking=True),
        **tracking.tracked(run, directory.path),
    )
    use_threads(run.train.threads, accelerator.device)
    facts = with_stage1(run, facts, stage1)
    processes.on_main(lambda: require_fitting_state(run, directory, facts))
    tracking.begin(accelerator, run, directory.experiment.name)
    session = Session(run, directory, corpus, facts, accelerator, progress, stage1, began)
    metrics: dict[str, Any] = {"parameters": sum(p.numel() for p in session.model.parameters())}
    if run == run.plain():
        trained = train_stage1(session, branch_epoch, save_every)
        if run.on_head:  # tables show both
            metrics["stage1"] = RunDirectory(stage1).read().metrics["test"]
    else:
        augmentation = fit_stage2(session)
        metrics["stage2_seconds"] = augmentation.seconds
        trained = train_stage3(session, augmentation, base, save_every)
    metrics |= {"best_epoch": trained.best_epoch, "epochs": trained.epoch}
    metrics["train_seconds"] = sum(epoch["seconds"] for epoch in trained.history)
    _finish(session, metrics)
    tracking.end(accelerator)
    accelerator.free_memory()


def use_threads(threads: int, device: torch.device) -> None:
    """Compute with so many threads, on a CPU with sums whose order does not depend on them."""
    torch.set_num_threads(threads)
    # else the gradient of `values[index]` is added up in the order in which the threads come
    torch.use_deterministic_algorithms(device.type == "cpu", warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False


def train_stage1(session: Session, branch_epoch: int | None, save_every: float) -> Trained:
    """Train on the documents alone: the whole model, or a new head on the encoder of stage 1."""
    loop = Loop(session, save_every, branch_epoch=branch_epoch)
    return loop.run(start_from=_start(session, None))


def fit_stage2(session: Session) -> Augmentation:
    """Fit the augmenter to the pairs of the stage 1 model, and measure what it generates."""
    augmentation = Augmentation(session)
    processes.on_main(augmentation.measure)
    processes.stop_if_asked()
    return augmentation


def train_stage3(
    session: Session, augmentation: Augmentation, base: Path | None, save_every: float
) -> Trained:
    """Train the backbone anew, from `augment.warmup_epochs` on with generated pairs.

    Until then it repeats stage 1 bit for bit, so it starts from the training state that the `none`
    run left there, if it did (not with `augment.start: stage1`, which trains the stage 1 model on
    with a new optimiser, nor with `augment.warmup_contrastive: false`, which changes the warm-up).
    """
    start = _start(session, base)
    if start is None and session.run.augment.start == "stage1":
        load_weights(session.model, stage1_weights(session.stage1, "augment.start: stage1"))
    return Loop(session, save_every, augmentation).run(start_from=start)


def _start(session: Session, base: Path | None) -> Path | None:
    """The training state to go on from; the main process looks for it."""
    find = lambda: starting_point(session.run, session.directory, session.facts, base)
    found = processes.on_main(lambda: str(find() or ""))
    return Path(found) if found else None


def _finish(session: Session, metrics: dict[str, Any]) -> None:
    """Score the chosen weights on dev and test, and write what a run leaves. The checkpoint stays
    until the run is declared done.
    """
    corpus, directory = session.corpus, session.directory
    load_weights(session.model, directory.path / "best.safetensors")
    inventory = {
        "relations": [[name, corpus.relation_names.get(name, name)] for name in corpus.relations],
        "frequent": None if corpus.frequent is None else sorted(corpus.frequent),
        "undirected": corpus.undirected,
        "entity_types": list(corpus.type_ids),
    }
    written: dict[str, Any] = {"relations.json": inventory}
    for split in ("dev", "test"):  # in this order: the thresholds are tuned on dev
        _score(session, split, metrics, written)
        if session.model.backbone.fuses:
            score_fused(session, split, metrics, written)
    metrics["seconds"] = session.spent()
    metrics["device"] = _device_name(session.accelerator.device)
    written["metrics.json"] = metrics

    def store() -> None:
        session.model.encoder.save(directory.path / "encoder")
        for name, content in written.items():
            directory.write_json(name, content)
        if session.run.train.store_logits:
            logits = session.evaluator.document_logits(session.loader("train"))
            store_logits(directory.path, logits, list(corpus.train["title"]), corpus.relations)

    processes.on_main(store)


def _score(session: Session, split: str, metrics: dict[str, Any], written: dict[str, Any]) -> None:
    """Predict a split; add its scores to `metrics`, its facts and counts to `written`."""
    corpus, titles = session.corpus, list(session.documents[split]["title"])
    predictions, candidates = session.evaluator.predict_and_rank(
        session.loader(split), titles, f"predicting {split}"
    )
    ranking = session.ranking(split, candidates)
    if split == "dev":
        threshold = metrics["threshold"] = tuned_threshold(ranking)
        metrics["thresholds"] = thresholds_by_relation(ranking, corpus.relations, threshold)
    counts = session.count(split, predictions)
    metrics[split] = score(counts)
    for name, key in CALIBRATIONS.items():
        calibrated = session.count(split, above(candidates, metrics[key]))
        metrics[split][name] = score(calibrated)
        written[f"counts_{split}_{name}.json"] = calibrated.to_json()
    precisions = average_precisions(ranking, corpus.relations, corpus.frequent)
    metrics[split]["average_precision"] = precisions
    metrics[f"{split}_relations"] = score_relations(counts)
    written[f"predictions_{split}.json"] = predictions
    written[f"candidates_{split}.json"] = to_columns(candidates, corpus.relations)
    written[f"counts_{split}.json"] = counts.to_json()


def _device_name(device: torch.device) -> str:
    threads = torch.get_num_threads()
    name = f"{device.type}, {threads} thread{'s' * (threads > 1)}"
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    return name if processes.count() == 1 else f"{processes.count()} x {name}"
