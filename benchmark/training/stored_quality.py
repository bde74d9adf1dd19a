"""The generative quality of finished runs, from the stored augmenter, the weights of the `none` run
of its seed, and the documents.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from augmenters.base import Augmenter
from benchmark.config import HEAD, RunConfig
from benchmark.data.documents import Corpus
from benchmark.errors import UserError
from benchmark.progress import Progress
from benchmark.quality.recording import Stage1, hindrance, rare_relations, record_quality
from benchmark.registry import AUGMENTERS
from benchmark.store.runs import RunDirectory
from benchmark.training.augmentation import prepare
from benchmark.training.building import restore_model
from benchmark.training.checkpoints import read_tensors
from benchmark.training.evaluation import Evaluator, batches_of


class StoredRunQuality:
    """Measures finished runs. Keeps the last stage 1 model, which runs of one seed share."""

    def __init__(self, load_corpus: Callable[[RunConfig], Corpus], progress: Progress):
        self.load_corpus, self.progress = load_corpus, progress
        self._last: tuple[Path, Stage1] | None = None

    def record(self, directory: RunDirectory) -> None:
        """Write both files into a finished run's folder, and change nothing else in it.

        Raises UserError when the run generates no pairs, something that it takes is gone, or the
        documents have changed.
        """
        stored = directory.read()
        run = RunConfig.model_validate(stored.config)
        torch.set_num_threads(run.train.threads)
        augmenter: Augmenter = AUGMENTERS[run.augmenter.name](**run.augmenter.options)
        folder = directory.experiment
        if run.on_head:  # stage 1 lies beside the runs of the paper's protocol
            folder = folder.with_name(folder.name.removesuffix(HEAD))
        none = RunDirectory.of(folder.parent, folder.name, run.backbone.name, "none", run.seed)
        is_stage1 = none.state() == "done" and none.config().get("augment") is None
        finished = none.path if is_stage1 else None
        if reason := hindrance(run, augmenter, finished):
            raise UserError(f"{directory.path}: {reason}")
        if augmenter.needs_fitting:
            file = directory.path / "augmenter.safetensors"
            if not file.is_file():
                raise UserError(
                    f"{directory.path}: kept no augmenter ({file.name}); "
                    "train with train.keep_weights: best"
                )
            augmenter.load_state_dict(read_tensors(file)[0])
        accelerator = Accelerator(mixed_precision=run.train.mixed_precision)
        if self._last is None or self._last[0] != none.path:
            self._last = none.path, self._stage1(run, none, stored.facts, accelerator)
        stage1, device = self._last[1], accelerator.device
        prepare(augmenter, run, stage1.train.labels.to(device), self.progress)
        record_quality(run, directory, augmenter, stage1, device, self.progress)

    def _stage1(
        self, run: RunConfig, none: RunDirectory, facts: dict[str, Any], accelerator: Accelerator
    ) -> Stage1:
        corpus = self.load_corpus(run)
        if facts.get("corpus_digest") not in (None, corpus.digest):
            raise UserError(
                f"{none.path}: was trained on other documents than {run.dataset.name} holds now"
            )
        model = restore_model(run, none.path, len(corpus.relations) + 1).to(accelerator.device)
        most = run.train.max_labels
        evaluator = Evaluator(model, accelerator, corpus, self.progress, max_labels=most)
        pairs = (  # in the order and the batches of the run itself
            evaluator.positive_pairs(
                batches_of(getattr(corpus, split), corpus, model, run, training=split == "train"),
                split,
            )
            for split in ("train", "dev")
        )
        return Stage1(*pairs, model.backbone, rare_relations(corpus.relations, corpus.frequent))
