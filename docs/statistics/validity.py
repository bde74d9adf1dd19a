"""How often each test of `benchmark.statistics` is wrong, and how often it finds what is there:
validity.md and its figures.

    python -m docs.statistics.validity [--out FOLDER] [--scale 1.0]

From the top of the repository; about five minutes on one core. The seed is fixed, so the files come
out the same. Needs matplotlib besides the project. `--scale .1` takes a tenth of the simulations.
`tests/statistics/test_validity.py` runs small versions of the same simulations with every change.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from benchmark.statistics.document_tests import approximate_randomisation, paired_bootstrap
from benchmark.statistics.effects import almost_stochastic_order, power_of_t
from benchmark.statistics.intervals import crossed_interval, document_interval, paired_t_interval
from benchmark.statistics.measures import MEASURES
from benchmark.statistics.tests import SEED_TESTS

ALPHA = 0.05
F1, IGN_F1 = MEASURES["f1"], MEASURES["ign_f1"]
SEEDS = (3, 5, 10)
METHOD_SD = 0.15  # of recall on single documents, by which two methods differ in all their runs
RESAMPLES = 999  # enough for an error rate: p is right to .007 at .05
DOCUMENT_TESTS = {
    "approximate randomisation": approximate_randomisation,
    "paired bootstrap": paired_bootstrap,
}

Draw = Callable[[np.random.Generator, int], np.ndarray]

# Differences between paired runs, mean 0. Skewed: the t-test's hypothesis (mean 0) holds, symmetry
# and median 0 do not.
SHAPES: dict[str, Draw] = {
    "normal": lambda rng, n: rng.normal(size=n),
    "skewed (lognormal, sigma .5)": lambda rng, n: rng.lognormal(0, 0.5, n) - np.exp(0.125),
    "heavy-tailed (t, 3 df)": lambda rng, n: rng.standard_t(3, n),
}


# --- simulations
# ------------------------------------------------------------------------------------------


def seed_rejections(
    draw: Draw,
    n: int,
    simulations: int,
    rng: np.random.Generator,
    shift: float = 0.0,
    tests: Iterable[str] = tuple(SEED_TESTS),
) -> dict[str, float]:
    """The share of simulations in which each test across seeds rejects at ALPHA."""
    hits = dict.fromkeys(tests, 0)
    for _ in range(simulations):
        differences = draw(rng, n) + shift
        for name in hits:
            hits[name] += SEED_TESTS[name](differences).p <= ALPHA
    return {name: count / simulations for name, count in hits.items()}


def systems(
    rng: np.random.Generator,
    documents: int,
    seeds: int,
    *,
    run_sd: float = 0.0,
    method_sd: float = 0.0,
    shift: float = 0.0,
    gold: float = 8.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Counts [seeds, documents, 4] of two systems on the same documents, which do not differ in
    expectation unless shifted.

    run_sd: how much the recall varies from training run to training run; method_sd: how much a
        method's recall on a document,
    the same for all its runs, deviates from its average; shift: added to the recall of A; gold:
    facts per document.
    """
    facts, difficulty = rng.poisson(gold, documents), rng.normal(0, 0.1, documents)
    both = []
    for added in (shift, 0.0):
        recall = (
            0.5
            + added
            + difficulty
            + rng.normal(0, method_sd, documents)
            + rng.normal(0, run_sd, (seeds, 1))
        )
        tp = rng.binomial(facts, np.clip(recall, 0.01, 0.99))
        wrong, seen = rng.poisson(0.4 * gold, tp.shape), rng.binomial(tp, 0.3)
        both.append(np.stack([tp, tp + wrong, np.broadcast_to(facts, tp.shape), seen], axis=-1))
    return both[0], both[1]


def document_rejections(
    documents: int, simulations: int, rng: np.random.Generator, measure=F1, **options: float
) -> dict[str, float]:
    """The share of simulations in which each test across documents rejects at ALPHA, for one run of
    each system.
    """
    hits = dict.fromkeys(DOCUMENT_TESTS, 0)
    for _ in range(simulations):
        a, b = systems(rng, documents, 1, **options)
        for name, test in DOCUMENT_TESTS.items():
            p = test(a[0], b[0], measure, rng=rng, resamples=RESAMPLES).p
            hits[name] += p is not None and p <= ALPHA
    return {name: count / simulations for name, count in hits.items()}


