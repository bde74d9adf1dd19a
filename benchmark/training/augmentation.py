"""Stage 2, and the source of generated pairs in stage 3 (the paper's section 2.3)."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from augmenters.base import Augmenter
from backbones.base import Backbone
from benchmark import processes
from benchmark.data.batches import Batch, Encoded
from benchmark.data.pairs import Pairs
from benchmark.errors import UserError
from benchmark.quality.recording import (
    Stage1,
    discard_quality,
    hindrance,
    rare_relations,
    record_quality,
)
from benchmark.registry import AUGMENTERS
from benchmark.seeds import derive
from benchmark.store.cleaning import AUGMENTER, PAIRS
from benchmark.training import tracking
from benchmark.training.checkpoints import is_sound, read_pairs, read_tensors, write_tensors
from benchmark.training.evaluation import Evaluator
from benchmark.training.gathering import joined
from benchmark.training.model import DocreModel, restore_model
from benchmark.training.objective import Mixing
from benchmark.training.requests import Requests
from benchmark.training.resume import facts_of
from benchmark.training.session import Session, stage1_weights


class Step:
    """The augmentation of one training step; `rng` makes it a function of seed and step alone."""

    def __init__(self, augmenter: Augmenter, requests: Requests, rng: torch.Generator):
        self.augmenter, self.requests, self.rng = augmenter, requests, rng
        self.does = augmenter.does()
        self.adjust = augmenter.adjust if self.does == "adjust" else None
        self.weigh = augmenter.weigh if self.does == "weigh" else None
        perturb = functools.partial(augmenter.perturb, rng=rng)
        self.perturb = perturb if self.does == "perturb" else None

    def generate(
        self,
        backbone: Backbone,
        real: Pairs,
        encoded: Encoded,
        batch: Batch,
        again: Callable[[Batch], Encoded],
    ) -> Pairs | None:
        """The extra pairs of a batch whose pairs are `real`; None if there are none to come.

        again: encodes a batch, the same one with other dropout.
        """
        if self.does == "documents":
            return self._further(backbone, batch.further, again, real.labels.shape[1])
        if self.does not in ("augment", "view"):
            return None
        positive = real.only_positive()
        chosen = self.requests.choose(positive.labels, self.rng)
        if self.does == "view":
            start = again if self.augmenter.encodes_again else lambda batch: encoded
            return self._viewed(backbone, real, chosen, start, batch)
        generated, labels = self.augmenter.augment(
            positive.representations.float()[chosen], positive.labels[chosen], rng=self.rng
        )
        if backbone.bounds is not None:
            generated = generated.clamp(*backbone.bounds)
        return Pairs(generated, labels, torch.arange(len(labels), device=labels.device))

    @staticmethod
    def _further(
        backbone: Backbone, batch: Batch, encode: Callable[[Batch], Encoded], classes: int
    ) -> Pairs:
        """All pairs of the further documents of a step."""
        found = backbone.represent(encode(batch), batch)
        return joined(Pairs(found, batch.labels(classes), batch.positive))

    def _viewed(
        self,
        backbone: Backbone,
        real: Pairs,
        chosen: Tensor,
        start: Callable[[Batch], Encoded],
        batch: Batch,
    ) -> Pairs:
        """One view of the batch for each copy that is asked for, represented by the backbone."""
        views = []
        for part in chosen.tensor_split(self.requests.copies):
            view = self.augmenter.view(start(batch), batch, rng=self.rng)
            seen = backbone.represent(view, batch)
            seen = joined(Pairs(seen, batch.labels(real.labels.shape[1]), batch.positive))
            if self.augmenter.pairs_of_view == "positive":
                seen = seen.only_positive().at(part)
                seen = Pairs(*seen, torch.arange(len(part), device=part.device))
            views.append(seen)
        return functools.reduce(Pairs.joined_with, views)


@dataclass
class Augmentation:
    """Stage 2, and the source of generated pairs in stage 3."""

    session: Session
    stage1: Path | None

    def __post_init__(self):
        began = time.perf_counter()
        run, directory = self.session.run, self.session.directory
        self.augmenter: Augmenter = AUGMENTERS[run.augmenter.name](**run.augmenter.options)
        device = self.session.accelerator.device
        if self.augmenter.needs_fitting:
            train, dev = self._stage1_pairs()
            label_sets = train.labels
            stored = directory.path / AUGMENTER
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
            label_sets = self.session.label_sets()
        self.requests = Requests(run.augment.copies, run.augment.rarity, label_sets)
        with self.session.progress.task(f"preparing {run.augmenter.name}", total=1) as bar:
            rng = torch.Generator().manual_seed(derive(run.seed, "prepare"))
            self.augmenter.prepare(label_sets.to(device), rng=rng, progress=bar.update_to)
        if self.augmenter.does() == "documents":
            self._take_documents()
        self.seconds = time.perf_counter() - began

    def mixing(self, epoch: int) -> Mixing:
        """What the loss of an epoch is made of: Algorithm 1, lines 3-6 (warm-up) and 31-34."""
        augment = self.session.run.augment
        if epoch >= augment.warmup_epochs:
            return Mixing(augment.combination, augment.weight)
        return Mixing(auxiliary=augment.warmup_contrastive)

    def at(self, epoch: int, step: int) -> Step | None:
        """The augmentation of a training step (Algorithm 1, lines 3-7): none during warm-up."""
        run = self.session.run
        if epoch < run.augment.warmup_epochs:
            return None
        rng = torch.Generator().manual_seed(derive(run.seed, "augmentation", step))
        return Step(self.augmenter, self.requests, rng)

    def measure(self) -> None:
        """Write `quality.json`; where it cannot be had, say why. A restarted run measures again,
        and finds the same.
        """
        session, progress = self.session, self.session.progress
        reason = hindrance(self.stage1)
        if self.augmenter.does() != "augment":
            reason = f"{session.run.augmenter.name} makes none of its own"
        if reason:
            progress.message(f"quality of generated pairs not measured: {reason}")
            discard_quality(session.directory)
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
        record_quality(session.run, session.directory, self.augmenter, stage1, device, progress)

    def _take_documents(self) -> None:
        rng = torch.Generator().manual_seed(derive(self.session.run.seed, "documents"))
        rows = self.augmenter.documents(list(self.session.corpus.train), rng=rng)
        self.session.take_further(rows, rewrites=self.augmenter.rewrites)

    def _fit(self, train: Pairs, dev: Pairs) -> None:
        run, directory = self.session.run, self.session.directory
        with self.session.progress.task(f"stage 2, {run.augmenter.name}", total=1) as bar:
            rng = torch.Generator().manual_seed(derive(run.seed, "fit"))
            history = self.augmenter.fit(*train, rng=rng, held_out=dev, progress=bar.update_to)
        directory.write_json("stage2_history.json", history)
        if history:
            tracking.log(self.session.accelerator, "stage2/", history[-1], 0)
        write_tensors(
            directory.path / AUGMENTER,
            self.augmenter.state_dict(),
            {"identity": self.session.identity},
        )

    def _fitted_before(self) -> bool:
        """A killed attempt at this very run got past stage 2."""
        stored = facts_of(self.session.directory.path / AUGMENTER)
        return stored.get("identity") == self.session.identity

    def _stage1_pairs(self) -> tuple[Pairs, Pairs]:
        """Representations of the positive train and dev pairs in the stage 1 model; computed once
        per `none` run.
        """
        if self.stage1 is None:
            raise UserError(
                f"augmenter '{self.session.run.augmenter.name}' is fitted to the `none` run of its "
                "seed, which is not there"
            )
        files = [self.stage1 / PAIRS.format(split=split) for split in ("train", "dev")]
        processes.on_main(lambda: all(map(is_sound, files)) or self._represent(files))
        train, dev = map(read_pairs, files)
        return train, dev

    def _represent(self, files: list[Path]) -> None:
        """Write the representations of the positive pairs of train and dev."""
        stage1_weights(self.stage1, "stage 2")
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
                session.loader(split, encoded=session.run.encoder.freeze == "all"),
                f"stage 1 representations of {split}",
            )
            frequent = None if session.corpus.frequent is None else sorted(session.corpus.frequent)
            tensors = {
                "representations": pairs.representations,
                "labels": pairs.labels.to(torch.uint8),
            }
            write_tensors(file, tensors, {"frequent": frequent})
