"""Stage 2 from stored pair representations, against encoding every document again in every epoch,
as the official code does.

The paper's stage 1 model is frozen while EP-VAE and the prior are fitted, so that its pair
representations never change; the official stage 2 computes them anew in each of 100 epochs. Here
they are computed once. What is compared is an epoch of fitting with and without the forward pass
(this suite's own, without gradients) over the documents that the pairs come from.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from augmenters.base import Augmenter
from backbones.base import Pairs
from benchmark.seeds import derive

EPOCHS = 10  # of a timed fit at most; its warm-up, which costs less, keeps its share

Timed = Callable[
    [Callable[[], Any]], tuple[Any, float]
]  # work -> its result, and the seconds it took


@dataclass
class Stage2:
    """One backbone and augmenter. Seconds per epoch over the timed documents, the median of the
    rounds; `ratio` is (encoding + fitting) / fitting, taken within a round, with the lowest and
    highest one.
    """

    subject: str
    pairs: int
    encoding: float
    fitting: float
    ratio: float
    lowest: float
    highest: float


def shortened(options: dict[str, Any]) -> dict[str, Any]:
    """Hyper-parameters of a fit of at most `EPOCHS` epochs."""
    epochs, warmup = options.get("epochs"), options.get("warmup_epochs")
    if epochs is None or epochs <= EPOCHS:
        return options
    shorter = {"epochs": EPOCHS}
    if warmup:
        shorter["warmup_epochs"] = min(EPOCHS - 1, max(1, round(EPOCHS * warmup / epochs)))
    return options | shorter


def measure_stage2(
    augmenters: dict[str, Augmenter],
    encode: Callable[[], Pairs],
    timed: Timed,
    *,
    rounds: int,
    done: Callable[[], Any],
) -> list[Stage2]:
    """Time augmenters that are fitted, by subject.

    Args:
        encode: the positive pairs of the documents, out of the stage 1 model.
        rounds: how often all take their turn, after one that does not count.
        done: called after each augmenter's turn.
    """
    encoding, fitting = [], {subject: [] for subject in augmenters}
    for _ in range(rounds + 1):
        pairs, seconds = timed(encode)
        encoding.append(seconds)
        for subject, augmenter in augmenters.items():
            rng = torch.Generator().manual_seed(derive(0, "speed"))
            history, seconds = timed(lambda: augmenter.fit(*pairs, rng=rng))  # noqa: B023
            fitting[subject].append(seconds / max(1, len(history)))
            done()
    return [
        _line(subject, len(pairs.labels), encoding[1:], times[1:])
        for subject, times in fitting.items()
    ]


def _line(subject: str, pairs: int, encoding: list[float], fitting: list[float]) -> Stage2:
    ratios = [(once + epoch) / epoch for once, epoch in zip(encoding, fitting, strict=True)]
    seconds = statistics.median(encoding), statistics.median(fitting)
    return Stage2(subject, pairs, *seconds, statistics.median(ratios), min(ratios), max(ratios))
