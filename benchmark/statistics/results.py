"""What a test and an interval return: numbers, and in words what was done and what to watch for."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """A confidence interval of a difference A - B.

    name: how it was made, in words.
    low, high: None where there is no interval; `warnings` then says why.
    level: its nominal coverage.
    seeds, documents: how many were drawn from; None where they take no part.
    """

    name: str
    estimate: float | None
    low: float | None
    high: float | None
    level: float
    seeds: int | None = None
    documents: int | None = None
    warnings: tuple[str, ...] = ()

    @property
    def points(self) -> tuple[float, float] | None:
        """The ends of an interval of fractions, in percent; None where there are none."""
        return None if self.low is None else (100 * self.low, 100 * self.high)


@dataclass(frozen=True)
class Result:
    """The outcome of one test of "A and B do not differ".

    name: the test, in words.
    statistic: its value, in the test's own scale.
    p: None where the test cannot be made; `warnings` then says why.
    n: number of seeds or documents.
    effect: the difference A - B that the test is about.
    interval: of the effect, always two-sided; None where the test gives none.
    why: the reason for the choice of the test, where a rule chose it (`tests.auto`).
    p_error: standard error of p by resampling alone; None where p is exact.
    """

    name: str
    statistic: float | None
    p: float | None
    n: int
    effect: float
    interval: Interval | None = None
    why: str = ""
    warnings: tuple[str, ...] = ()
    p_error: float | None = None


def resampling_error(p: float, resamples: int) -> float:
    """The Monte-Carlo standard error of a p-value that so many resamples give."""
    return math.sqrt(p * (1 - p) / resamples)
