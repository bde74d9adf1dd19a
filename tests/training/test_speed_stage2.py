"""speed of stage 2: what is compared, and how a fit is shortened."""

import pytest
import torch

from backbones.base import Pairs
from benchmark.training.speed_stage2 import measure_stage2, shortened


class Clockwork:
    """Work takes as long as it says, on a clock that nothing else moves."""

    def __init__(self):
        self.now = 0.0

    def timed(self, work):
        began = self.now
        return work(), self.now - began


class Fitted:
    """Fits in `seconds` an epoch, twice as long in the second counted round."""

    def __init__(self, clock, seconds, epochs=4):
        self.clock, self.seconds, self.epochs, self.calls = clock, seconds, epochs, 0

    def fit(self, representations, labels, *, rng):
        self.calls += 1
        self.clock.now += self.epochs * self.seconds * (2 if self.calls == 3 else 1)
        return [{}] * self.epochs


def test_an_epoch_with_encoding_against_one_without():
    clock, calls = Clockwork(), []
    pairs = Pairs(torch.zeros(7, 2), torch.zeros(7, 3))

    def encode():
        clock.now += 6.0
        return pairs

    augmenters = {"a + quick": Fitted(clock, 0.5), "a + slow": Fitted(clock, 2.0)}
    quick, slow = measure_stage2(
        augmenters, encode, clock.timed, rounds=3, done=lambda: calls.append(1)
    )
    assert (quick.subject, quick.pairs, quick.encoding, quick.fitting) == ("a + quick", 7, 6.0, 0.5)
    assert (quick.lowest, quick.ratio, quick.highest) == (
        7.0,
        13.0,
        13.0,
    )  # (6 + 1) / 1 in the slow round, (6 + .5) / .5 in others
    assert (slow.ratio, slow.lowest) == (4.0, 2.5)
    assert len(calls) == 2 * 4  # the first round warms up


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {"epochs": 100, "warmup_epochs": 10, "lr": 1},
            {"epochs": 10, "warmup_epochs": 1, "lr": 1},
        ),
        ({"epochs": 30, "warmup_epochs": 29}, {"epochs": 10, "warmup_epochs": 9}),
        ({"epochs": 30, "warmup_epochs": 0}, {"epochs": 10, "warmup_epochs": 0}),
        ({"epochs": 7, "warmup_epochs": 3}, {"epochs": 7, "warmup_epochs": 3}),
        ({"scale": 0.1}, {"scale": 0.1}),
    ],
)
def test_a_shorter_fit_keeps_the_share_of_its_warmup(options, expected):
    assert shortened(options) == expected