def run_sd_for(
    ratio: float, documents: int, rng: np.random.Generator, simulations: int = 2_000
) -> float:
    """The run_sd at which the F1 difference of two runs varies `ratio` times as much between runs
    as between test sets.
    """
    f1 = lambda counts: F1(counts.sum(axis=1))[0]
    by_documents = np.std(
        [np.subtract(*map(f1, systems(rng, documents, 1))) for _ in range(simulations)]
    )
    slope = (
        np.mean(
            [
                np.subtract(*map(f1, systems(rng, documents, 1, shift=0.05)))
                for _ in range(simulations)
            ]
        )
        / 0.05
    )
    return float(ratio * by_documents / slope / np.sqrt(2))


def method_claims(
    run_sd: float, documents: int, seeds: int, simulations: int, rng: np.random.Generator
) -> dict[str, float]:
    """How often two methods without a difference are called different, by what the claim rests
    on.
    """
    hits: dict[str, int] = {}
    for _ in range(simulations):
        a, b = systems(rng, documents, seeds, run_sd=run_sd)
        differences = F1(a.sum(axis=1)) - F1(b.sum(axis=1))
        pooled = [counts.reshape(-1, 4) for counts in (a, b)]
        rejected = {
            "documents, one run each": approximate_randomisation(
                a[0], b[0], F1, rng=rng, resamples=RESAMPLES
            ).p
            <= ALPHA,
            f"documents x {seeds} seeds pooled": approximate_randomisation(
                *pooled, F1, rng=rng, resamples=RESAMPLES
            ).p
            <= ALPHA,
            f"{seeds} seeds, permutation": SEED_TESTS["permutation"](differences).p <= ALPHA,
            f"{seeds} seeds, t": SEED_TESTS["t"](differences).p <= ALPHA,
        }
        for name, hit in rejected.items():
            hits[name] = hits.get(name, 0) + hit
    return {name: count / simulations for name, count in hits.items()}


def coverage(
    run_sd: float,
    method_sd: float,
    documents: int,
    seeds: int,
    simulations: int,
    rng: np.random.Generator,
) -> dict[str, float]:
    """How often each 95 % interval holds the true difference, 0, where both documents and seeds are
    a sample.
    """
    inside: dict[str, int] = {}
    for _ in range(simulations):
        a, b = systems(rng, documents, seeds, run_sd=run_sd, method_sd=method_sd)
        intervals = (
            paired_t_interval(F1(a.sum(axis=1)) - F1(b.sum(axis=1))),
            document_interval(a, b, F1, rng=rng, resamples=RESAMPLES),
            crossed_interval(a, b, F1, rng=rng, resamples=RESAMPLES),
        )
        for interval in intervals:
            inside[interval.name] = inside.get(interval.name, 0) + (
                interval.low <= 0 <= interval.high
            )
    return {name: count / simulations for name, count in inside.items()}


def spread(
    run_sd: float, method_sd: float, documents: int, simulations: int, rng: np.random.Generator
) -> str:
    """How much the F1 difference varies between seeds and, its mean over all seeds, between test
    sets: "1.5, 1.2" points.
    """
    f1 = lambda counts: F1(counts.sum(axis=1))
    drawn = [
        systems(rng, documents, 10, run_sd=run_sd, method_sd=method_sd) for _ in range(simulations)
    ]
    differences = 100 * np.array([f1(a) - f1(b) for a, b in drawn])  # [simulations, 10]
    between_seeds = differences.var(axis=1, ddof=1).mean()
    between_test_sets = differences.mean(axis=1).var() - between_seeds / 10
    return f"{np.sqrt(between_seeds):.1f}, {np.sqrt(between_test_sets):.1f}"


def dominance(n: int, simulations: int, rng: np.random.Generator) -> dict[str, float]:
    """How often almost stochastic order declares one of two equal systems the better one, by
    threshold.
    """
    bounds = np.array(
        [
            almost_stochastic_order(rng.normal(size=n), rng.normal(size=n), rng=rng).eps_min
            for _ in range(simulations)
        ]
    )
    return {f"eps_min <= {tau}": float((bounds <= tau).mean()) for tau in (0.2, 0.5)}


# --- report
# ------------------------------------------------------------------------------------------


def table(heading: str, rows: Iterable[tuple[str, dict[str, float]]]) -> str:
    """A Markdown table of rates; `heading` names the first column."""
    rows = list(rows)
    columns = list(rows[0][1])
    lines = [f"| {heading} | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    lines += [
        f"| {name} | {' | '.join(f'{rates[column]:.3f}' for column in columns)} |"
        for name, rates in rows
    ]
    return "\n".join(lines)


def standard_error(rate: float, simulations: int) -> str:
    return f"{np.sqrt(rate * (1 - rate) / simulations):.3f}"


