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


def rates(simulations: int, simulate: Callable[[], dict[str, bool]]) -> Rates:
    """The share of simulations in which each outcome is true."""
    outcomes = [simulate() for _ in range(simulations)]
    return {name: float(np.mean([found[name] for found in outcomes])) for name in outcomes[0]}


def rejected(a: np.ndarray, b: np.ndarray, rng: np.random.Generator, measure=F1) -> bool:
    (result,) = approximate_randomisation(a[None], b[None], measure, rng=rng, resamples=RESAMPLES)
    return result.p is not None and result.p <= ALPHA


def seed_rejections(shape: str, n: int, simulations: int, rng, shift: float = 0.0) -> Rates:
    """How often each test across seeds rejects."""

    def simulate() -> dict[str, bool]:
        differences = SHAPES[shape](rng, n) + shift
        return {name: test(differences).p <= ALPHA for name, test in SEED_TESTS.items()}

    return rates(simulations, simulate)


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


def document_rejections(documents: int, simulations: int, rng, measure=F1, **options) -> Rates:
    """How often the test across documents rejects, for one run of each system."""

    def simulate() -> dict[str, bool]:
        a, b = systems(rng, documents, 1, **options)
        return {"approximate randomisation": rejected(a[0], b[0], rng, measure)}

    return rates(simulations, simulate)


def differences(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return F1(a.sum(axis=1)) - F1(b.sum(axis=1))


def run_sd_for(ratio: float, documents: int, rng, simulations: int = 2_000) -> float:
    """The run_sd at which F1 differences vary `ratio` times as much by run as by test set."""
    draw = lambda shift: differences(*systems(rng, documents, 1, shift=shift))[0]
    by_documents = np.std([draw(0.0) for _ in range(simulations)])
    slope = np.mean([draw(0.05) for _ in range(simulations)]) / 0.05
    return float(ratio * by_documents / slope / np.sqrt(2))


def method_claims(run_sd: float, documents: int, seeds: int, simulations: int, rng) -> Rates:
    """How often two equal methods are called different, by what the claim rests on."""

    def simulate() -> dict[str, bool]:
        a, b = systems(rng, documents, seeds, run_sd=run_sd)
        d, pooled = differences(a, b), (counts.reshape(-1, 4) for counts in (a, b))
        return {
            "documents, one run each": rejected(a[0], b[0], rng),
            f"documents x {seeds} seeds pooled": rejected(*pooled, rng),
            f"{seeds} seeds, permutation": SEED_TESTS["permutation"](d).p <= ALPHA,
            f"{seeds} seeds, t": SEED_TESTS["t"](d).p <= ALPHA,
        }

    return rates(simulations, simulate)


def coverage(run_sd: float, method_sd: float, n: int, seeds: int, simulations: int, rng) -> Rates:
    """How often each 95 % interval holds the true difference, 0, with n new documents and seeds."""

    def simulate() -> dict[str, bool]:
        a, b = systems(rng, n, seeds, run_sd=run_sd, method_sd=method_sd)
        crossed = crossed_interval(a, b, F1, rng=rng, resamples=RESAMPLES)
        intervals = (paired_t_interval(differences(a, b)), crossed)
        return {interval.name: interval.low <= 0 <= interval.high for interval in intervals}

    return rates(simulations, simulate)


def dominance(n: int, simulations: int, rng) -> Rates:
    """How often almost stochastic order prefers a given one of two equal systems."""

    def simulate() -> dict[str, bool]:
        bound = almost_stochastic_order(rng.normal(size=n), rng.normal(size=n), rng=rng)
        return {f"eps_min <= {tau}": bound <= tau for tau in (0.2, 0.5)}

    return rates(simulations, simulate)


def tables(rng) -> dict[str, dict[str, Rates]]:
    """First heading -> row -> rates."""
    run_sds = {ratio: run_sd_for(ratio, 200, rng) for ratio in (0, 0.5, 0.85, 1, 1.5)}
    counts = [(50, "F1", 8), (200, "F1", 8), (200, "Ign F1", 8), (200, "F1", 0.3)]
    return {
        "differences": {
            f"{shape}, n = {n}": seed_rejections(shape, n, 3_000, rng)
            for shape in SHAPES
            for n in SEEDS
        },
        "counts": {
            f"{name}, {n} documents, {gold} facts each": document_rejections(
                n, 2_000, rng, {"F1": F1, "Ign F1": IGN_F1}[name], gold=gold
            )
            for n, name, gold in counts
        },
        "SD between runs / SD between test sets": {
            f"{ratio:g}": method_claims(sd, 200, 10, 1_000, rng) for ratio, sd in run_sds.items()
        },
        "SD of recall between runs, seeds": {
            f"{run_sd:g}, {n}": coverage(run_sd, 0.15, 200, n, 600, rng)
            for run_sd in (0.0, 0.02, 0.04)
            for n in SEEDS
        },
        "runs of each": {f"{n}": dominance(n, 2_000, rng) for n in SEEDS},
    }


if __name__ == "__main__":
    page = Path(__file__).with_suffix(".md")
    text = page.read_text(encoding="utf-8")
    for heading, rows in tables(np.random.default_rng(20181128)).items():
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
