"""A model over a whole split: predictions in submission format, logits per document,
representations of positive pairs.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader

from benchmark import processes
from benchmark.data.batches import Batch
from benchmark.data.documents import Corpus
from benchmark.data.pairs import Pairs
from benchmark.progress import Progress
from benchmark.training.model import DocreModel


class Evaluator:
    """Runs a model in evaluation mode.

    Args:
        max_labels: relations predicted for one pair at most.
    """

    def __init__(
        self,
        model: DocreModel,
        accelerator: Accelerator,
        corpus: Corpus,
        progress: Progress,
        *,
        max_labels: int,
    ):
        self.model, self.accelerator, self.corpus, self.progress = (
            model,
            accelerator,
            corpus,
            progress,
        )
        self.max_labels = max_labels

    @torch.no_grad()
    def predict(
        self, loader: DataLoader, titles: list[str], description: str = "predicting"
    ) -> list[dict]:
        """Facts above the threshold as {title, h_idx, t_idx, r, score}, ordered by document, head,
        tail and class.

        Of several processes each predicts those of its part of the loader, and all get all of them.
        """
        found = []
        for batch in self._batches(loader, description):
            logits = self.model.logits(batch, undirected=self.corpus.undirected)
            facts, scores = self.model.backbone.predict(logits, max_labels=self.max_labels)
            pairs = batch.pairs[facts[:, 0]]
            rows = torch.stack([batch.rows[pairs[:, 0]], pairs[:, 1], pairs[:, 2], facts[:, 1]], 1)
            found += zip(rows.tolist(), scores.tolist(), strict=True)
        return [
            {
                "title": titles[row],
                "h_idx": head,
                "t_idx": tail,
                "r": self.corpus.relations[relation - 1],
                "score": score,
            }
            for (row, head, tail, relation), score in sorted(
                itertools.chain(*processes.exchanged(found))
            )
            if not self.corpus.undirected or head < tail
        ]

    @torch.no_grad()
    def positive_pairs(self, loader: DataLoader, description: str) -> Pairs:
        """Representations and labels of all pairs that hold a relation, in the loader's order."""
        found = []
        for batch in self._batches(loader, description):
            pairs = Pairs(
                self.model.represent(batch).float(), batch.labels(self.model.classes)
            ).only_positive()
            found.append(Pairs(*(t.cpu() for t in pairs)))
        return Pairs(*(torch.cat(tensors) for tensors in zip(*found, strict=True)))

    @torch.no_grad()
    def document_logits(self, loader: DataLoader, documents: int, description: str) -> list[Tensor]:
        """[P, R] logits of each document."""
        logits: list[Tensor | None] = [None] * documents
        for batch in self._batches(loader, description):
            parts = (
                self.model.logits(batch)
                .cpu()
                .split((batch.entities * (batch.entities - 1)).tolist())
            )
            for row, part in zip(batch.rows.tolist(), parts, strict=True):
                logits[row] = part
        return logits

    def _batches(self, loader: DataLoader, description: str) -> Iterator[Batch]:
        training = self.model.training
        self.model.eval()
        with self.progress.task(description, total=len(loader)) as bar, self.accelerator.autocast():
            for batch in loader:
                yield batch.to(self.accelerator.device, non_blocking=True)
                bar.advance()
        self.model.train(training)
