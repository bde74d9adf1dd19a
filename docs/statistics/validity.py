"""How often the tests and intervals of `benchmark.statistics` are wrong, by simulation.

    python -m docs.statistics.validity

From the top of the repository; some minutes on one core. It replaces the tables of validity.md. The
seed is fixed, so the numbers come out the same. `tests/statistics/test_validity.py` runs small
versions of the same simulations with every change.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmark.statistics.document_tests import approximate_randomisation
from benchmark.statistics.effects import almost_stochastic_order
from benchmark.statistics.intervals import crossed_interval, paired_t_interval
from benchmark.statistics.measures import MEASURES
from benchmark.statistics.tests import SEED_TESTS

ALPHA, SEEDS = 0.05, (3, 5, 10)
F1, IGN_F1 = MEASURES["f1"], MEASURES["ign_f1"]
RESAMPLES = 999  # enough for an error rate: p is right to .007 at .05
SHAPES: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {  # all of mean 0
    "normal": lambda rng, n: rng.normal(size=n),
    "skewed (lognormal, sigma .5)": lambda rng, n: rng.lognormal(0, 0.5, n) - np.exp(0.125),
    "heavy-tailed (t, 3 df)": lambda rng, n: rng.standard_t(3, n),
}
Rates = dict[str, float]


def repeated(simulation: Callable[..., dict[str, bool]]) -> Callable[..., Rates]:
    """Make a function of `simulations`: the share of these in which each outcome is true."""

    def rates(simulations: int, *arguments, **options) -> Rates:
        outcomes = [simulation(*arguments, **options) for _ in range(simulations)]
        return {name: float(np.mean([found[name] for found in outcomes])) for name in outcomes[0]}

    return rates


def rejected(a: np.ndarray, b: np.ndarray, rng: np.random.Generator, measure=F1) -> bool:
    (result,) = approximate_randomisation(a[None], b[None], measure, rng=rng, resamples=RESAMPLES)
    return result.p is not None and result.p <= ALPHA


@repeated
def seed_rejections(rng, shape: str, n: int, shift: float = 0.0) -> dict[str, bool]:
    """Which tests across seeds reject."""
    differences = SHAPES[shape](rng, n) + shift
    return {name: test(differences).p <= ALPHA for name, test in SEED_TESTS.items()}


def systems(
    rng, documents: int, seeds: int, *, run_sd=0.0, method_sd=0.0, shift=0.0, gold=8.0
) -> tuple[np.ndarray, np.ndarray]:
    """Counts [seeds, documents, 4] of two systems, equal in expectation unless shifted.

    run_sd: how much the recall varies between training runs; method_sd: how much a method's recall
    on single documents deviates, the same for all its runs; gold: facts per document.
    """
    facts, difficulty = rng.poisson(gold, documents), rng.normal(0, 0.1, documents)
    both = []
    for added in (shift, 0.0):
        of_method = rng.normal(0, method_sd, documents)
        recall = 0.5 + added + difficulty + of_method + rng.normal(0, run_sd, (seeds, 1))
        tp = rng.binomial(facts, np.clip(recall, 0.01, 0.99))
        wrong, seen = rng.poisson(0.4 * gold, tp.shape), rng.binomial(tp, 0.3)
        both.append(np.stack([tp, tp + wrong, np.broadcast_to(facts, tp.shape), seen], axis=-1))
    return both[0], both[1]


@repeated
def document_rejections(rng, documents: int, measure=F1, **options) -> dict[str, bool]:
    """Whether the test across documents rejects, for one run of each system."""
    a, b = systems(rng, documents, 1, **options)
    return {"approximate randomisation": rejected(a[0], b[0], rng, measure)}


def differences(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return F1(a.sum(axis=1)) - F1(b.sum(axis=1))


def run_sd_for(ratio: float, documents: int, rng, simulations: int = 2_000) -> float:
    """The run_sd at which F1 differences vary `ratio` times as much by run as by test set."""
    draw = lambda shift: differences(*systems(rng, documents, 1, shift=shift))[0]
    by_documents = np.std([draw(0.0) for _ in range(simulations)])
    slope = np.mean([draw(0.05) for _ in range(simulations)]) / 0.05
    return float(ratio * by_documents / slope / np.sqrt(2))


@repeated
def method_claims(rng, run_sd: float, documents: int, seeds: int) -> dict[str, bool]:
    """Whether two equal methods are called different, by what the claim rests on."""
    a, b = systems(rng, documents, seeds, run_sd=run_sd)
    d, pooled = differences(a, b), (counts.reshape(-1, 4) for counts in (a, b))
    return {
        "documents, one run each": rejected(a[0], b[0], rng),
        f"documents x {seeds} seeds pooled": rejected(*pooled, rng),
        f"{seeds} seeds, permutation": SEED_TESTS["permutation"](d).p <= ALPHA,
        f"{seeds} seeds, t": SEED_TESTS["t"](d).p <= ALPHA,
    }


@repeated
def coverage(rng, run_sd: float, method_sd: float, documents: int, seeds: int) -> dict[str, bool]:
    """Whether each 95 % interval holds the true difference, 0, with new documents and seeds."""
    a, b = systems(rng, documents, seeds, run_sd=run_sd, method_sd=method_sd)
    crossed = crossed_interval(a, b, F1, rng=rng, resamples=RESAMPLES)
    intervals = (paired_t_interval(differences(a, b)), crossed)
    return {interval.name: interval.low <= 0 <= interval.high for interval in intervals}


@repeated
def exclusions(rng, documents: int, seeds: int, **options) -> dict[str, bool]:
    """Which tests and intervals call two equal methods different."""
    a, b = systems(rng, documents, seeds, **options)
    d, crossed = differences(a, b), crossed_interval(a, b, F1, rng=rng, resamples=RESAMPLES)
    tests = {name: SEED_TESTS[name](d).p <= ALPHA for name in ("permutation", "t")}
    excludes = not crossed.low <= 0 <= crossed.high
    mark = excludes and SEED_TESTS["auto"](d).p <= ALPHA  # as in a table of one comparison
    return tests | {"crossed interval excludes 0": excludes, "both: the mark": mark}


@repeated
def dominance(rng, n: int) -> dict[str, bool]:
    """Whether almost stochastic order prefers a given one of two equal systems."""
    bound = almost_stochastic_order(rng.normal(size=n), rng.normal(size=n), rng=rng)
    return {f"eps_min <= {tau}": bound <= tau for tau in (0.2, 0.5)}


def tables(rng) -> dict[str, dict[str, Rates]]:
    """First heading -> row -> rates."""
    run_sds = {ratio: run_sd_for(ratio, 200, rng) for ratio in (0, 0.5, 0.85, 1, 1.5)}
    measures, of_counts = {"F1": F1, "Ign F1": IGN_F1}, {}
    shapes = {
        f"{shape}, n = {n}": seed_rejections(3_000, rng, shape, n)
        for shape in SHAPES
        for n in SEEDS
    }
    for n, name, gold in [(50, "F1", 8), (200, "F1", 8), (200, "Ign F1", 8), (200, "F1", 0.3)]:
        rates = document_rejections(2_000, rng, n, measures[name], gold=gold)
        of_counts[f"{name}, {n} documents, {gold} facts each"] = rates
    claims = {f"{ratio:g}": method_claims(1_000, rng, sd, 200, 10) for ratio, sd in run_sds.items()}
    covered = {
        f"{run_sd:g}, {n}": coverage(600, rng, run_sd, 0.15, 200, n)
        for run_sd in (0.0, 0.02, 0.04)
        for n in SEEDS
    }
    return {
        "differences": shapes,
        "counts": of_counts,
        "SD between runs / SD between test sets": claims,
        "SD of recall between runs, seeds": covered,
        "runs of each": {f"{n}": dominance(2_000, rng, n) for n in SEEDS},
    }


def ten_seeds(rng) -> dict[str, dict[str, Rates]]:
    """The tables of ten seeds on few documents, with and without an interaction."""
    settings = {
        "interaction": (0.15, [(0.02, 200), (0.02, 500), (0.04, 200), (0.04, 500)]),
        "no interaction": (0.0, [(0.04, 200), (0.08, 200)]),
    }
    return {
        f"{name}; SD of recall between runs, documents": {
            f"{run_sd:g}, {n}": exclusions(600, rng, n, 10, run_sd=run_sd, method_sd=method_sd)
            for run_sd, n in rows
        }
        for name, (method_sd, rows) in settings.items()
    }


if __name__ == "__main__":
    page = Path(__file__).with_suffix(".md")
    text = page.read_text(encoding="utf-8")
    first, second = (np.random.default_rng(seed) for seed in (20181128, 20181129))
    for heading, rows in (tables(first) | ten_seeds(second)).items():
        names = list(next(iter(rows.values())))
        lines = [f"| {heading} | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
        for row, found in rows.items():
            lines.append(f"| {row} | {' | '.join(f'{found[name]:.3f}' for name in names)} |")
        made = "\n".join(lines) + "\n"
        text, count = re.subn(
            rf"\| {re.escape(heading)} \|.*\n(\|.*\n)+", lambda _, made=made: made, text
        )
        assert count == 1, heading
    page.write_text(text, encoding="utf-8")
