"""One run of the grid, stage by stage.

Stage 1 trains the backbone; stage 2 fits the augmenter to the pair representations of the stage 1
model; stage 3 trains the backbone anew with generated pairs (the paper's section 2.3). A run with
the augmenter `none` is stage 1 and nothing else, and its model serves every augmenter of the same
backbone and seed. Until augmentation sets in, stage 3 repeats stage 1 bit for bit, so it starts
from the training state that the `none` run left there, where there is one (not with `augment.start:
stage1`, which trains the stage 1 model on with a new optimiser, nor with
`augment.warmup_contrastive: false`, which makes the warm-up another).
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import itertools
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DataLoaderConfiguration, set_seed
from datasets import Dataset
from torch.utils.data import DataLoader

from augmenters.base import Augmenter
from backbones.base import Pairs
from backbones.encoders.huggingface import freeze, load_encoder, save_encoder
from benchmark import processes
from benchmark.config import Choice, EncoderConfig, RunConfig
from benchmark.data.batches import Collator, DocumentBatches, Rows
from benchmark.data.documents import Corpus
from benchmark.data.features import featurise
from benchmark.errors import ConfigError, UserError
from benchmark.grid.identity import NUMERICS_VERSION, encoder_digest, teacher_digest
from benchmark.progress import Progress
from benchmark.quality.runs import (
    Stage1,
    discard,
    hindrance,
    measure_run,
    rare_relations,
    read_pairs,
)
from benchmark.registry import AUGMENTERS, BACKBONES, ENCODERS
from benchmark.scoring.counts import TrainFacts, count, score, score_relations, train_facts
from benchmark.seeds import derive
from benchmark.store.cleaning import BRANCH, BRANCH_BEST, CHECKPOINT, PAIRS
from benchmark.store.runs import RunDirectory
from benchmark.training.cache import EncodedCollator, encode_once
from benchmark.training.checkpoints import is_sound, link, load_weights, read_tensors, write_tensors
from benchmark.training.distillation import TaughtCollator, Teacher, require_teacher, store_logits
from benchmark.training.evaluation import Evaluator
from benchmark.training.loop import Loop
from benchmark.training.model import DocreModel, build_model, restore_model
from benchmark.training.requests import Requests


def execute(
    run: RunConfig,
    directory: RunDirectory,
    *,
    corpus: Corpus,
    stage1: Path | None = None,
    branch_epoch: int | None = None,
    save_every: float = 600.0,
    progress: Progress,
) -> None:
    """Train, score and store one run. Everything but the DONE marker is written into `directory`.

    Several processes train and predict together. The main one does alone what is not made faster by
    that: it fits the augmenter (the others read it), computes stage 1 representations, measures
    quality, and writes. Pools are filled in each of them alike: each draws from its own.

    Args:
        stage1: directory of the finished `none` run of the same backbone and seed. Needed by
            augmenters that are fitted and by `augment.start: stage1`; others start from its
            training state if it is there and train from the beginning otherwise.
        branch_epoch: for a `none` run: keep the training state after so many epochs, for the
            augmented runs to start from.
        save_every: seconds between two checkpoints within an epoch.
    """
    began = time.perf_counter()
    torch.set_num_threads(run.train.threads)
    accelerator = Accelerator(
        mixed_precision="bf16" if run.train.precision == "bf16" else "no",
        gradient_accumulation_steps=run.train.accumulation,
        dataloader_config=DataLoaderConfiguration(
            non_blocking=True
        ),  # out of pinned memory, see `_Session.loader`
    )
    session = _Session(run, directory, corpus, accelerator, progress)
    metrics: dict[str, Any] = {"parameters": sum(p.numel() for p in session.model.parameters())}
    augmentation = None
    if run.augmenter.name != "none":
        augmentation = _Augmentation(session, stage1)
        metrics["stage2_seconds"] = augmentation.seconds
        processes.on_main(augmentation.measure)
        processes.stop_if_asked()

    loop = Loop(
        model=session.model,
        loader=session.loader("train", training=True),
        titles=corpus.train["title"],
        config=run.train,
        seed=run.seed,
        accelerator=accelerator,
        evaluate=lambda: session.scores("dev", "evaluating on dev")[0],
        folder=directory.path,
        progress=progress,
        description=f"{run.backbone.name} + {run.augmenter.name}, seed {run.seed}",
        identity=session.identity,
        branch_epoch=branch_epoch,
        save_every=save_every,
        on_epoch=lambda history: _write_history(directory, history),
    )
    if augmentation is not None:
        loop.augment_at = augmentation.at
        loop.mixing = augmentation.mixing
    start_from = (
        processes.on_main(lambda: str(_starting_point(run, directory, corpus, stage1) or ""))
        or None
    )
    if start_from is None and run.augment is not None and run.augment.start == "stage1":
        load_weights(session.model, _stage1_weights(stage1, "augment.start: stage1"))
    trained = loop.run(start_from=start_from and Path(start_from))
    load_weights(session.model, directory.path / "best.safetensors")
    names = [
        [relation, corpus.relation_names.get(relation, relation)] for relation in corpus.relations
    ]
    frequent = None if corpus.frequent is None else sorted(corpus.frequent)
    written = {
        "relations.json": {
            "relations": names,
            "frequent": frequent,
            "undirected": corpus.undirected,
        }
    }
    metrics |= {"best_epoch": trained.best_epoch, "epochs": trained.epoch}
    for split in ("dev", "test"):
        metrics[split], predictions, counts = session.scores(split, f"predicting {split}")
        metrics[f"{split}_relations"] = score_relations(counts)
        written |= {
            f"predictions_{split}.json": predictions,
            f"counts_{split}.json": counts.to_json(),
        }
    metrics["train_seconds"] = sum(epoch["seconds"] for epoch in trained.history)
    metrics["seconds"] = time.perf_counter() - began
    metrics["device"] = _device_name(accelerator.device)
    processes.on_main(lambda: _store(session, written | {"metrics.json": metrics}))
    accelerator.free_memory()


def _store(session: _Session, written: dict[str, Any]) -> None:
    """Write what a trained run leaves beside its weights. What it is continued from stays until it
    is declared done.
    """
    directory = session.directory
    save_encoder(session.model.encoder, directory.path / "encoder")
    for name, content in written.items():
        directory.write_json(name, content)
    if session.run.train.store_logits:
        titles = list(session.documents["train"]["title"])
        logits = session.evaluator.document_logits(
            session.loader("train"), len(titles), "storing logits"
        )
        store_logits(directory.path, logits, titles, session.corpus.relations)


def require_buildable(run: RunConfig) -> None:
    """Try a run's hyper-parameters: an encoder without its weights, a backbone without memory, an
    augmenter that is not fitted.

    Raises:
        UserError: names what cannot be made, and why.
    """
    width = _encoder_width(run.encoder.model_dump_json())
    if teacher := run.backbone.options.get("distill_from"):
        require_teacher(teacher)
    for registry, choice in ((BACKBONES, run.backbone), (AUGMENTERS, run.augmenter)):
        try:
            with torch.device("meta"):
                registry[choice.name](
                    *((width, 3) if registry is BACKBONES else ()), **choice.options
                )
        except UserError as error:
            raise ConfigError(f"{registry.kind} '{choice.name}': {error}") from error
        except Exception as error:  # whatever a constructor raises on values it cannot take
            raise ConfigError(
                f"{registry.kind} '{choice.name}' cannot be made with {choice.options}: {error}"
            ) from error
        if registry is AUGMENTERS and not issubclass(registry[choice.name], Augmenter):
            raise ConfigError(
                f"augmenter '{choice.name}': its class must derive from augmenters.base.Augmenter"
            )


@functools.cache
def _encoder_width(config: str) -> int:
    """The width of an encoder's states, its configuration and tokenizer tried on the way; once for
    all runs that share it.
    """
    wanted = EncoderConfig.model_validate_json(config)
    if wanted.name in ENCODERS:
        try:
            encoder = ENCODERS[wanted.name]([["word"]], **wanted.options)
        except UserError:
            raise
        except Exception as error:  # whatever a constructor raises on values it cannot take
            raise ConfigError(
                f"encoder '{wanted.name}' cannot be made with {wanted.options}: {error}"
            ) from error
    else:
        with torch.device("meta"):
            encoder = load_encoder(wanted.name, weights=False)
    freeze(encoder, wanted.freeze)
    return encoder.width


class _Session:
    """What all stages of a run share: features, loaders, model, scorer."""

    def __init__(
        self,
        run: RunConfig,
        directory: RunDirectory,
        corpus: Corpus,
        accelerator: Accelerator,
        progress: Progress,
    ):
        self.run, self.directory, self.corpus, self.accelerator, self.progress = (
            run,
            directory,
            corpus,
            accelerator,
            progress,
        )
        self.identity = _digest(run, corpus)
        set_seed(derive(run.seed, "session") % 2**32)
        self.model = build_model(run, corpus).to(accelerator.device)
        self.documents: dict[str, Dataset] = {
            "train": corpus.train,
            "dev": corpus.dev,
            "test": corpus.test,
        }
        tokenizer = self.model.encoder.tokenizer
        self.features = {
            split: featurise(
                documents, corpus, tokenizer, training=split == "train", mention=run.encoder.mention
            )
            for split, documents in self.documents.items()
        }
        self.evaluator = Evaluator(
            self.model, accelerator, corpus, progress, max_labels=run.train.max_labels
        )
        scored = itertools.chain(corpus.dev, corpus.test)
        self.train_facts: TrainFacts = train_facts(
            corpus.train, undirected=corpus.undirected, asked_by=scored
        )
        self.collators = {split: self._collator(split) for split in self.features}

    def loader(self, split: str, *, training: bool = False) -> DataLoader:
        config, features = self.run.train, self.features[split]
        batches = DocumentBatches(
            features["length"],
            config.batch_size if training else config.eval_batch_size,
            order=config.batching if training else "sorted",
            seed=self.run.seed,
            share=(processes.rank(), processes.count()),
        )
        collate = self.collators[split]
        if training and (teacher := self.model.backbone.distill_from):
            collate = TaughtCollator(
                collate, Teacher(teacher, list(self.corpus.train["title"]), self.corpus.relations)
            )
        on_gpu = self.accelerator.device.type == "cuda"
        return DataLoader(
            Rows(features),
            batch_sampler=batches,
            collate_fn=collate,
            pin_memory=on_gpu,
            num_workers=4 if on_gpu and training else 0,
        )

    def scores(self, split: str, description: str):
        """Score, predictions and counts of the model as it is."""
        documents = self.documents[split]
        predictions = self.evaluator.predict(
            self.loader(split), list(documents["title"]), description
        )
        counts = count(
            documents,
            predictions,
            relations=self.corpus.relations,
            frequent=self.corpus.frequent,
            train_documents=self.train_facts,
            undirected=self.corpus.undirected,
        )
        return score(counts), predictions, counts

    def _collator(self, split: str):
        collator = Collator(self.model.encoder.windows)
        if self.run.encoder.freeze != "all":
            return collator
        cache = self.directory.path.parents[2] / "cache"
        return EncodedCollator(
            collator,
            encode_once(
                self.model.encoder,
                self.features[split],
                cache,
                self.accelerator.device,
                self.progress,
            ),
        )


@dataclass
class _Augmentation:
    """Stage 2, and the source of generated pairs in stage 3."""

    session: _Session
    stage1: Path | None

    def __post_init__(self):
        began = time.perf_counter()
        run, directory = self.session.run, self.session.directory
        self.augmenter: Augmenter = AUGMENTERS[run.augmenter.name](**run.augmenter.options)
        device = self.session.accelerator.device
        if self.augmenter.needs_fitting:
            train, dev = self._stage1_pairs()
            label_sets = train.labels
            stored = directory.path / "augmenter.safetensors"
            restore = lambda: self.augmenter.load_state_dict(read_tensors(stored)[0])
            fit = lambda: self._fit(
                Pairs(*(t.to(device) for t in train)), Pairs(*(t.to(device) for t in dev))
            )
            processes.on_main(
                lambda: restore() if stored.is_file() and self._fitted_before() else fit()
            )
            if not processes.is_main():
                restore()
        else:
            label_sets = _label_sets(self.session)
        self.requests = Requests(run.augment.copies, run.augment.rarity, label_sets)
        with self.session.progress.task(f"preparing {run.augmenter.name}", total=1) as bar:
            rng = torch.Generator().manual_seed(derive(run.seed, "prepare"))
            self.augmenter.prepare(label_sets.to(device), rng=rng, progress=bar.update_to)
        self.seconds = time.perf_counter() - began

    def mixing(self, epoch: int) -> dict[str, Any]:
        """How the loss of an epoch is made: Algorithm 1, lines 3-6 (warm-up) and lines 31-34."""
        augment = self.session.run.augment
        if epoch >= augment.warmup_epochs:
            return {"combination": augment.combination, "weight": augment.weight}
        return {} if augment.warmup_contrastive else {"contrastive": False}

    def at(self, epoch: int, step: int):
        """The augmentation of a training step (Algorithm 1, lines 3-7): none during warm-up."""
        run = self.session.run
        if epoch < run.augment.warmup_epochs:
            return None
        rng = torch.Generator().manual_seed(derive(run.seed, "augmentation", step))

        def augment(positive: Pairs) -> Pairs:
            rows = self.requests.rows(positive.labels, rng)
            return Pairs(
                *self.augmenter.augment(
                    positive.representations[rows], positive.labels[rows], rng=rng
                )
            )

        return augment

    def measure(self) -> None:
        """Write `quality.json`; where it cannot be had, say why. A restarted run measures again,
        and finds the same.
        """
        session, progress = self.session, self.session.progress
        if reason := hindrance(self.stage1):
            progress.message(f"quality of generated pairs not measured: {reason}")
            discard(session.directory)
            return
        train, dev = self._stage1_pairs()
        device = session.accelerator.device
        with torch.random.fork_rng(
            [device] if device.type == "cuda" else [], device_type="cuda"
        ):  # a model's making is random
            backbone = restore_model(session.run, self.stage1, session.model.classes).backbone
        stage1 = Stage1(
            train, dev, backbone, rare_relations(session.corpus.relations, session.corpus.frequent)
        )
        measure_run(session.run, session.directory, self.augmenter, stage1, device, progress)

    def _fit(self, train: Pairs, dev: Pairs) -> None:
        run, directory = self.session.run, self.session.directory
        with self.session.progress.task(f"stage 2, {run.augmenter.name}", total=1) as bar:
            rng = torch.Generator().manual_seed(derive(run.seed, "fit"))
            history = self.augmenter.fit(
                *train, rng=rng, held_out=tuple(dev), progress=bar.update_to
            )
        directory.write_json("stage2_history.json", history)
        write_tensors(
            directory.path / "augmenter.safetensors",
            self.augmenter.state_dict(),
            {"run": self.session.identity},
        )

    def _fitted_before(self) -> bool:
        """A killed attempt at this very run got past stage 2."""
        return (
            _facts_of(self.session.directory.path / "augmenter.safetensors").get("run")
            == self.session.identity
        )

    def _stage1_pairs(self) -> tuple[Pairs, Pairs]:
        """Representations of the positive train and dev pairs in the stage 1 model; computed once
        per `none` run.
        """
        if self.stage1 is None:
            raise UserError(
                f"augmenter '{self.session.run.augmenter.name}' is fitted to the `none` run of its seed, which is not there"
            )
        files = [self.stage1 / PAIRS.format(split=split) for split in ("train", "dev")]
        processes.on_main(lambda: all(map(is_sound, files)) or self._represent(files))
        train, dev = map(read_pairs, files)
        return train, dev

    def _represent(self, files: list[Path]) -> None:
        """Write the representations of the positive pairs of train and dev."""
        _stage1_weights(self.stage1, "stage 2")
        session, device = self.session, self.session.accelerator.device
        model: DocreModel = restore_model(session.run, self.stage1, session.model.classes).to(
            device
        )
        evaluator = Evaluator(
            model,
            session.accelerator,
            session.corpus,
            session.progress,
            max_labels=session.run.train.max_labels,
        )
        for split, file in zip(("train", "dev"), files, strict=True):
            pairs = evaluator.positive_pairs(
                session.loader(split), f"stage 1 representations of {split}"
            )
            frequent = None if session.corpus.frequent is None else sorted(session.corpus.frequent)
            tensors = {
                "representations": pairs.representations,
                "labels": pairs.labels.to(torch.uint8),
            }
            write_tensors(file, tensors, {"frequent": frequent})


def _stage1_weights(stage1: Path | None, wanted_by: str) -> Path:
    """The weights that the `none` run chose. Raises UserError when there is no such run, or when it
    kept none.
    """
    if stage1 is None:
        raise UserError(
            f"{wanted_by} needs the `none` run of the same backbone and seed, which is not there"
        )
    if not (stage1 / "best.safetensors").is_file():
        raise UserError(
            f"{stage1}: its weights are gone, and {wanted_by} needs them: run `none` again in another results folder"
        )
    return stage1 / "best.safetensors"


def _label_sets(session: _Session) -> torch.Tensor:
    """[N, R] label sets of all positive training pairs, from the facts alone."""
    sets = []
    rows = Rows(session.features["train"])
    collate = Collator(session.model.encoder.windows)
    for i in range(len(rows)):
        labels = collate([rows[i]]).labels(session.model.classes)
        sets.append(labels[labels[:, 0] == 0])
    return torch.cat(sets)


def _starting_point(
    run: RunConfig, directory: RunDirectory, corpus: Corpus, stage1: Path | None
) -> Path | None:
    """The training state to go on from: the run's own, if it was killed; else the `none` run's at
    the end of warm-up, if kept.

    A state that was made under another configuration or with other data is removed: it must not
    meet the weights of this run.
    """
    own = directory.path / CHECKPOINT
    if own.is_file():
        facts = _facts_of(own)
        chosen = not facts.get("best_epoch") or is_sound(directory.path / "best.safetensors")
        if facts.get("identity") == _digest(run, corpus) and chosen:
            return own
        own.unlink()
    if run.augment is None or stage1 is None or not run.augment.repeats_stage1:
        return None
    state, best = stage1 / BRANCH, stage1 / BRANCH_BEST
    if not (state.is_file() and is_sound(best)):
        return None
    plain = run.model_copy(update={"augmenter": Choice(name="none"), "augment": None})
    facts = _facts_of(state)
    if (
        facts.get("identity") != _digest(plain, corpus)
        or facts["epoch"] != run.augment.warmup_epochs
    ):
        return None
    link(best, directory.path / "best.safetensors")
    return state


def _facts_of(state: Path) -> dict[str, Any]:
    """What a file says of itself; nothing when it is torn or not as it was written, and then it
    counts as not there.
    """
    try:
        return read_tensors(state)[1]
    except UserError:
        return {}


def _write_history(directory: RunDirectory, history: list[dict[str, Any]]) -> None:
    with directory.writing("history.jsonl") as part:
        part.write_text(
            "".join(json.dumps(epoch, allow_nan=False) + "\n" for epoch in history),
            encoding="utf-8",
        )


def _digest(run: RunConfig, corpus: Corpus) -> str:
    """Identifies what a training state belongs to: the configuration, the data, the encoder, the
    teacher, the augmenter's code.
    """
    try:
        source = inspect.getsource(AUGMENTERS[run.augmenter.name])
    except OSError:  # defined in a session, not in a file
        source = ""
    teacher = teacher_digest(run.backbone.options.get("distill_from"))
    identity = (corpus.digest, encoder_digest(run.encoder.name), teacher, NUMERICS_VERSION)
    parts = (run.model_dump_json(), *map(str, identity), source)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _device_name(device: torch.device) -> str:
    name = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"{device.type}, {_threads()}"
    )
    return name if processes.count() == 1 else f"{processes.count()} x {name}"


def _threads() -> str:
    count = torch.get_num_threads()
    return "1 thread" if count == 1 else f"{count} threads"
