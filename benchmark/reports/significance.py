"""Is an augmenter's difference to `none` real? Tests and intervals of the comparisons that an
experiment declares.

Two families are declared beforehand, every backbone x augmenter of the experiment against `none` of
the same backbone, paired by
seed: on test F1 (confirmatory) and on test LTail F1. Each is corrected by Holm for itself; a
    comparison that cannot be made counts.
The p is one across seeds, a claim about the method (`auto` of benchmark/statistics/tests.py), and
the interval is over seeds and documents. Whatever else a table shows is unmarked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from benchmark.reports.evidence import SEED, Evidence
from benchmark.reports.tables import (
    BASELINE,
    CALIBRATED,
    MISSING,
    Cell,
    Column,
    Expected,
    Row,
    Table,
    score_cell,
)
from benchmark.statistics.advice import detectable_difference, too_few_seeds
from benchmark.statistics.comparison import ALPHA, NAMES
from benchmark.statistics.corrections import holm
from benchmark.statistics.effects import cohens_dz, smallest_p
from benchmark.statistics.results import Interval, Result
from benchmark.statistics.tests import SEED_TESTS
from benchmark.store.runs import StoredRun

MARK = "*"
PLAIN = {  # measure -> the difference that is tested, and the key of the cell that gets the mark
    "f1": (
        Column("test.f1.difference", "Δ", "test F1", ("test", "f1"), difference=True),
        "test.f1.difference",
    ),
    "ltail_f1": (
        Column(
            "test.ltail_f1.difference", "Δ", "test LTail F1", ("test", "ltail_f1"), difference=True
        ),
        "test.ltail_f1",
    ),
}
FURTHER = {  # the same of what tells learning from calibration
    measure: (replace(column, label="Δ", heading=NAMES[measure]), column.key)
    for column in CALIBRATED
    if column.difference and (measure := column.key.removesuffix(".difference"))
}
FAMILIES = PLAIN | FURTHER


@dataclass(frozen=True)
class Contrast:
    """One augmenter against `none` on one measure.

    difference: in points by seed, or why there is none. interval: of their mean, a fraction; None
        without counts per document.
    test: across seeds; None with fewer than two. adjusted: its p after Holm. effect: Cohen's d_z,
        None where it is undefined.
    """

    backbone: str
    augmenter: str
    difference: Cell
    interval: Interval | None = None
    test: Result | None = None
    adjusted: float | None = None
    effect: float | None = None

    @property
    def name(self) -> str:
        return f"{self.backbone}/{self.augmenter}"

    @property
    def significant(self) -> bool:
        """Whether Holm's p is small enough and the interval over seeds and documents, where there
        is one, excludes 0.
        """
        if self.adjusted is None or self.adjusted > ALPHA:
            return False
        interval = self.interval
        return interval is None or interval.low is None or not interval.low <= 0 <= interval.high


@dataclass(frozen=True)
class Significance:
    """The families by measure: (backbone, augmenter) -> its comparison. problems:
    "backbone/augmenter (seed)" -> why there are no counts of this run.
    """

    families: Mapping[str, Mapping[tuple[str, str], Contrast]]
    problems: Mapping[str, str]

    def __bool__(self) -> bool:
        return any(self.families.values())

    def contrasts(self) -> Iterator[tuple[str, Contrast]]:
        """(measure, comparison) of all families."""
        return (
            (measure, contrast)
            for measure, family in self.families.items()
            for contrast in family.values()
        )

    @property
    def intervals(self) -> dict[tuple[str, str], Interval]:
        """Of the differences in test F1."""
        return {
            cell: contrast.interval
            for cell, contrast in self.first.items()
            if contrast.interval is not None
        }

    @property
    def first(self) -> Mapping[tuple[str, str], Contrast]:
        """The first family, of F1."""
        return next(iter(self.families.values()))

    @property
    def size(self) -> int:
        """Comparisons of a family."""
        return len(self.first)


def significance(
    runs: Iterable[StoredRun],
    expected: Expected,
    evidence: Evidence,
    measures: Mapping[str, tuple[Column, str]] = PLAIN,
) -> Significance:
    """All declared comparisons of one experiment on one dataset.

    Args:
        runs: its finished runs.
        expected: the cells and seeds that it asks for; a run that is not asked for takes no part.
        evidence: of these runs, and of any others on the same documents.
        measures: PLAIN, or FURTHER, whose families are corrected each for itself as well.

    Raises:
        UserError: a run does not hold a score, see `score_cell`.
    """
    runs = list(runs)
    found = {
        cell: {run.seed: run for run in _of(runs, cell) if run.seed in set(seeds)}
        for cell, seeds in expected.items()
    }
    cells = [cell for cell in expected if cell[1] != BASELINE]
    families = {}
    for measure, (column, _) in measures.items():
        contrasts = [
            _contrast(
                cell, found[cell], found.get((cell[0], BASELINE), {}), measure, column, evidence
            )
            for cell in cells
        ]
        adjusted = holm([contrast.test.p if contrast.test else None for contrast in contrasts])
        pairs = zip(cells, contrasts, adjusted, strict=True)
        families[measure] = {cell: replace(contrast, adjusted=p) for cell, contrast, p in pairs}
    problems = {
        f"{run.backbone}/{run.augmenter} (seed {run.seed})": evidence.problems.get(run.path)
        for run in runs
    }
    return Significance(families, {name: problem for name, problem in problems.items() if problem})


def marked(table: Table, found: Significance) -> Table:
    """The ablation table with `*` beside what is significant after Holm, and in its notes what that
    means, or why there is none.

    A table without differences (`detail`) and an experiment without augmenters stay as they are.
    """
    places = {FAMILIES[measure][1]: measure for measure in found.families}
    if not found or not any(column.difference for column in table.columns):
        return table
    rows = []
    for row in table.rows:
        cells = [
            replace(cell, mark=MARK + cell.mark)
            if (measure := places.get(column.key)) and _significant(found, measure, row)
            else cell
            for column, cell in zip(table.columns, row.cells, strict=True)
        ]
        rows.append(replace(row, cells=tuple(cells)))
    return replace(
        table,
        rows=tuple(rows),
        notes=(*table.notes, *_meaning(found), *warnings(found), *_untested(found)),
    )


def warnings(found: Significance) -> list[str]:
    """What must be known before significance, or its absence, is believed. Nothing where nothing
    was tested.
    """
    sentences = _too_few(found)
    several = [
        contrast.difference for contrast in found.first.values() if contrast.difference.n > 1
    ]
    if (
        several
        and not sentences
        and (spread := median(difference.sd for difference in several)) > 0
    ):
        detectable = detectable_difference(
            min(difference.n for difference in several), spread, found.size
        )
        sentences.append(f"Test F1, at the median spread of the comparisons: {detectable}")
    return sentences


def _of(runs: Iterable[StoredRun], cell: tuple[str, str]) -> list[StoredRun]:
    return sorted(
        (run for run in runs if (run.backbone, run.augmenter) == cell), key=lambda run: run.seed
    )


def _contrast(
    cell: tuple[str, str],
    runs: Mapping[int, StoredRun],
    baseline: Mapping[int, StoredRun],
    measure: str,
    column: Column,
    evidence: Evidence,
) -> Contrast:
    difference = score_cell(column, cell[1], runs, baseline)
    if not difference.values:
        return Contrast(*cell, difference)
    interval = evidence.interval(
        [(runs[seed], baseline[seed]) for seed in difference.values], measure
    )
    if difference.n < 2:
        return Contrast(*cell, difference, interval)
    values = np.array(list(difference.values.values()))
    test = SEED_TESTS["auto"](values, rng=np.random.default_rng([SEED, len(values)]))
    return Contrast(*cell, difference, interval, test, effect=cohens_dz(values))


def _significant(found: Significance, measure: str, row: Row) -> bool:
    contrast = found.families[measure].get((row.group, row.label))
    return contrast is not None and contrast.significant


def _meaning(found: Significance) -> Iterator[str]:
    if all(contrast.test is None for _, contrast in found.contrasts()):
        if any(contrast.difference.values for _, contrast in found.contrasts()):
            reason = too_few_seeds(1, found.size, test="t")
            yield f"No difference is marked as significant. {reason}"
        return
    how = (
        f"two-sided test across paired seeds, Holm over all {found.size} comparisons of the "
        "experiment on this dataset"
    )
    how = how if found.size > 1 else "two-sided test across paired seeds"
    if any(contrast.significant for _, contrast in found.contrasts()):
        yield (
            f"`{MARK}`: significantly different from `{BASELINE}`, for better or worse: p at most "
            f"{ALPHA} ({how}), and the interval over seeds and documents, where there is one, "
            "excludes 0. Each score is a family of its own. The p speaks of new seeds on these "
            "documents, the interval of new seeds and new documents."
        )
    else:
        measures = dict.fromkeys(
            NAMES[measure] for measure, contrast in found.contrasts() if contrast.test is not None
        )
        yield (
            f"No difference to `{BASELINE}` in test {' or '.join(measures)} is significant at "
            f"{ALPHA} ({how})."
        )


def _untested(found: Significance) -> Iterator[str]:
    names = [
        contrast.name for contrast in found.first.values() if contrast.difference.absent == MISSING
    ]
    if names and any(contrast.test for _, contrast in found.contrasts()):
        yield (
            f"Comparisons without a common seed with `{BASELINE}`: {len(names)}. They have no p, "
            "but count in the correction."
        )


def _too_few(found: Significance) -> list[str]:
    """Once: the tests that could not have passed Holm's first threshold, whatever the
    difference.
    """
    tested = [
        (measure, contrast) for measure, contrast in found.contrasts() if contrast.test is not None
    ]
    hopeless = [item for item in tested if _hopeless(item[1], found.size)]
    if not hopeless:
        return []
    sentence = too_few_seeds(
        min(contrast.difference.n for _, contrast in hopeless), found.size, test="permutation"
    )
    if len(hopeless) == len(tested):
        return [sentence]
    names = ", ".join(
        dict.fromkeys(f"{contrast.name} ({NAMES[measure]})" for measure, contrast in hopeless)
    )
    return [f"Where the permutation test was taken ({names}): {sentence}"]


def _hopeless(contrast: Contrast, comparisons: int) -> bool:
    return (
        "permutation" in contrast.test.name
        and smallest_p("permutation", contrast.difference.n) > ALPHA / comparisons
    )
