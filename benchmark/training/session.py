"""What all stages of a run share: features, loaders, the model and its scores."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from datasets import Dataset
from torch.utils.data import DataLoader

from benchmark import processes
from benchmark.config import RunConfig
from benchmark.data.batches import Collator, DocumentBatches, Rows
from benchmark.data.documents import Corpus
from benchmark.data.features import featurise
from benchmark.errors import UserError
from benchmark.progress import Progress
from benchmark.registry import AUGMENTERS
from benchmark.scoring.counts import Counts, TrainFacts, count, score, train_facts
from benchmark.seeds import derive
from benchmark.store.runs import RunDirectory
from benchmark.training.cache import EncodedCollator, EncodedSplit, encode_once, encode_with_stage1
from benchmark.training.distillation import TaughtCollator, Teacher
from benchmark.training.evaluation import Evaluator
from benchmark.training.model import build_model, take_encoder
from benchmark.training.resume import state_identity


class Session:
    """The documents of a run as features and batches, its model at initial weights, and its scorer.

    Attributes:
        facts: what the run's numbers depend on besides its configuration.
        identity: of what this run computes; stored with its training states.
        features: {"train" | "dev" | "test": tokenised documents}.
    """

    def __init__(
        self,
        run: RunConfig,
        directory: RunDirectory,
        corpus: Corpus,
        facts: Mapping[str, Any],
        accelerator: Accelerator,
        progress: Progress,
        stage1: Path | None = None,
    ):
        self.run, self.directory, self.corpus = run, directory, corpus
        self.accelerator, self.progress = accelerator, progress
        self.facts, self.identity = facts, state_identity(run, facts)
        set_seed(derive(run.seed, "session") % 2**32)
        self.model = build_model(run, corpus).to(accelerator.device)
        self.stage1 = stage1
        if run.on_head:
            take_encoder(self.model, stage1_weights(stage1, "augment.stage3: head"))
        self.documents: dict[str, Dataset] = {
            "train": corpus.train,
            "dev": corpus.dev,
            "test": corpus.test,
        }
        self.features = {
            split: featurise(
                documents,
                corpus,
                self.model.encoder.tokenizer,
                training=split == "train",
                mention=run.encoder.mention,
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
        self.encodings = self._encodings()

    def loader(self, split: str, *, training: bool = False, encoded: bool = True) -> DataLoader:
        """Batches of a split; if `training`, in that order and with the teacher's logits.

        encoded: they bring the outputs of an encoder that is not trained along, if there is one.
        """
        config, features = self.run.train, self.features[split]
        batches = DocumentBatches(
            features["length"],
            config.batch_size if training else config.eval_batch_size,
            order=config.batching if training else "sorted",
            seed=self.run.seed,
            share=(processes.rank(), processes.count()),
        )
        collate: Any = Collator(self.model.encoder.windows, self.model.backbone.needs)
        if encoded and (passes := self.encodings.get(TRAINING if training else split)):
            again = training and AUGMENTERS[self.run.augmenter.name].encodes_again
            collate = EncodedCollator(collate, passes, batches, self.run.seed, again=again)
        if training and (teacher := config.distill_from):
            titles = list(self.corpus.train["title"])
            collate = TaughtCollator(collate, Teacher(teacher, titles, self.corpus.relations))
        on_gpu = self.accelerator.device.type == "cuda"
        return DataLoader(
            Rows(features, self.model.backbone.needs),
            batch_sampler=batches,
            collate_fn=collate,
            pin_memory=on_gpu,
            num_workers=4 if on_gpu and training else 0,
        )

    def dev_score(self) -> dict[str, Any]:
        """The scores of the model as it is on dev, to choose an epoch by."""
        loader, titles = self.loader("dev"), list(self.documents["dev"]["title"])
        return score(self.count("dev", self.evaluator.predict(loader, titles, "evaluating on dev")))

    def count(self, split: str, predictions: list[dict]) -> Counts:
        """The counts of predicted facts."""
        return count(
            self.documents[split],
            predictions,
            relations=self.corpus.relations,
            frequent=self.corpus.frequent,
            train_documents=self.train_facts,
            undirected=self.corpus.undirected,
        )

    def label_sets(self) -> torch.Tensor:
        """[N, R] label sets of all positive training pairs, from the facts alone."""
        documents, collate = Rows(self.features["train"]), Collator(self.model.encoder.windows)
        labels = (collate([documents[i]]).labels(self.model.classes) for i in range(len(documents)))
        return torch.cat([of_document[of_document[:, 0] == 0] for of_document in labels])

    def _encodings(self) -> dict[str, list[EncodedSplit]]:
        """The outputs of an encoder that is not trained: one encoding of a split or several."""
        encoder, device, progress = self.model.encoder, self.accelerator.device, self.progress
        if self.run.encoder.freeze == "all":
            once = {
                split: [encode_once(encoder, features, self.directory.cache, device, progress)]
                for split, features in self.features.items()
            }
            return once | {TRAINING: once["train"]}
        if not self.run.on_head:
            return {}
        encode = functools.partial(
            encode_with_stage1, encoder, stage1_weights(self.stage1, "augment.stage3: head")
        )
        found = {
            split: [encode(self.features[split], split, device, progress)]
            for split in ("dev", "test")
        }
        found[TRAINING] = [
            encode(
                self.features["train"],
                f"train-{number}",
                device,
                progress,
                derive(self.run.seed, "encoding", number),
            )
            for number in range(self.run.augment.passes)
        ]
        return found


TRAINING = "training"


def stage1_weights(stage1: Path | None, wanted_by: str) -> Path:
    """The weights that stage 1 chose. Raises UserError when there is no such run, or when it kept
    none.
    """
    if stage1 is None:
        raise UserError(
            f"{wanted_by} needs the `none` run of the same backbone and seed, which is not there"
        )
    if not (stage1 / "best.safetensors").is_file():
        raise UserError(
            f"{stage1}: its weights are gone, and {wanted_by} needs them: "
            "run `none` again in another results folder"
        )
    return stage1 / "best.safetensors"
