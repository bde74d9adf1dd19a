"""Inference-stage fusion (Ma et al. 2023, DREEAM): a second pass of the same model over
pseudo-documents.

The backbone says which sentences are evidence for a pair. Each set of sentences that some pair asks
for becomes a pseudo-document (benchmark/data/pseudo.py), and what the model says of these is merged
with what it says of the documents (benchmark/scoring/merging.py). The threshold is tuned on dev and
applied once to test. The scores lie beside the plain ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from benchmark import processes
from benchmark.data.batches import OPTIONAL, Batch
from benchmark.data.collation import Collator
from benchmark.data.pseudo import PseudoDocuments
from benchmark.data.sampling import DocumentBatches, Rows
from benchmark.scoring.calibration import DECIMALS, above, to_columns, tuned_threshold
from benchmark.scoring.counts import score
from benchmark.scoring.merging import FUSED, Scores, merged, most_likely, strongest
from benchmark.training.session import Session


def score_fused(
    session: Session, split: str, metrics: dict[str, Any], written: dict[str, Any]
) -> None:
    """Add a split's fused scores to `metrics`, its facts and counts to `written`; dev first, which
    gives the threshold.
    """
    corpus, ((name, key),) = session.corpus, FUSED.items()
    candidates = fused_candidates(session, split)
    if split == "dev":
        metrics[key] = tuned_threshold(session.ranking(split, candidates))
    facts = above(candidates, metrics[key])
    counts = session.count(split, facts)
    metrics[split][name] = score(counts)
    written[f"predictions_{split}_{name}.json"] = facts
    written[f"candidates_{split}_{name}.json"] = to_columns(candidates, corpus.relations)
    written[f"counts_{split}_{name}.json"] = counts.to_json()


@torch.no_grad()
def fused_candidates(session: Session, split: str) -> list[dict]:
    """The merged facts of a split with their scores, in the order of `Evaluator.predict`.

    No label is read: pseudo-documents come without facts.
    """
    features, relations = session.features[split], session.corpus.relations
    entities = np.array(features["entities"], dtype=np.int64)
    most = int(entities.max(initial=1))
    shape = len(features), most, most, len(relations) + 1  # of all facts that there can be
    found, evidence = _first_pass(session, split, shape)
    pseudo = PseudoDocuments(Rows(features, tuple(OPTIONAL)), evidence)
    both = merged(found, _second_pass(session, split, pseudo, shape))
    columns = np.stack(np.unravel_index(both.facts, shape), axis=1)
    kept = most_likely(both.values, columns[:, 0], entities)
    titles = list(session.documents[split]["title"])
    return [
        dict(title=titles[d], h_idx=head, t_idx=tail, r=relations[r - 1], score=value)
        for (d, head, tail, r), value in zip(
            columns[kept].tolist(), both.values[kept].round(DECIMALS).tolist(), strict=True
        )
    ]


def _first_pass(session: Session, split: str, shape: Sequence[int]) -> tuple[Scores, np.ndarray]:
    """Scores of the documents, and the evidence [K, 4] (document, head, tail, sentence)."""
    model, scores, evidence = session.model, [], []
    loader = session.loader(split)
    for batch in session.evaluator.batches(loader, f"looking for evidence in {split}"):
        batch.encoded = model.encode(batch)  # `logits` takes it from there
        facts, values = _scored(session, batch)
        scores.append(Scores(np.ravel_multi_index(facts, shape), values))
        pair, sentence = model.backbone.evidence(batch.encoded, batch).T
        document, head, tail = batch.pairs[pair].T
        evidence += torch.stack([batch.rows[document], head, tail, sentence], 1).tolist()
    of_all = [row for part in processes.exchanged(evidence) for row in part]
    return _joined(scores), np.array(of_all, dtype=np.int64).reshape(-1, 4)


def _second_pass(
    session: Session, split: str, pseudo: PseudoDocuments, shape: Sequence[int]
) -> Scores:
    """Scores of the pseudo-documents, as facts of their documents."""
    model, size = session.model, session.run.train.eval_batch_size
    share = processes.rank(), processes.count()
    batches = DocumentBatches(pseudo.sizes, size, order="sorted", share=share)
    collate = Collator(model.encoder.windows, model.needs)
    loader, scores = DataLoader(pseudo, batch_sampler=batches, collate_fn=collate), []
    for batch in session.evaluator.batches(loader, f"reading the evidence in {split}"):
        (number, head, tail, relation), values = _scored(session, batch)
        ends = pseudo.entities[number, head], pseudo.entities[number, tail]
        facts = pseudo.document[number], *ends, relation
        scores.append(Scores(np.ravel_multi_index(facts, shape), values))
    return _joined(scores)


def _scored(session: Session, batch: Batch) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """The relations among the `max_labels` largest classes of each pair, as (row, head, tail,
    class), and how far each lies above the threshold class; if that is not among them, above the
    smallest less 1.
    """
    undirected, most = session.corpus.undirected, session.run.train.max_labels
    logits = session.model.logits(batch, undirected=undirected)
    values, classes = logits.topk(min(most, logits.shape[1]), dim=1)
    relations, pairs = classes > 0, batch.pairs
    threshold = torch.where(relations.all(1), values[:, -1] - 1, logits[:, 0])
    if undirected:
        relations &= (pairs[:, 1] < pairs[:, 2])[:, None]
    pair, place = relations.nonzero().T
    document, head, tail = pairs[pair].T
    facts = batch.rows[document], head, tail, classes[pair, place]
    above_threshold = (values - threshold[:, None])[pair, place]
    return tuple(column.cpu().numpy() for column in facts), above_threshold.double().cpu().numpy()


def _joined(scores: Sequence[Scores]) -> Scores:
    """What all processes found."""
    none = Scores(np.zeros(0, dtype=np.int64), np.zeros(0))
    own = strongest(Scores(*map(np.concatenate, zip(none, *scores, strict=True))))
    parts = processes.exchanged([column.tolist() for column in own])
    facts, values = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return Scores(facts.astype(np.int64), values.astype(float))