def power_across_seeds(folder: Path, simulations: int, rng: np.random.Generator) -> str:
    """Draws power_seeds.svg and returns its numbers."""
    effects = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
    rates = {
        n: [seed_rejections(SHAPES["normal"], n, simulations, rng, effect) for effect in effects]
        for n in SEEDS
    }
    figure, panels = _figure(len(SEEDS))
    for panel, n in zip(panels, SEEDS, strict=True):
        fine = np.linspace(0, effects[-1], 60)
        panel.plot(
            fine,
            [power_of_t(n, effect) for effect in fine],
            color="0.6",
            linewidth=3,
            label="t, exact",
        )
        for name, marker in zip(SEED_TESTS, "osv^x", strict=True):
            panel.plot(
                effects,
                [rate[name] for rate in rates[n]],
                marker=marker,
                markersize=5,
                linewidth=1,
                label=name,
            )
        panel.set(
            title=f"{n} seeds", xlabel="true difference / SD of the differences", ylim=(-0.02, 1.02)
        )
    panels[0].set_ylabel(f"share rejected at {ALPHA}")
    panels[-1].legend(frameon=False, fontsize=8)
    _save(figure, folder / "power_seeds.svg")
    return table(
        "seeds, difference / SD",
        ((f"{n}, {e}", r) for n in SEEDS for e, r in zip(effects, rates[n], strict=True)),
    )


def power_across_documents(folder: Path, simulations: int, rng: np.random.Generator) -> str:
    """Draws power_documents.svg and returns its numbers."""
    sizes, shifts = (100, 300, 1_000), (0.0, 0.02, 0.04, 0.06)
    truth = [_true_difference(shift, np.random.default_rng(0)) for shift in shifts]
    rates = {
        size: [document_rejections(size, simulations, rng, shift=shift) for shift in shifts]
        for size in sizes
    }
    figure, panels = _figure(len(sizes))
    for panel, size in zip(panels, sizes, strict=True):
        for name, marker in zip(DOCUMENT_TESTS, "os", strict=True):
            panel.plot(
                truth,
                [rate[name] for rate in rates[size]],
                marker=marker,
                markersize=5,
                linewidth=1,
                label=name,
            )
        panel.set(
            title=f"{size:,} documents", xlabel="true difference, points of F1", ylim=(-0.02, 1.02)
        )
    panels[0].set_ylabel(f"share rejected at {ALPHA}")
    panels[0].legend(frameon=False, fontsize=8)
    _save(figure, folder / "power_documents.svg")
    rows = (
        (f"{size:,}, {t:.1f}", r) for size in sizes for t, r in zip(truth, rates[size], strict=True)
    )
    return table("documents, points of F1", rows)


def _true_difference(shift: float, rng: np.random.Generator) -> float:
    a, b = systems(rng, 100_000, 1, shift=shift)
    return float(100 * (F1(a.sum(axis=1)) - F1(b.sum(axis=1)))[0]) if shift else 0.0


def _figure(panels: int):
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams |= {
        "svg.hashsalt": "validity",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
    }
    matplotlib.rcParams |= {"grid.color": "0.9", "font.size": 9}
    from matplotlib import pyplot

    return pyplot.subplots(1, panels, figsize=(9.5, 3.2), sharey=True, layout="constrained")


def _save(figure, path: Path) -> None:
    figure.patch.set_facecolor("white")  # readable on a dark page
    figure.savefig(path, metadata={"Date": None})


