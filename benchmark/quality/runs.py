"""Generative quality of a run: where its pairs and its stage 1 model come from, and where the
numbers go: `quality.json`, and `sample.json` with some real and generated pairs for a figure.

During a run everything is at hand (`measure_run`). Afterwards the stored augmenter and the weights
of the `none` run of its seed are enough, with that run's stored pair representations or, where they
have been removed, the documents (`Afterwards`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader

from augmenters.base import Augmenter
from backbones.base import Backbone, Pairs
from benchmark.config import RunConfig
from benchmark.data.batches import Collator, DocumentBatches, Rows
from benchmark.data.documents import Corpus
from benchmark.data.features import featurise
from benchmark.errors import UserError
from benchmark.progress import Progress
from benchmark.quality.measures import measure
from benchmark.registry import AUGMENTERS
from benchmark.seeds import derive
from benchmark.store.cleaning import PAIRS
from benchmark.store.runs import RunDirectory
from benchmark.training.checkpoints import read_facts, read_tensors
from benchmark.training.evaluation import Evaluator
from benchmark.training.model import DocreModel, restore_model

QUALITY, SAMPLE = "quality.json", "sample.json"


@dataclass(frozen=True)
class Stage1:
    """What stage 1 leaves to measure with: positive pairs, the model that made them, and which
    relations are rare.
    """

    train: Pairs
    dev: Pairs
    backbone: Backbone
    tail: Tensor | None  # bool


def rare_relations(relations: Sequence[str], frequent: Collection[str] | None) -> Tensor | None:
    """[R-1] bool: the relations that do not count as frequent; None where the dataset knows no
    frequent ones.
    """
    return (
        None
        if frequent is None
        else torch.tensor([relation not in frequent for relation in relations])
    )


def hindrance(stage1: Path | None) -> str | None:
    """Why generated pairs cannot be measured; None if they can."""
    if stage1 is None:
        return "it is measured in the space of the `none` run of the same seed, which is not there"
    if not (stage1 / "best.safetensors").is_file():
        return f"{stage1} kept no weights (best.safetensors)"
    return None


def measure_run(
    run: RunConfig,
    directory: RunDirectory,
    augmenter: Augmenter,
    stage1: Stage1,
    device: torch.device,
    progress: Progress,
) -> None:
    """Write `quality.json` and `sample.json` for an augmenter that is fitted and prepared. Says
    what has collapsed.
    """
    if not len(stage1.train.labels) or not len(stage1.dev.labels):
        progress.message(
            "quality of generated pairs not measured: train or dev has no positive pair"
        )
        discard(directory)
        return
    with progress.task(f"measuring pairs of {run.augmenter.name}", total=1) as bar:
        found = measure(
            augmenter,
            stage1.backbone.to(device).eval(),
            *(Pairs(*(part.to(device) for part in pairs)) for pairs in (stage1.train, stage1.dev)),
            tail=stage1.tail,
            max_labels=run.train.max_labels,
            seed=run.seed,
        )
        bar.advance()
    directory.write_json(SAMPLE, found.pop("sample"))
    directory.write_json(QUALITY, found)
    for sentence in found["flags"].values():
        progress.message(f"note on {run.augmenter.name}: {sentence}")


def discard(directory: RunDirectory) -> None:
    """Of a run that is not measured (any more): what an earlier attempt has measured."""
    for name in (QUALITY, SAMPLE):
        (directory.path / name).unlink(missing_ok=True)


class Afterwards:
    """Measures finished runs; keeps the corpus and the last stage 1 model, which runs of one seed
    share.

    Args:
        load_corpus: called for a run whose stage 1 pairs are not stored any more.
    """

    def __init__(self, load_corpus: Callable[[RunConfig], Corpus], progress: Progress):
        self.load_corpus, self.progress = load_corpus, progress
        self._last: tuple[Path, Stage1] | None = None

    def measure(self, directory: RunDirectory) -> None:
        """Write `quality.json` and `sample.json` into a finished run's folder; nothing else in it
        changes.

        Raises:
            UserError: the run is not finished, its augmenter was not stored, the `none` run of its
                seed is gone or kept no weights, or the documents are not those it was trained on.
        """
        stored = directory.read()
        run = RunConfig.model_validate(stored.config)
        torch.set_num_threads(run.train.threads)
        augmenter: Augmenter = AUGMENTERS[run.augmenter.name](**run.augmenter.options)
        if augmenter.needs_fitting:
            file = directory.path / "augmenter.safetensors"
            if not file.is_file():
                raise UserError(
                    f"{directory.path}: kept no augmenter ({file.name}); run it with train.keep_weights: best"
                )
            augmenter.load_state_dict(read_tensors(file)[0])
        none = RunDirectory(directory.path.parents[1] / "none" / directory.path.name)
        if reason := hindrance(none.path if none.state() == "done" else None):
            raise UserError(f"{directory.path}: {reason}")
        accelerator = Accelerator(mixed_precision="bf16" if run.train.precision == "bf16" else "no")
        if self._last is None or self._last[0] != none.path:
            self._last = none.path, self._stage1(run, none, stored.facts, accelerator)
        stage1 = self._last[1]
        with self.progress.task(f"preparing {run.augmenter.name}", total=1) as bar:
            rng = torch.Generator().manual_seed(derive(run.seed, "prepare"))
            augmenter.prepare(
                stage1.train.labels.to(accelerator.device), rng=rng, progress=bar.update_to
            )
        measure_run(run, directory, augmenter, stage1, accelerator.device, self.progress)

    def _stage1(
        self, run: RunConfig, none: RunDirectory, facts: dict[str, Any], accelerator: Accelerator
    ) -> Stage1:
        relations = [relation for relation, _ in none.read_json("relations.json")["relations"]]
        model = restore_model(run, none.path, len(relations) + 1).to(accelerator.device)
        files = {split: none.path / PAIRS.format(split=split) for split in ("train", "dev")}
        if all(file.is_file() and "frequent" in read_facts(file) for file in files.values()):
            train, dev = (read_pairs(file) for file in files.values())
            return Stage1(
                train,
                dev,
                model.backbone,
                rare_relations(relations, read_facts(files["dev"])["frequent"]),
            )
        corpus = self.load_corpus(run)
        if facts.get("corpus_digest") not in (None, corpus.digest):
            raise UserError(
                f"{none.path}: was trained on other documents than {run.dataset.name} holds now"
            )
        train, dev = (self._represented(run, model, corpus, split, accelerator) for split in files)
        return Stage1(train, dev, model.backbone, rare_relations(relations, corpus.frequent))

    def _represented(
        self,
        run: RunConfig,
        model: DocreModel,
        corpus: Corpus,
        split: str,
        accelerator: Accelerator,
    ) -> Pairs:
        """The split's positive pairs, in the order and the batches of the run itself."""
        documents = getattr(corpus, split)
        features = featurise(
            documents,
            corpus,
            model.encoder.tokenizer,
            training=split == "train",
            mention=run.encoder.mention,
        )
        batches = DocumentBatches(
            features["length"], run.train.eval_batch_size, order="sorted", seed=run.seed
        )
        loader = DataLoader(
            Rows(features, model.backbone.needs),
            batch_sampler=batches,
            collate_fn=Collator(model.encoder.windows, model.backbone.needs),
        )
        evaluator = Evaluator(
            model, accelerator, corpus, self.progress, max_labels=run.train.max_labels
        )
        return evaluator.positive_pairs(loader, f"stage 1 representations of {split}")


def read_pairs(file: Path) -> Pairs:
    """Stored positive pairs."""
    tensors, _ = read_tensors(file)
    return Pairs(tensors["representations"], tensors["labels"].float())
