"""The estimate of a run's time."""

import pytest
from tiny_runs import config, tiny_corpus

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
    assert timing.estimated_seconds(config("atlop"), corpus) == pytest.approx(9 + (4 * 2 + 3) / 2)


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