def report(folder: Path, scale: float = 1.0) -> None:
    """Run all simulations and write validity.md, power_seeds.svg and power_documents.svg to
    `folder`.
    """
    number = lambda simulations: max(2, int(simulations * scale))
    rng, start = np.random.default_rng(20181128), time.perf_counter()

    def part(title: str) -> None:
        print(f"{time.perf_counter() - start:5.0f} s  {title}", flush=True)

    part("tests across seeds")
    n_seed = number(3_000)
    seed_rows = [
        (f"{shape}, n = {n}", seed_rejections(draw, n, n_seed, rng))
        for shape, draw in SHAPES.items()
        for n in SEEDS
    ]
    part("tests across documents")
    n_document = number(2_000)
    document_rows: Sequence[tuple[str, dict[str, float]]] = [
        (
            f"{name}, {size} documents, {gold:g} facts each",
            document_rejections(size, n_document, rng, measure, gold=gold),
        )
        for name, measure, size, gold in (
            ("F1", F1, 50, 8),
            ("F1", F1, 200, 8),
            ("Ign F1", IGN_F1, 200, 8),
            ("F1", F1, 200, 0.3),
        )
    ]
    part("claims about methods")
    n_claim = number(1_000)
    claim_rows = []
    for ratio in (0.0, 0.5, 0.85, 1.0, 1.5):
        run_sd = run_sd_for(ratio, 200, rng, number(2_000))
        claim_rows.append((f"{ratio:g}", method_claims(run_sd, 200, 10, n_claim, rng)))
    part("coverage")
    n_coverage = number(600)
    coverage_rows = []
    for run_sd in (0.0, 0.02, 0.04):
        setting = spread(run_sd, METHOD_SD, 200, number(500), rng)
        coverage_rows += [
            (f"{setting}, {n}", coverage(run_sd, METHOD_SD, 200, n, n_coverage, rng)) for n in SEEDS
        ]
    part("almost stochastic order")
    n_order = number(2_000)
    order_rows = [(f"{n}", dominance(n, n_order, rng)) for n in SEEDS]
    part("power across seeds")
    n_power = number(500)
    seed_power = power_across_seeds(folder, n_power, rng)
    part("power across documents")
    n_document_power = number(300)
    document_power = power_across_documents(folder, n_document_power, rng)
    text = TEXT.format(
        seed_errors=table("differences", seed_rows),
        n_seed=f"{n_seed:,}",
        se_seed=standard_error(ALPHA, n_seed),
        document_errors=table("counts", document_rows),
        n_document=f"{n_document:,}",
        se_document=standard_error(ALPHA, n_document),
        claims=table("SD between runs / SD between test sets", claim_rows),
        n_claim=f"{n_claim:,}",
        se_claim=standard_error(ALPHA, n_claim),
        coverage=table("SD between seeds, SD between test sets, seeds", coverage_rows),
        n_coverage=f"{n_coverage:,}",
        se_coverage=standard_error(ALPHA, n_coverage),
        order=table("runs of each", order_rows),
        n_order=f"{n_order:,}",
        seed_power=seed_power,
        n_power=f"{n_power:,}",
        document_power=document_power,
        n_document_power=f"{n_document_power:,}",
    )
    (folder / "validity.md").write_text(text, encoding="utf-8")
    part("done")


TEXT = """# Are the tests right?

Written by `python -m docs.statistics.validity`: simulations in which the truth is known, run through the functions of
`benchmark/statistics`, all two-sided at level .05. A valid test rejects in at most .05 of the cases without a difference.

## Across seeds

Paired differences of mean 0; {n_seed} simulations per row (a rate of .05 has a standard error of {se_seed}).

{seed_errors}

- With 3 seeds no exact test can reject at .05 (its smallest p is .25), with 5 none can either (.0625): a rate of 0 is no
  virtue.
- Permutation, Wilcoxon and sign test assume differences that are symmetric around 0. Runs that are exchangeable under the
  hypothesis have such differences, whatever the distribution of the scores; the skewed rows show what an asymmetric
  difference does, to the t-test as well. The sign test is about the median, which is not 0 there.
- `auto` looks at the data twice. Where the t-test and the permutation test hold their level, so does the choice between them.

## Across documents

Two trained models that do not differ in expectation, on the same documents, {resamples} resamples; {n_document} simulations
per row (standard error {se_document}).

{document_errors}

The last row is what LTail F1 of a small dataset looks like: some 60 gold facts in all.

## A document-level test read as a claim about the method

Two methods without a difference, 200 documents, 10 runs each. Every run's true score deviates from its method's. How often
the methods are called different, by how much runs vary against test sets; {n_claim} simulations per row (standard error
{se_claim} at .05).

{claims}

The test across documents is right about the two trained models, which do differ; it is wrong about the methods, and pooling
the seeds as if they were more documents makes it no better. Tests across seeds hold their level.

## Coverage of the intervals

The target is the difference of two methods on new documents and with new seeds, truly 0. Methods differ on single documents
in the same way in all their runs; 200 documents; the spreads are in points of F1; {n_coverage} simulations per row (standard
error {se_coverage} at .95).

{coverage}

The t interval across seeds takes the documents as given and promises too much; the one over documents takes the runs as
given. The crossed bootstrap allows for both and errs on the safe side with ten seeds. With three, no bootstrap can see how
much seeds vary.

## Almost stochastic order

Two equal systems with normal scores: how often one given of them is declared the better one. {n_order} simulations per row.

{order}

eps_min is not a p-value: at the threshold .5, which its definition suggests, it is far too generous for so few runs; hence
tau = .2, which is still generous with three.

## Power

Tests across seeds, normal differences, {n_power} simulations per point:

![Power of the tests across seeds](power_seeds.svg)

{seed_power}

Tests across documents, about 8 facts per document, {n_document_power} simulations per point:

![Power of the tests across documents](power_documents.svg)

{document_power}
""".replace("{resamples}", str(RESAMPLES))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent, help="folder of the files written"
    )
    parser.add_argument("--scale", type=float, default=1.0, help="share of the simulations to run")
    options = parser.parse_args()
    report(options.out, options.scale)
