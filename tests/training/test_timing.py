"""The estimate of a run's time."""

import pytest
from tiny_runs import config, tiny_corpus

from benchmark.training import timing


def test_steps_and_looks_are_counted(monkeypatch):
    """Each action takes one second: 3 epochs of 3 steps; then dev four times and test once, 2
    documents a second.
    """
    clock = iter(range(10**6))
    monkeypatch.setattr(timing.time, "perf_counter", lambda: float(next(clock)))
    corpus = tiny_corpus()
    assert (len(corpus.train), len(corpus.dev), len(corpus.test)) == (5, 2, 3)
    assert timing.estimated_seconds(config("atlop"), corpus) == pytest.approx(9 + (4 * 2 + 3) / 2)
