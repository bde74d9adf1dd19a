"""Is an augmenter's difference to `none` real? The declared comparisons of an experiment.

Two families are declared beforehand: every backbone x augmenter of the experiment against `none` of
the same backbone, paired by seed, on test F1 (confirmatory) and on test LTail F1. Each family is
corrected by Holm; a comparison that has not run counts. The scores of FURTHER are families of their
own in the same way, and confirm nothing. The p-value is one across seeds, a claim about the method;
the interval is over seeds and documents. Comparisons with the best control are not declared, and
not corrected.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from benchmark.reports.ablation import CALIBRATED, score_cell
from benchmark.reports.evidence import SEED, Evidence
from benchmark.reports.study import Study
from benchmark.reports.tables import BASELINE, Cell, Column
from benchmark.statistics.comparison import ALPHA, NAMES
from benchmark.statistics.corrections import holm
from benchmark.statistics.effects import cohens_dz
from benchmark.statistics.results import Interval, Result
from benchmark.statistics.tests import SEED_TESTS

PLAIN = {  # measure -> the difference that is tested
    name: Column(f"test.{name}.difference", "Δ", f"test {NAMES[name]}", ("test", name), True)
    for name in ("f1", "ltail_f1")
}
_SHORT = {  # headings for narrow terminals
    "calibrated.f1": "cal. F1",
    "calibrated.ltail_f1": "cal. LTail F1",
    "ap.all": "AP",
    "ap.tail": "AP tail",
}
FURTHER = {  # the same for the scores that tell learning from calibration
    measure: replace(column, label="Δ", heading=heading)
    for measure, heading in _SHORT.items()
    for column in CALIBRATED
    if column.key == f"{measure}.difference"
}
FAMILIES = PLAIN | FURTHER


@dataclass(frozen=True)
class Contrast:
    """One augmenter against `none`, or another one, on one measure.

    difference: in points by seed, or why there is none.
    interval: of the mean difference, a fraction; None without counts per document.
    test: across seeds; None with fewer than two.
    adjusted: its p-value after Holm.
    """

    backbone: str
    augmenter: str
    measure: str
    difference: Cell
    interval: Interval | None = None
    test: Result | None = None
    adjusted: float | None = None

    @property
    def name(self) -> str:
        return f"{self.backbone}/{self.augmenter}"

    @property
    def score(self) -> str:
        return NAMES[self.measure]

    @property
    def effect(self) -> float | None:
        """Cohen's d_z; None where it is undefined, as with one seed."""
        values = np.array(list(self.difference.values.values()))
        return cohens_dz(values) if len(values) > 1 else None

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The ends of the interval in points."""
        return self.interval and self.interval.points

    @property
    def excludes_zero(self) -> bool:
        """Whether there is an interval and it excludes 0."""
        return self.bounds is not None and not self.bounds[0] <= 0 <= self.bounds[1]

    @property
    def significant(self) -> bool:
        """Whether Holm's p is small enough and the interval excludes 0. Never without an interval:
        the t-test alone makes too much of few seeds that happen to agree.
        """
        return self.adjusted is not None and self.adjusted <= ALPHA and self.excludes_zero


@dataclass(frozen=True)
class Significance:
    """The comparisons of an experiment; false without any.

    families: measure -> (backbone, augmenter) -> its comparison.
    controls: backbone -> the control that is compared with, each comparison by itself; empty for
        comparisons with `none`.
    """

    study: Study
    evidence: Evidence
    families: Mapping[str, Mapping[tuple[str, str], Contrast]]
    controls: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return any(self.families.values())

    @property
    def contrasts(self) -> list[Contrast]:
        return [contrast for family in self.families.values() for contrast in family.values()]

    @property
    def tested(self) -> list[Contrast]:
        return [contrast for contrast in self.contrasts if contrast.test is not None]

    @property
    def first(self) -> Mapping[tuple[str, str], Contrast]:
        """The first family, of F1; all are of its size."""
        return next(iter(self.families.values()))

    @property
    def size(self) -> int:
        """How many comparisons Holm corrects for."""
        return 1 if self.controls else len(self.first)


def significance(study: Study, evidence: Evidence, measures: Iterable[str] = PLAIN) -> Significance:
    """All declared comparisons of one experiment on one dataset.

    evidence: of its runs, and of any others on the same documents.
    measures: PLAIN or FURTHER.

    Raises UserError for a run that does not hold a score, see `score_cell`.
    """
    places, families = [place for place in study.cells if place[1] != BASELINE], {}
    for measure in measures:
        found = [_contrast(study, place, measure, evidence) for place in places]
        adjusted = holm([contrast.test and contrast.test.p for contrast in found])
        families[measure] = {
            place: replace(contrast, adjusted=p)
            for place, contrast, p in zip(places, found, adjusted, strict=True)
        }
    return Significance(study, evidence, families)


def against(study: Study, place: tuple[str, str], other: str, evidence: Evidence) -> Contrast:
    """A cell against another augmenter of its backbone on test F1: one comparison, uncorrected."""
    found = _contrast(study, place, "f1", evidence, other)
    return replace(found, adjusted=found.test and found.test.p)


def calibrated_significance(study: Study, evidence: Evidence) -> Significance | None:
    """The comparisons FURTHER, of the runs that hold such scores; None where none does."""
    held = study.holding("calibrated", "average_precision")
    return held and significance(held, evidence, FURTHER)


def to_controls(study: Study, evidence: Evidence) -> Significance | None:
    """Every augmenter against the best control of its backbone, uncorrected, on all of FAMILIES (on
    FURTHER with the runs that hold such scores); None where no seed of a control pairs with one of
    an augmenter.
    """
    controls, held = study.best_controls, study.holding("calibrated", "average_precision")
    others = {
        place: controls[place[0]]
        for place in study.cells
        if place[0] in controls and place[1] not in (BASELINE, controls[place[0]])
    }
    families = {
        measure: {
            place: _contrast(of, place, measure, evidence, other) for place, other in others.items()
        }
        for of, measures in ((study, PLAIN), (held, FURTHER))
        for measure in measures
        if of is not None
    }
    paired = any(study.pairs(place, other) for place, other in others.items())
    told = replace(study, without=held.without) if held is not None else study
    return Significance(told, evidence, families, controls) if paired else None


def _contrast(
    study: Study, place: tuple[str, str], measure: str, evidence: Evidence, other: str = BASELINE
) -> Contrast:
    runs, others = study.cells[place], study.cells.get((place[0], other), {})
    difference = score_cell(FAMILIES[measure], runs, others)
    values = np.array(list(difference.values.values()))
    interval = evidence.interval(study.pairs(place, other), measure) if len(values) else None
    test = None
    if len(values) > 1:
        test = SEED_TESTS["auto"](values, rng=np.random.default_rng([SEED, len(values)]))
    return Contrast(*place, measure, difference, interval, test)
