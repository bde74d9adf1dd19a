"""Stage 2, and the source of generated pairs in stage 3 (the paper's section 2.3)."""

from __future__ import annotations

import time
from pathlib import Path

import torch
from torch import Tensor

from augmenters.base import Augmenter
from benchmark import processes
from benchmark.config import RunConfig
from benchmark.data.pairs import Pairs
from benchmark.errors import UserError
from benchmark.progress import Progress
from benchmark.quality.recording import (
    QUALITY,
    SAMPLE,
    Stage1,
    hindrance,
    rare_relations,
    record_quality,
)
from benchmark.registry import AUGMENTERS
from benchmark.seeds import derive
from benchmark.store.cleaning import AUGMENTER, PAIRS
from benchmark.training import tracking
from benchmark.training.building import restore_model
from benchmark.training.checkpoints import is_sound, read_tensors, sound_facts, write_tensors
from benchmark.training.evaluation import Evaluator
from benchmark.training.objective import Mixing
from benchmark.training.resume import differences
from benchmark.training.session import Session, stage1_weights
from benchmark.training.step import Requests, Step


class Augmentation:
    """The augmenter of a run, fitted and prepared."""

    def __init__(self, session: Session):
        self.began, self.earlier = time.perf_counter(), 0.0
        self.session, self.stage1, run = session, session.stage1, session.run
        self.augmenter: Augmenter = AUGMENTERS[run.augmenter.name](**run.augmenter.options)
        if self.augmenter.needs_fitting:
            train, dev = self._stage1_pairs()
            self._fit(train, dev)
            label_sets = train.labels
        else:
            label_sets = session.label_sets()
        self.requests = Requests(run.augment.copies, run.augment.rarity, label_sets)
        prepare(self.augmenter, run, label_sets.to(session.accelerator.device), session.progress)
        if self.augmenter.does() == "documents":
            rng = _generator(run.seed, "documents")
            rows = self.augmenter.documents(list(session.corpus.train), rng=rng)
            session.take_further(rows, rewrites=self.augmenter.rewrites)
        self.seconds = self._spent()

    def _spent(self) -> float:
        """Seconds of stage 2 so far, those of the attempt that fitted the augmenter included."""
        return self.earlier + time.perf_counter() - self.began

    def mixing(self, epoch: int) -> Mixing:
        """What the loss of an epoch is made of: Algorithm 1, lines 3-6 (warm-up) and 31-34."""
        augment, train = self.session.run.augment, self.session.run.train
        if epoch >= augment.warmup_epochs:
            return Mixing(augment.combination, augment.weight)
        return Mixing(auxiliary=augment.warmup_contrastive, taught=bool(train.teachers))

    def at(self, epoch: int, step: int) -> Step | None:
        """The augmentation of a training step (Algorithm 1, lines 3-7): none during warm-up."""
        run = self.session.run
        if epoch < run.augment.warmup_epochs:
            return None
        return Step(self.augmenter, self.requests, _generator(run.seed, "augmentation", step))

    def measure(self) -> None:
        """Write `quality.json`, or say why there is none. A restarted run measures again, and
        finds the same.
        """
        session, progress = self.session, self.session.progress
        if reason := hindrance(session.run, self.augmenter, self.stage1):
            progress.message(f"quality of generated pairs not measured: {reason}")
            session.directory.discard(QUALITY, SAMPLE)
            return
        train, dev = self._stage1_pairs()
        corpus, device = session.corpus, session.accelerator.device
        # making a model draws from the global generators
        with torch.random.fork_rng([device] if device.type == "cuda" else [], device_type="cuda"):
            backbone = restore_model(session.run, self.stage1, session.model.classes).backbone
        tail = rare_relations(corpus.relations, corpus.frequent)
        stage1 = Stage1(train, dev, backbone, tail)
        record_quality(session.run, session.directory, self.augmenter, stage1, device, progress)

    def _fit(self, train: Pairs, dev: Pairs) -> None:
        """Fit the augmenter, unless a killed attempt at this very run did."""
        session, run, device = self.session, self.session.run, self.session.accelerator.device
        stored = session.directory.path / AUGMENTER

        def fit() -> None:
            known = sound_facts(stored) or {}
            if not differences(known, run, session.facts):
                session.earlier = known.get("seconds", 0.0)
                self.earlier = known.get("stage2_seconds", 0.0)
                return
            on_device = [Pairs(*(t.to(device) for t in pairs)) for pairs in (train, dev)]
            with session.progress.task(f"stage 2, {run.augmenter.name}", total=1) as bar:
                settings = {"rng": _generator(run.seed, "fit"), "progress": bar.update_to}
                history = self.augmenter.fit(*on_device[0], held_out=on_device[1], **settings)
            session.directory.write_json("stage2_history.json", history)
            if history:
                tracking.log(session.accelerator, "stage2/", history[-1], 0)
            spent = {"seconds": session.spent(), "stage2_seconds": self._spent()}
            facts = {"identity": session.identity, **spent}
            write_tensors(stored, self.augmenter.state_dict(), facts)

        processes.on_main(fit)
        self.augmenter.load_state_dict(read_tensors(stored)[0])

    def _stage1_pairs(self) -> tuple[Pairs, Pairs]:
        """The positive pairs of train and dev as the stage 1 model represents them; computed once
        per `none` run.
        """
        name = self.session.run.augmenter.name
        if self.stage1 is None:
            raise UserError(
                f"augmenter '{name}' is fitted to the `none` run of its seed, which is not there"
            )
        files = [self.stage1 / PAIRS.format(split=split) for split in ("train", "dev")]
        processes.on_main(lambda: all(map(is_sound, files)) or self._represent(files))
        train, dev = (read_tensors(file)[0] for file in files)
        of = lambda stored: Pairs(stored["representations"], stored["labels"].float())
        return of(train), of(dev)

    def _represent(self, files: list[Path]) -> None:
        stage1_weights(self.stage1, "stage 2")
        session, run = self.session, self.session.run
        model = restore_model(run, self.stage1, session.model.classes)
        given = model.to(session.accelerator.device), session.accelerator, session.corpus
        evaluator = Evaluator(*given, session.progress, max_labels=run.train.max_labels)
        for split, file in zip(("train", "dev"), files, strict=True):
            # the stage 1 model has the same encoder only if neither is trained
            loader = session.loader(split, encoded=run.encoder.freeze == "all")
            pairs = evaluator.positive_pairs(loader, split)
            labels = pairs.labels.to(torch.uint8)
            write_tensors(file, {"representations": pairs.representations, "labels": labels})


def prepare(augmenter: Augmenter, run: RunConfig, label_sets: Tensor, progress: Progress) -> None:
    """Make the augmenter ready for the label sets [N, R] of all positive training pairs."""
    with progress.task(f"preparing {run.augmenter.name}", total=1) as bar:
        rng = _generator(run.seed, "prepare")
        augmenter.prepare(label_sets, rng=rng, progress=bar.update_to)


def _generator(seed: int, purpose: str, *indices: int) -> torch.Generator:
    return torch.Generator().manual_seed(derive(seed, purpose, *indices))
