"""The table "difference to none": per backbone and augmenter the difference, its interval, p before
and after Holm, effect size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from benchmark.reports.significance import FAMILIES, MARK, Contrast, Significance, warnings
from benchmark.reports.tables import (
    BASELINE,
    UNDEFINED,
    Cell,
    Column,
    Expected,
    Row,
    StatedCell,
    Table,
    coverage_notes,
)
from benchmark.statistics.advice import DOCUMENT_LEVEL, too_few_seeds
from benchmark.statistics.comparison import ALPHA, NAMES
from benchmark.store.runs import StoredRun

_LEAST_P = 0.0001  # a smaller one is shown as "< 0.0001"


def difference_table(
    runs: Sequence[StoredRun], expected: Expected, found: Significance, *, resamples: int
) -> Table:
    """The comparisons of one experiment on one dataset as a table; the seeds column has those that
    were paired.

    Args:
        runs: its finished runs. expected: the cells and seeds that it asks for. found:
            `significance` of both.
        resamples: of the intervals, for the caption.
    """
    shown = {  # an undefined score (no frequent relations) is no family that anybody could look at
        measure: family
        for measure, family in found.families.items()
        if family is found.first
        or any(contrast.difference.absent != UNDEFINED for contrast in family.values())
    }
    columns = tuple(column for measure in shown for column in _columns(measure))
    rows = []
    for (backbone, augmenter), first in found.first.items():
        contrasts = [family[backbone, augmenter] for family in shown.values()]
        cells = tuple(cell for contrast in contrasts for cell in _cells(contrast))
        seeds = tuple(
            seed
            for seed in expected[backbone, augmenter]
            if seed in _paired(runs, backbone, augmenter)
        )
        rows.append(
            Row(first.backbone, first.augmenter, cells, seeds, tuple(expected[backbone, augmenter]))
        )
    title = (
        ": ".join(filter(None, (runs[0].experiment, runs[0].dataset)))
        + f", difference to {BASELINE}"
        + ("" if "f1" in found.families else ", calibrated")
    )
    notes = (*_notes(replace(found, families=shown), runs, resamples), *coverage_notes(rows))
    return Table(title, notes, "Backbone", "Augmenter", columns, tuple(rows))


def _columns(measure: str) -> list[Column]:
    difference, _ = FAMILIES[measure]
    of = lambda name, label, **options: Column(
        f"{difference.key}.{name}", label, difference.heading, (), **options
    )
    return [
        difference,
        of("low", "low", difference=True),
        of("high", "high", difference=True),
        of("p", "p", decimals=4, least=_LEAST_P),
        of("p_holm", "p (Holm)", decimals=4, least=_LEAST_P),
        of("d_z", "d_z", difference=True),
    ]


def _cells(contrast: Contrast) -> list[Cell]:
    interval, test = contrast.interval, contrast.test
    low, high = (interval.low, interval.high) if interval is not None else (None, None)
    numbers = [
        low and 100 * low,
        high and 100 * high,
        test and test.p,
        contrast.adjusted,
        contrast.effect,
    ]
    if contrast.difference.absent:
        return [contrast.difference] + [replace(contrast.difference)] * len(numbers)
    n = contrast.difference.n
    stated = [
        StatedCell(number=number, over=n) if number is not None else StatedCell(absent=UNDEFINED)
        for number in numbers
    ]
    return [replace(contrast.difference, mark=MARK if contrast.significant else ""), *stated]


def _paired(runs: Sequence[StoredRun], backbone: str, augmenter: str) -> set[int]:
    of, none = (
        {run.seed for run in runs if (run.backbone, run.augmenter) == (backbone, name)}
        for name in (augmenter, BASELINE)
    )
    return of & none


def _notes(found: Significance, runs: Sequence[StoredRun], resamples: int) -> Iterator[str]:
    contrasts = [contrast for _, contrast in found.contrasts()]
    several, intervals = (
        any(c.difference.n > 1 for c in contrasts),
        [c.interval for c in contrasts if c.interval is not None],
    )
    spread = ": mean ± standard deviation of the pairs (n - 1)" if several else ""
    yield f"Augmenter minus `{BASELINE}` with the same backbone and seed, in points{spread}."
    if intervals:
        names, first = (
            " or ".join(dict.fromkeys(interval.name for interval in intervals)),
            intervals[0],
        )
        yield (
            f"low, high: {first.level:.0%} interval, {names} ({resamples:,} resamples of "
            f"{first.documents} documents)."
        )
    yield from _tests(found)
    yield from _interval_warnings(found)
    if any(interval.seeds == 1 for interval in intervals):
        yield DOCUMENT_LEVEL
    yield from warnings(found)
    yield from without_counts(found, len(runs))
    if any(cell.absent == UNDEFINED for contrast in contrasts for cell in _cells(contrast)):
        yield "n/a: cannot be had, see above."


def without_counts(found: Significance, runs: int) -> Iterator[str]:
    """For want of which counts per document there are no intervals."""
    reasons: dict[str, list[str]] = {}
    for name, problem in found.problems.items():
        reasons.setdefault(problem, []).append(name)
    for reason, names in reasons.items():
        which = "any run" if len(names) == runs else ", ".join(names)
        yield f"No intervals with {which}: {reason}."


def _tests(found: Significance) -> Iterator[str]:
    """Which tests were taken and why, and what they are corrected for."""
    taken: dict[str, list[str]] = {}
    for measure, contrast in found.contrasts():
        if contrast.test is not None:
            taken.setdefault(contrast.test.name, []).append(f"{contrast.name} {NAMES[measure]}")
    if not taken:
        if any(contrast.difference.values for _, contrast in found.contrasts()):
            yield too_few_seeds(1, found.size, test="t")
        return
    which = (
        "; ".join(f"{name}: {', '.join(names)}" for name, names in taken.items())
        if len(taken) > 1
        else next(iter(taken))
    )
    yield (
        "p: two-sided, across the paired seeds; the paired t-test where Shapiro-Wilk does not "
        "reject that the differences are "
        "normal (weak evidence with so few), else, or where it cannot tell, the sign-flip "
        "permutation test (Dror et al. 2018). "
        f"Taken here: {which}."
    )
    confirmatory = " That on test F1 is the confirmatory one." if "f1" in found.families else ""
    yield (
        f"p (Holm): corrected over the {found.size} comparisons of the experiment, each score as a "
        f"family of its own.{confirmatory} d_z: mean / standard deviation of the pairs."
    )
    if any(contrast.significant for _, contrast in found.contrasts()):
        yield (
            f"`{MARK}`: p (Holm) at most {ALPHA}, and the interval, where there is one, excludes 0."
        )


def _interval_warnings(found: Significance) -> Iterator[str]:
    said: dict[str, list[str]] = {}
    for measure, contrast in found.contrasts():
        for warning in contrast.interval.warnings if contrast.interval is not None else ():
            said.setdefault(warning, []).append(f"{contrast.name} {NAMES[measure]}")
    total = sum(contrast.interval is not None for _, contrast in found.contrasts())
    for warning, names in said.items():
        yield f"Intervals{'' if len(names) == total else ' of ' + ', '.join(names)}: {warning}."
