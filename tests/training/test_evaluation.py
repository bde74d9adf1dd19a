"""Which facts become candidates of the calibrated scores."""

from types import SimpleNamespace

import pytest
import torch

from benchmark.data.made_up import CLASSES, made_up_batch, made_up_document
from benchmark.scoring.calibration import PER_ENTITY
from benchmark.training.evaluation import Evaluator

SIZES = (3, 0, 1, 9)  # entities of each document


@pytest.mark.parametrize("undirected", [False, True])
@pytest.mark.parametrize("shift", [-3.0, 3.0])  # few facts above the threshold, or most
def test_each_document_has_its_best_candidates(undirected, shift):
    batch = made_up_batch([made_up_document(number, n) for number, n in enumerate(SIZES)])
    logits = torch.randn(len(batch.pairs), CLASSES, generator=torch.Generator().manual_seed(0))
    logits[:, 1:] += shift
    model = SimpleNamespace(backbone=SimpleNamespace(margins=lambda z: z[:, 1:] - z[:, :1]))
    evaluator = Evaluator(model, None, SimpleNamespace(undirected=undirected), None, max_labels=4)
    facts, margins = evaluator._candidates(batch, logits)
    margin = logits[:, 1:] - logits[:, :1]
    for document, n in enumerate(SIZES):
        mine = batch.pairs[facts[:, 0]][:, 0] == document
        of_document = [
            (float(margin[pair, relation]), pair, relation + 1)
            for pair, (d, head, tail) in enumerate(batch.pairs.tolist())
            for relation in range(CLASSES - 1)
            if d == document and (not undirected or head < tail)
        ]
        above = sum(value > 0 for value, _, _ in of_document)
        best = sorted(of_document, reverse=True)[: max(PER_ENTITY * n, above)]
        found = zip(margins[mine].tolist(), *facts[mine].T.tolist(), strict=True)
        assert sorted(found, reverse=True) == best
