"""Counts per document of made-up models."""

import numpy as np
import pytest


@pytest.fixture
def models():
    """models(rng, number, documents, recall=) -> counts [number, documents, 4] of models on the
    same documents.
    """

    def make(rng, number, documents, *, recall=0.5):
        gold = rng.poisson(8, documents)
        difficulty = rng.normal(0, 0.1, documents)
        tp = rng.binomial(gold, np.clip(recall + difficulty, 0, 1), size=(number, documents))
        wrong, seen = rng.poisson(3, size=tp.shape), rng.binomial(tp, 0.3)
        return np.stack([tp, tp + wrong, np.broadcast_to(gold, tp.shape), seen], axis=-1)

    return make
