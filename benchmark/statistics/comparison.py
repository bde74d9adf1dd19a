"""Two systems, each with one or several seeds, compared on all of their scores.

Scores are in percent here, as in tables; differences are A - B.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from benchmark.scoring.counts import Counts
from benchmark.statistics.advice import (
    ALPHA,
    DOCUMENT_LEVEL,
    counted,
    detectable_difference,
    too_few_seeds,
    unpaired_seeds,
)
from benchmark.statistics.document_tests import approximate_randomisation
from benchmark.statistics.effects import (
    BETTER,
    almost_stochastic_order,
    cohens_dz,
    probability_of_superiority,
)
from benchmark.statistics.intervals import RESAMPLES, crossed_interval
from benchmark.statistics.measures import MEASURES, document_counts
from benchmark.statistics.results import Interval, Result
from benchmark.statistics.tests import SEED_TESTS

COMPARED = ("f1", "ign_f1", "freq_f1", "ltail_f1")
NAMES = {
    "f1": "F1",
    "ign_f1": "Ign F1",
    "freq_f1": "Freq F1",
    "ltail_f1": "LTail F1",
    "calibrated.f1": "calibrated F1",
    "calibrated.ltail_f1": "calibrated LTail F1",
    "ap.all": "average precision",
    "ap.tail": "average precision of the tail",
}
SIDES = {  # alternative -> what a p is said to be
    "two-sided": "",
    "greater": "one-sided, for A above B",
    "less": "one-sided, for A below B",
}


@dataclass(frozen=True)
class Effects:
    """How large a difference over several seeds is.

    d_z: mean over standard deviation of the pairs; None where they do not vary.
    superiority: P(A > B), that one run of A beats one of B, whatever their seeds.
    eps_min: of almost stochastic order of A over B; 0 if A dominates, 1 if B does, no p-value.
    """

    d_z: float | None
    superiority: float
    eps_min: float


@dataclass(frozen=True)
class Line:
    """One score.

    a, b: percent for each paired seed.
    interval, across_seeds: of the difference, in points.
    across_documents: the tests across documents, one for each seed.
    effects: with several seeds.
    undefined: why there is nothing else.
    """

    measure: str
    a: tuple[float, ...] = ()
    b: tuple[float, ...] = ()
    interval: Interval | None = None
    across_seeds: Result | None = None
    across_documents: tuple[Result, ...] = ()
    effects: Effects | None = None
    undefined: str = ""

    @property
    def difference(self) -> float:
        return math.fsum(self.a) / len(self.a) - math.fsum(self.b) / len(self.b)


@dataclass(frozen=True)
class Comparison:
    """All lines, the seeds that were paired, and the warnings that belong to them."""

    names: tuple[str, str]
    seeds: tuple[int, ...]
    documents: int
    lines: tuple[Line, ...]
    warnings: tuple[str, ...]
    alternative: str = "two-sided"

    def sentence(self) -> str:
        """The result on F1 in plain words."""
        line, (a, b) = self.lines[0], self.names
        if line.undefined:
            return f"{NAMES[line.measure]}: {line.undefined}."
        where = f"{abs(line.difference):.2f} points {'above' if line.difference > 0 else 'below'}"
        where = "level with" if abs(line.difference) < 0.005 else where
        low, high = line.interval.low, line.interval.high
        span = "no interval" if low is None else f"95 % interval {low:+.2f} to {high:+.2f}"
        runs = "one run of each" if len(self.seeds) == 1 else f"{len(self.seeds)} paired seeds"
        over = f"{runs} and {counted(self.documents, 'document')}"
        said = f"{NAMES[line.measure]} of {a} is {where} {b} ({span}, over {over})"
        return f"{said}: {_verdict(line, SIDES[self.alternative])}."


def compare(
    a: Mapping[int, Counts],
    b: Mapping[int, Counts],
    *,
    names: tuple[str, str],
    measures: tuple[str, ...] = COMPARED,
    test: str = "auto",
    alternative: str = "two-sided",
    resamples: int = RESAMPLES,
    rng: np.random.Generator,
) -> Comparison:
    """Compare A with B, paired by seed and by document.

    a, b: seed -> counts per document; a system that ran once has the one seed.
    measures: names of MEASURES; the sentence is about the first.
    test: across seeds, a name of SEED_TESTS.

    Raises DataError for other documents or gold facts, and ValueError without a common seed.
    """
    seeds = tuple(sorted(a.keys() & b.keys()))
    if not seeds:
        raise ValueError(unpaired_seeds(a, b))
    options = {"alternative": alternative, "rng": rng}
    both = [side[seed] for side in (a, b) for seed in seeds]
    called = [
        f"{side}, seed {seed}" if len(seeds) > 1 else side for side in ("A", "B") for seed in seeds
    ]
    lines = tuple(_line(name, both, called, test, resamples, options) for name in measures)
    warnings = tuple(_warnings(a, b, lines, test, alternative))
    return Comparison(names, seeds, len(both[0].titles), lines, warnings, alternative)


def _line(
    name: str, both: list[Counts], called: list[str], test: str, resamples: int, options: dict
) -> Line:
    measure = MEASURES[name]
    if any(measure.group not in counts.groups for counts in both):
        return Line(name, undefined="no frequent relations are defined")
    counts, seeds = document_counts(both, measure, called), len(both) // 2
    percent = lambda totals: 100 * measure(totals)
    scores = percent(counts.sum(axis=1))
    if np.isnan(scores).any():
        return Line(name, undefined="undefined, because there are no gold facts of that kind")
    a, b = tuple(scores[:seeds].tolist()), tuple(scores[seeds:].tolist())
    sides, rng = (counts[:seeds], counts[seeds:], percent), options["rng"]
    interval = crossed_interval(*sides, rng=rng, resamples=resamples)
    across_documents = approximate_randomisation(*sides, resamples=resamples, **options)
    if seeds == 1:
        return Line(name, a, b, interval, None, across_documents)
    d, left, right = np.subtract(a, b), np.array(a), np.array(b)
    eps_min = almost_stochastic_order(left, right, rng=rng)
    effects = Effects(cohens_dz(d), probability_of_superiority(left, right), eps_min)
    return Line(name, a, b, interval, SEED_TESTS[test](d, **options), across_documents, effects)


def _verdict(line: Line, sides: str) -> str:
    no, sides = ("no such" if sides else "no"), f", {sides}" * bool(sides)
    if line.across_seeds is None:
        p = line.across_documents[0].p
        told = f"(p = {p:.3g} across documents{sides})"
        if p <= ALPHA:
            return f"these two models differ {told}"
        return f"{no} difference of these two models is shown {told}"
    p = line.across_seeds.p
    if p is None:
        return f"no test across seeds could be made ({'; '.join(line.across_seeds.warnings)})"
    told = f"(p = {p:.3g}, {line.across_seeds.name} across seeds{sides})"
    said = f"significant at {ALPHA} {told}" if p <= ALPHA else f"{no} difference is shown {told}"
    low, high = line.interval.low, line.interval.high
    if low is None or (p <= ALPHA) == (excludes := not low <= 0 <= high):
        return said
    interval = f"although the interval {'excludes' if excludes else 'includes'} 0"
    return f"{said}, {interval}; a report marks a difference only where both show one"


def _order_misleads(line: Line, alternative: str) -> bool:
    p = line.across_seeds.p
    no_better = p is not None and p > ALPHA and alternative != "less"
    return no_better and line.effects.eps_min <= BETTER


def _warnings(
    a: Mapping, b: Mapping, lines: tuple[Line, ...], test: str, alternative: str
) -> Iterator[str]:
    if unpaired := unpaired_seeds(a, b):
        yield unpaired
    seeds = len(a.keys() & b.keys())
    defined = [line for line in lines if not line.undefined]
    if seeds == 1:
        yield f"One seed on each side: {DOCUMENT_LEVEL}"
    elif defined:
        first, few = defined[0], []
        for line in defined:
            taken = "permutation" if "permutation" in line.across_seeds.name else test
            if told := too_few_seeds(seeds, 1, test=taken, alternative=alternative):
                few.append(line)
                sentence = told  # the same for all of them
        if few:
            of = f"{', '.join(NAMES[line.measure] for line in few)}: "
            yield sentence if len(few) == len(defined) else of + sentence
        if first not in few and first.effects.d_z is not None:  # the differences vary
            spread = float(np.std(np.subtract(first.a, first.b), ddof=1))
            detectable = detectable_difference(seeds, spread, alternative=alternative)
            yield f"{NAMES[first.measure]}: {detectable}"
        if misled := [NAMES[of.measure] for of in defined if _order_misleads(of, alternative)]:
            yield (
                f"{', '.join(misled)}: eps_min calls A better, but p shows no difference. Believe "
                "p: eps_min keeps no error level, least of all with few seeds."
            )
        yield DOCUMENT_LEVEL
    said: dict[str, list[str]] = {}  # warning -> the scores that it is about
    for line in defined:
        for source in (line.interval, line.across_seeds) if seeds > 1 else ():
            for warning in source.warnings:
                said.setdefault(warning, []).append(NAMES[line.measure])
    yield from (f"{', '.join(measures)}: {warning}." for warning, measures in said.items())
