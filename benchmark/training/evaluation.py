"""A model over a whole split: predictions in submission format, logits per document,
representations of positive pairs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from datasets import Dataset
from torch import Tensor
from torch.utils.data import DataLoader

from benchmark import processes
from benchmark.config import RunConfig
from benchmark.data.batches import Batch
from benchmark.data.collation import Collator
from benchmark.data.documents import Corpus
from benchmark.data.features import featurise
from benchmark.data.pairs import Pairs
from benchmark.data.sampling import DocumentBatches, Rows
from benchmark.progress import Progress
from benchmark.scoring.calibration import DECIMALS, PER_ENTITY
from benchmark.training.model import DocreModel

Choice = Callable[[Batch, Tensor], tuple[Tensor, Tensor]]


def batches_of(
    documents: Dataset,
    corpus: Corpus,
    model: DocreModel,
    run: RunConfig,
    *,
    training: bool = False,
    size: int | None = None,
) -> DataLoader:
    """Batches of documents to evaluate as the run does, the longest first. training: the run was
    trained on them.
    """
    settings = {"training": training, "mention": run.encoder.mention}
    features = featurise(documents, corpus, model.encoder.tokenizer, **settings)
    size = size or run.train.eval_batch_size
    return DataLoader(
        Rows(features, model.needs),
        batch_sampler=DocumentBatches(features["length"], size, order="sorted"),
        collate_fn=Collator(model.encoder.windows, model.needs),
    )


@dataclass
class Evaluator:
    """Runs a model in evaluation mode; predicts at most `max_labels` relations for a pair."""

    model: DocreModel
    accelerator: Accelerator
    corpus: Corpus
    progress: Progress
    max_labels: int

    def predict(
        self, loader: DataLoader, titles: list[str], description: str = "predicting"
    ) -> list[dict]:
        """Facts above the threshold as {title, h_idx, t_idx, r, score}, ordered by document, head,
        tail and class. The score is the margin over the threshold.

        With several processes, each predicts its part of the loader, and all get all facts.
        """
        return self._facts(loader, titles, description, self._above)[0]

    def predict_and_rank(
        self, loader: DataLoader, titles: list[str], description: str
    ) -> tuple[list[dict], list[dict]]:
        """The facts of `predict`, and in the same form the candidates that calibrated scores are
        made of (benchmark/scoring/calibration.py).
        """
        choices = self._above, self._candidates
        predicted, candidates = self._facts(loader, titles, description, *choices)
        rounded = [fact | {"score": round(fact["score"], DECIMALS)} for fact in candidates]
        return predicted, rounded

    @torch.no_grad()
    def _facts(
        self, loader: DataLoader, titles: list[str], description: str, *choices: Choice
    ) -> list[list[dict]]:
        """The facts that each of `choices` picks from the logits."""
        undirected, relations = self.corpus.undirected, self.corpus.relations
        found: list[list[tuple[list[int], float]]] = [[] for _ in choices]
        for batch in self.batches(loader, description):
            logits = self.model.logits(batch, undirected=undirected)
            for choose, chosen in zip(choices, found, strict=True):
                facts, scores = choose(batch, logits)
                pairs = batch.pairs[facts[:, 0]]
                rows = [batch.rows[pairs[:, 0]], pairs[:, 1], pairs[:, 2], facts[:, 1]]
                chosen += zip(torch.stack(rows, 1).tolist(), scores.tolist(), strict=True)
        of_all = zip(*processes.exchanged(found), strict=True)  # by choice, a part of each process
        return [
            [
                dict(title=titles[row], h_idx=head, t_idx=tail, r=relations[r - 1], score=score)
                for (row, head, tail, r), score in sorted(itertools.chain(*parts))
                if not undirected or head < tail
            ]
            for parts in of_all
        ]

    def _above(self, batch: Batch, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Facts [F, 2] (pair, class) that the backbone predicts, and their margins [F]."""
        return self.model.backbone.predict(logits, max_labels=self.max_labels)

    def _candidates(self, batch: Batch, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Candidate facts [F, 2] (pair, class), and their margins [F]."""
        margin = self.model.backbone.margins(logits)
        if self.corpus.undirected:  # only head < tail is kept of them
            pairs = batch.pairs
            margin = margin.masked_fill((pairs[:, 1] > pairs[:, 2])[:, None], -torch.inf)
        facts, scores, first = [], [], 0
        for n, part in zip(batch.entities.tolist(), margin.split(_pairs(batch)), strict=True):
            wanted = max(PER_ENTITY * n, int((part > 0).sum()))
            best = part.flatten().topk(min(wanted, part.numel()))
            kept = best.values.isfinite()
            pair, relation = best.indices[kept] // part.shape[1], best.indices[kept] % part.shape[1]
            facts.append(torch.stack([first + pair, 1 + relation], 1))
            scores.append(best.values[kept])
            first += len(part)
        return torch.cat(facts), torch.cat(scores)

    @torch.no_grad()
    def positive_pairs(self, loader: DataLoader, split: str) -> Pairs:
        """Representations and labels of all pairs of a split that hold a relation, in the loader's
        order.
        """
        found = []
        for batch in self.batches(loader, f"stage 1 representations of {split}"):
            labels = batch.labels(self.model.classes)
            pairs = Pairs(self.model.represent(batch).float(), labels).only_positive()
            found.append(Pairs(*(t.cpu() for t in pairs)))
        return Pairs(*(torch.cat(tensors) for tensors in zip(*found, strict=True)))

    @torch.no_grad()
    def document_logits(self, loader: DataLoader) -> list[Tensor]:
        """[P, R] logits of each document of a split."""
        logits: list[Tensor | None] = [None] * len(loader.dataset)
        for batch in self.batches(loader, "storing logits"):
            parts = self.model.logits(batch).cpu().split(_pairs(batch))
            for row, part in zip(batch.rows.tolist(), parts, strict=True):
                logits[row] = part
        return logits

    def batches(self, loader: DataLoader, description: str) -> Iterator[Batch]:
        """The batches on the device, the model in evaluation mode."""
        training = self.model.training
        self.model.eval()
        with self.progress.task(description, total=len(loader)) as bar, self.accelerator.autocast():
            for batch in loader:
                yield batch.to(self.accelerator.device, non_blocking=True)
                bar.advance()
        self.model.train(training)


def _pairs(batch: Batch) -> list[int]:
    """The number of pairs of each document."""
    return (batch.entities * (batch.entities - 1)).tolist()
