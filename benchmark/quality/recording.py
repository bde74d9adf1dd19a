"""Where the quality of a run's generated pairs is recorded: `quality.json`, and `sample.json` with
some real and generated pairs for a figure.

While a run trains, everything is at hand (`record_quality`). Afterwards the stored augmenter and
the weights of the `none` run of its seed are enough (`StoredRunQuality`); the documents are read
only when that run's pair representations were removed.
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
from backbones.base import Backbone
from benchmark.config import RunConfig
from benchmark.data.batches import Collator, DocumentBatches, Rows
from benchmark.data.documents import Corpus
from benchmark.data.features import featurise
from benchmark.data.pairs import Pairs
from benchmark.errors import UserError
from benchmark.progress import Progress
from benchmark.quality.pairs import pair_quality
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
    """Positive pairs, the stage 1 model that represents them, and its rare relations [R-1] bool."""

    train: Pairs
    dev: Pairs
    backbone: Backbone
    tail: Tensor | None


def rare_relations(relations: Sequence[str], frequent: Collection[str] | None) -> Tensor | None:
    """[R-1] bool: the relations that are not frequent; None where none are declared frequent."""
    return None if frequent is None else torch.tensor([name not in frequent for name in relations])


def hindrance(stage1: Path | None) -> str | None:
    """Why generated pairs cannot be measured; None if they can."""
    if stage1 is None:
        return "it is measured in the space of the `none` run of the same seed, which is not there"
    if not (stage1 / "best.safetensors").is_file():
        return f"{stage1} kept no weights (best.safetensors)"
    return None


def record_quality(
    run: RunConfig,
    directory: RunDirectory,
    augmenter: Augmenter,
    stage1: Stage1,
    device: torch.device,
    progress: Progress,
) -> None:
    """Write both files for an augmenter that is fitted and prepared, and say what has collapsed."""
    if not len(stage1.train.labels) or not len(stage1.dev.labels):
        progress.message(
            "quality of generated pairs not measured: train or dev has no positive pair"
        )
        discard_quality(directory)
        return
    train, dev = (Pairs(*(t.to(device) for t in pairs)) for pairs in (stage1.train, stage1.dev))
    backbone, max_labels = stage1.backbone.to(device).eval(), run.train.max_labels
    settings = {"tail": stage1.tail, "max_labels": max_labels, "seed": run.seed}
    with progress.task(f"measuring pairs of {run.augmenter.name}", total=1) as bar:
        found = pair_quality(augmenter, backbone, train, dev, **settings)
        bar.advance()
    directory.write_json(SAMPLE, found.pop("sample"))
    directory.write_json(QUALITY, found)
    for sentence in found["flags"].values():
        progress.message(f"note on {run.augmenter.name}: {sentence}")


def discard_quality(directory: RunDirectory) -> None:
    """Remove what an earlier attempt at a run has measured."""
    for name in (QUALITY, SAMPLE):
        (directory.path / name).unlink(missing_ok=True)


class StoredRunQuality:
    """Measures finished runs. Keeps the last stage 1 model, which runs of one seed share.

    Args:
        load_corpus: called only for a run whose stage 1 pairs are no longer stored.
    """

    def __init__(self, load_corpus: Callable[[RunConfig], Corpus], progress: Progress):
        self.load_corpus, self.progress = load_corpus, progress
        self._last: tuple[Path, Stage1] | None = None

    def record(self, directory: RunDirectory) -> None:
        """Write both files into a finished run's folder, and change nothing else in it.

        Raises:
            UserError: the run is not finished, its augmenter was not stored, the `none` run of its
                seed is gone or kept no weights, or its documents have changed.
        """
        stored = directory.read()
        run = RunConfig.model_validate(stored.config)
        torch.set_num_threads(run.train.threads)
        augmenter: Augmenter = AUGMENTERS[run.augmenter.name](**run.augmenter.options)
        if augmenter.needs_fitting:
            file = directory.path / "augmenter.safetensors"
            if not file.is_file():
                raise UserError(
                    f"{directory.path}: kept no augmenter ({file.name}); "
                    "train with train.keep_weights: best"
                )
            augmenter.load_state_dict(read_tensors(file)[0])
        none = RunDirectory(directory.path.parents[1] / "none" / directory.path.name)
        if reason := hindrance(none.path if none.state() == "done" else None):
            raise UserError(f"{directory.path}: {reason}")
        accelerator = Accelerator(mixed_precision="bf16" if run.train.precision == "bf16" else "no")
        if self._last is None or self._last[0] != none.path:
            self._last = none.path, self._stage1(run, none, stored.facts, accelerator)
        stage1, device = self._last[1], accelerator.device
        with self.progress.task(f"preparing {run.augmenter.name}", total=1) as bar:
            rng = torch.Generator().manual_seed(derive(run.seed, "prepare"))
            augmenter.prepare(stage1.train.labels.to(device), rng=rng, progress=bar.update_to)
        record_quality(run, directory, augmenter, stage1, device, self.progress)

    def _stage1(
        self, run: RunConfig, none: RunDirectory, facts: dict[str, Any], accelerator: Accelerator
    ) -> Stage1:
        relations = [relation for relation, _ in none.read_json("relations.json")["relations"]]
        model = restore_model(run, none.path, len(relations) + 1).to(accelerator.device)
        files = {split: none.path / PAIRS.format(split=split) for split in ("train", "dev")}
        if all(file.is_file() and "frequent" in read_facts(file) for file in files.values()):
            train, dev = map(read_pairs, files.values())
            frequent = read_facts(files["dev"])["frequent"]
        else:
            corpus = self.load_corpus(run)
            if facts.get("corpus_digest") not in (None, corpus.digest):
                raise UserError(
                    f"{none.path}: was trained on other documents than {run.dataset.name} holds now"
                )
            train, dev = (self._represented(run, model, corpus, s, accelerator) for s in files)
            frequent = corpus.frequent
        return Stage1(train, dev, model.backbone, rare_relations(relations, frequent))

    def _represented(
        self,
        run: RunConfig,
        model: DocreModel,
        corpus: Corpus,
        split: str,
        accelerator: Accelerator,
    ) -> Pairs:
        """The split's positive pairs, in the order and the batches of the run itself."""
        features = featurise(
            getattr(corpus, split),
            corpus,
            model.encoder.tokenizer,
            training=split == "train",
            mention=run.encoder.mention,
        )
        batches = DocumentBatches(
            features["length"], run.train.eval_batch_size, order="sorted", seed=run.seed
        )
        loader = DataLoader(
            Rows(features, model.needs),
            batch_sampler=batches,
            collate_fn=Collator(model.encoder.windows, model.needs),
        )
        evaluator = Evaluator(
            model, accelerator, corpus, self.progress, max_labels=run.train.max_labels
        )
        return evaluator.positive_pairs(loader, f"stage 1 representations of {split}")


def read_pairs(file: Path) -> Pairs:
    """Stored positive pairs."""
    tensors, _ = read_tensors(file)
    return Pairs(tensors["representations"], tensors["labels"].float())
