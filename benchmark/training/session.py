"""What all stages of a run share: features, loaders, the model and its scores."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
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
from benchmark.progress import Progress
from benchmark.scoring.counts import Counts, TrainFacts, count, score, train_facts
from benchmark.seeds import derive
from benchmark.store.runs import RunDirectory
from benchmark.training.cache import EncodedCollator, encode_once
from benchmark.training.distillation import TaughtCollator, Teacher
from benchmark.training.evaluation import Evaluator
from benchmark.training.model import build_model
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
    ):
        self.run, self.directory, self.corpus = run, directory, corpus
        self.accelerator, self.progress = accelerator, progress
        self.facts, self.identity = facts, state_identity(run, facts)
        set_seed(derive(run.seed, "session") % 2**32)
        self.model = build_model(run, corpus).to(accelerator.device)
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
        self.collators = {split: self._collator(split) for split in self.features}

    def loader(self, split: str, *, training: bool = False) -> DataLoader:
        """Batches of a split; if `training`, in that order and with the teacher's logits."""
        config, features = self.run.train, self.features[split]
        batches = DocumentBatches(
            features["length"],
            config.batch_size if training else config.eval_batch_size,
            order=config.batching if training else "sorted",
            seed=self.run.seed,
            share=(processes.rank(), processes.count()),
        )
        collate = self.collators[split]
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

    def _collator(self, split: str) -> Any:
        collator = Collator(self.model.encoder.windows, self.model.backbone.needs)
        if self.run.encoder.freeze != "all":
            return collator
        cache = self.directory.cache
        encoder, device = self.model.encoder, self.accelerator.device
        return EncodedCollator(
            collator, encode_once(encoder, self.features[split], cache, device, self.progress)
        )
