"""What all stages of a run share: features, loaders, the model and its scores."""

from __future__ import annotations

import itertools
import time
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
from benchmark.data.collation import Collator
from benchmark.data.docred import further_documents, require_unseen
from benchmark.data.documents import Corpus
from benchmark.data.features import featurise
from benchmark.data.sampling import DocumentBatches, Rows
from benchmark.errors import UserError
from benchmark.progress import Progress
from benchmark.registry import AUGMENTERS
from benchmark.scoring.calibration import Ranking, above, rank, tuned_threshold
from benchmark.scoring.counts import Counts, count, score, train_facts
from benchmark.seeds import derive
from benchmark.store.runs import RunDirectory
from benchmark.training.building import build_model, take_encoder
from benchmark.training.cache import EncodedCollator, EncodedSplit, encode_once, encode_with_stage1
from benchmark.training.distillation import TaughtCollator
from benchmark.training.evaluation import Evaluator
from benchmark.training.further import FurtherCollator
from benchmark.training.resume import state_identity

TRAINING, FURTHER = "training", "further"


class Session:
    """The documents of a run as features and batches, its model at initial weights, and its scorer.

    Attributes:
        facts: what the run's numbers depend on besides its configuration.
        stage1: folder of the finished stage 1 run, if there is one.
        identity: of what this run computes; stored with its training states.
        features: {"train" | "dev" | "test": tokenised documents}.
        encodings: outputs of an encoder that is not trained: "dev", "test", TRAINING, FURTHER, and
            "train" if it is frozen.
        further: tokenised documents that an augmenter adds.
        earlier: seconds of the earlier attempts at this run that it goes on from.
    """

    def __init__(
        self,
        run: RunConfig,
        directory: RunDirectory,
        corpus: Corpus,
        facts: Mapping[str, Any],
        accelerator: Accelerator,
        progress: Progress,
        stage1: Path | None,
        began: float,
    ):
        self.began, self.earlier = began, 0.0
        self.run, self.directory, self.corpus = run, directory, corpus
        self.accelerator, self.progress, self.stage1 = accelerator, progress, stage1
        self.facts, self.identity = facts, state_identity(run, facts)
        set_seed(derive(run.seed, "session") % 2**32)
        self.model = build_model(run, corpus).to(accelerator.device)
        if run.on_head:
            take_encoder(self.model, stage1_weights(stage1, "augment.stage3: head"))
        self.documents = {"train": corpus.train, "dev": corpus.dev, "test": corpus.test}
        self.features = {
            split: self._featurised(documents, training=split == "train")
            for split, documents in self.documents.items()
        }
        largest = (max(features["entities"], default=0) for features in self.features.values())
        self.model.backbone.require_room(max(largest))
        most = run.train.max_labels
        self.evaluator = Evaluator(self.model, accelerator, corpus, progress, max_labels=most)
        scored = itertools.chain(corpus.dev, corpus.test)
        self.train_facts = train_facts(corpus.train, undirected=corpus.undirected, asked_by=scored)
        self.encodings = {s: self._encoded(self.features[s], s) for s in ("dev", "test")}
        self.encodings[TRAINING] = self._encoded(self.features["train"], "train", training=True)
        if run.encoder.freeze == "all":
            self.encodings["train"] = self.encodings[TRAINING]
        self.further: Dataset | None = None

    def spent(self) -> float:
        """Seconds of the run so far, those of the attempts that it goes on from included."""
        return self.earlier + time.perf_counter() - self.began

    def take_further(self, rows: list[dict[str, Any]], *, rewrites: bool) -> None:
        """Train on these canonical documents too, from the end of the warm-up on.

        rewrites: row i is a version of training document i.

        Raises DataError for a faulty one, or one of dev or test.
        """
        name = self.run.augmenter.name
        documents = further_documents(rows, self.corpus, f"documents of '{name}'")
        if not rewrites:
            require_unseen(documents, self.corpus, f"documents of '{name}'")
        self.further, self.rewrites = self._featurised(documents, training=True), rewrites
        self.model.backbone.require_room(max(self.further["entities"], default=0))
        name = f"{name}-{self.further._fingerprint[:8]}"
        self.encodings[FURTHER] = self._encoded(self.further, name, training=True)

    def loader(self, split: str, *, training: bool = False, encoded: bool = True) -> DataLoader:
        """Batches of a split; if `training`, in training order and with all that a step reads.

        encoded: they bring along the outputs of an encoder that is not trained.
        """
        config, features, needs = self.run.train, self.features[split], self.model.needs
        batches = DocumentBatches(
            features["length"],
            config.batch_size if training else config.eval_batch_size,
            order=config.batching if training else "sorted",
            seed=self.run.seed,
            share=(processes.rank(), processes.count()),
        )
        collate: Any = Collator(self.model.encoder.windows, needs)
        if encoded:
            collate = self._with_encodings(TRAINING if training else split, collate, batches)
        if training and self.further is not None:
            of_further = Collator(self.model.encoder.windows, needs)
            collate = FurtherCollator(
                collate,
                Rows(self.further, needs),
                self._with_encodings(FURTHER, of_further, batches),
                batches,
                warmup_epochs=self.run.augment.warmup_epochs,
                seed=self.run.seed,
                rewrites=self.rewrites,
            )
        if training and self.run.teachers:
            titles = list(self.corpus.train["title"])
            collate = TaughtCollator(collate, self.run.teachers, titles, self.corpus.relations)
        on_gpu = self.accelerator.device.type == "cuda"
        return DataLoader(
            Rows(features, needs),
            batch_sampler=batches,
            collate_fn=collate,
            pin_memory=on_gpu,
            num_workers=4 if on_gpu and training else 0,
        )

    def dev_score(self) -> dict[str, Any]:
        """The scores of the model as it is on dev, to choose an epoch by.

        A backbone that tunes its threshold gets the one with the best F1.
        """
        loader, titles = self.loader("dev"), list(self.documents["dev"]["title"])
        what, backbone = "evaluating on dev", self.model.backbone
        if not backbone.tunes_threshold:
            return score(self.count("dev", self.evaluator.predict(loader, titles, what)))
        _, candidates = self.evaluator.predict_and_rank(loader, titles, what)
        threshold = tuned_threshold(self.ranking("dev", candidates))
        found = score(self.count("dev", above(candidates, threshold)))
        backbone.move_threshold(threshold)  # last: an interruption before it changes nothing
        return found

    def ranking(self, split: str, candidates: list[dict]) -> Ranking:
        """Candidate facts, sorted and looked up among the gold facts."""
        return rank(self.documents[split], candidates, undirected=self.corpus.undirected)

    def count(self, split: str, predictions: list[dict]) -> Counts:
        """The counts of predicted facts."""
        corpus = self.corpus
        known = {"relations": corpus.relations, "frequent": corpus.frequent}
        known |= {"train_documents": self.train_facts, "undirected": corpus.undirected}
        return count(self.documents[split], predictions, **known)

    def label_sets(self) -> torch.Tensor:
        """[N, R] label sets of all positive training pairs, from the facts alone."""
        documents, collate = Rows(self.features["train"]), Collator(self.model.encoder.windows)
        labels = (collate([documents[i]]).labels(self.model.classes) for i in range(len(documents)))
        return torch.cat([of_document[of_document[:, 0] == 0] for of_document in labels])

    def _featurised(self, documents: Dataset, *, training: bool) -> Dataset:
        tokenizer, mention = self.model.encoder.tokenizer, self.run.encoder.mention
        return featurise(documents, self.corpus, tokenizer, training=training, mention=mention)

    def _with_encodings(self, of: str, collate: Collator, batches: DocumentBatches) -> Any:
        if not (passes := self.encodings.get(of)):
            return collate
        again = of == TRAINING and AUGMENTERS[self.run.augmenter.name].encodes_again
        copies = self.run.augment.copies if again else 0
        return EncodedCollator(collate, passes, batches, self.run.seed, again=copies)

    def _encoded(
        self, features: Dataset, name: str, *, training: bool = False
    ) -> list[EncodedSplit]:
        """The outputs of an encoder that is not trained; nothing if it is.

        With `augment.stage3: head`, documents to train on are encoded several times, with dropout.
        """
        where = {"device": self.accelerator.device, "progress": self.progress}
        if self.run.encoder.freeze == "all":
            return [encode_once(self.model.encoder, features, self.directory.cache, **where)]
        if not self.run.on_head:
            return []
        given = self.model.encoder, features, stage1_weights(self.stage1, "augment.stage3: head")
        if not training:
            return [encode_with_stage1(*given, name, **where)]
        seeds = [derive(self.run.seed, "encoding", k) for k in range(self.run.augment.passes)]
        return [
            encode_with_stage1(*given, f"{name}-{k}", **where, dropout_seed=seed)
            for k, seed in enumerate(seeds)
        ]


def stage1_weights(stage1: Path | None, wanted_by: str) -> Path:
    """The weights that stage 1 chose. Raises UserError when there are none."""
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
