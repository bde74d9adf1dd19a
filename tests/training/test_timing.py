"""The estimate of a run's time."""

import pytest
from tiny_runs import config, on_call, tiny_corpus

from backbones.encoders.tiny import Tiny
from benchmark.config import Choice, EncoderConfig
from benchmark.registry import BACKBONES, ENCODERS
from benchmark.training import timing


@pytest.mark.filterwarnings("error::FutureWarning")
def test_steps_and_looks_are_counted(monkeypatch):
    """Each action takes one second: 3 epochs of 3 steps; then dev four times and test once, 2
    documents a second.
    """
    clock = iter(range(10**6))
    monkeypatch.setattr(timing.time, "perf_counter", lambda: float(next(clock)))
    corpus = tiny_corpus()
    assert (len(corpus.train), len(corpus.dev), len(corpus.test)) == (5, 2, 3)
    trained = 9 + (4 * 2 + 3) / 2
    assert timing.estimated_seconds(config("atlop"), corpus) == pytest.approx(trained)
    frozen = config("atlop", encoder={"freeze": "all"})  # 10 documents are encoded once
    assert timing.estimated_seconds(frozen, corpus) == pytest.approx(trained + 10 / 2)


def test_steps_of_a_frozen_encoder_do_not_encode(monkeypatch):
    calls = on_call(monkeypatch, Tiny, "forward", 0)
    timing.estimated_seconds(config("atlop", encoder={"freeze": "all"}), tiny_corpus())
    assert len(calls) == timing.TRIES


def test_what_the_encoder_reads_is_in_the_timed_batch():
    """`bilstm` reads fields that `context_aware` does not ask for."""
    run = config("atlop").model_copy(
        update={
            "backbone": Choice(name="context_aware"),
            "encoder": EncoderConfig(name="bilstm", mention="unmarked"),
        }
    )
    read, asked = ENCODERS.get("bilstm").needs, BACKBONES.get("context_aware").needs
    assert not set(read) <= set(asked)
    assert timing.estimated_seconds(run, tiny_corpus()) > 0
