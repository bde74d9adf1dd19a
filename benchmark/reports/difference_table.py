"""What the comparisons of an experiment show: marks in its ablation table, and a table of its own.

The table has, per backbone and augmenter, the difference to `none`, its interval, p before and
after Holm, and the effect size. Only what is significant after Holm gets the mark. Another table
has the differences to the best control, with p uncorrected and no mark.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from statistics import median

from benchmark.reports.ablation import EARLY, best_control, early_note, study_notes
from benchmark.reports.significance import FAMILIES, FURTHER, Contrast, Significance
from benchmark.reports.study import grouped, is_control
from benchmark.reports.tables import BASELINE, UNDEFINED, Cell, Column, Row, Table
from benchmark.statistics.advice import (
    DOCUMENT_LEVEL,
    NO_TEST,
    POPULATIONS,
    detectable_difference,
    too_few_seeds,
)
from benchmark.statistics.comparison import ALPHA
from benchmark.statistics.corrections import holm
from benchmark.statistics.effects import smallest_p

MARK = "*"
SHORTENED = (
    "cal.: with one threshold tuned on dev. AP: micro average precision, which has no interval and "
    "so no mark."
)


def marked(table: Table, found: Significance) -> Table:
    """The ablation table with `*` beside each significant difference, and what it means.

    A score without a column of differences carries the mark itself. A table without differences
    and an experiment without augmenters stay as they are.
    """
    if not found or not any(column.difference for column in table.columns):
        return table
    keys, rows = {column.key for column in table.columns}, list(table.rows)
    for measure, family in found.families.items():
        key = FAMILIES[measure].key
        key = key if key in keys else key.removesuffix(".difference")
        for r, row in enumerate(rows):
            contrast = family.get((row.group, row.label))
            if contrast is not None and contrast.significant:
                rows[r] = row.changed(key, mark=MARK + row.cells[key].mark)
    notes = (*table.notes, *_meaning(found), *_warnings(found))
    return replace(table, rows=tuple(rows), notes=notes)


def difference_table(found: Significance) -> Table:
    """The comparisons of one experiment on one dataset as a table."""
    families = {  # a score that no run defines (no frequent relations) is left out
        measure: family
        for measure, family in found.families.items()
        if family is found.first or any(c.difference.absent != UNDEFINED for c in family.values())
    }
    found = replace(found, families=families)
    columns, rows = {measure: _columns(measure, found) for measure in families}, []
    for place in found.first:
        asked, early = found.study.expected[place], bool(found.study.chosen_early(place))
        cells = {}
        for measure, family in families.items():
            cells |= _cells(family[place], columns[measure], early=early)
        pairs = found.study.pairs(place, found.controls.get(place[0], BASELINE))
        paired = {run.seed for run, _ in pairs}
        seeds, control = tuple(seed for seed in asked if seed in paired), is_control(place[1])
        rows.append(Row(*place, cells, seeds, asked, control=control))
    to = BASELINE if "f1" in families else f"{BASELINE}, calibrated"
    title = f"{found.study.title}, difference to {'the best control' if found.controls else to}"
    short = [SHORTENED] if families.keys() & FURTHER.keys() else []
    apart = [row for row in rows if not row.seeds and found.study.cells[row.group, row.label]]
    notes = [*short, *_notes(found), *study_notes(found.study, (r for r in rows if r not in apart))]
    if names := ", ".join(f"{row.group}/{row.label}" for row in apart):
        other = "the best control" if found.controls else f"`{BASELINE}`"
        notes.append(f"Run, but not shown, since they share no seed with {other}: {names}.")
    every = tuple(chain.from_iterable(columns.values()))
    return Table(title, tuple(notes), "Backbone", "Augmenter", every, tuple(rows))


def without_counts(found: Significance) -> Iterator[str]:
    """Which runs have no usable counts per document, and why."""
    runs, problems = found.study.runs, found.evidence.problems
    reasons = grouped(
        (problems[run.path], f"{run.backbone}/{run.augmenter} (seed {run.seed})")
        for run in runs
        if run.path in problems
    )
    for reason, names in reasons.items():
        which = "any run" if len(names) == len(runs) else ", ".join(names)
        yield f"No intervals with {which}: {reason}."


_SIGNED, _P = {"difference": True}, {"decimals": 4, "least": 0.0001}
_BESIDE = (  # columns beside a difference: key, label, form, how to get the number
    ("low", "low", _SIGNED, lambda contrast: contrast.bounds and contrast.bounds[0]),
    ("high", "high", _SIGNED, lambda contrast: contrast.bounds and contrast.bounds[1]),
    ("p", "p", _P, lambda contrast: contrast.test and contrast.test.p),
    ("p_holm", "p (Holm)", _P, lambda contrast: contrast.adjusted),
    ("d_z", "d_z", _SIGNED, lambda contrast: contrast.effect),
)


def _columns(measure: str, found: Significance) -> list[Column]:
    """The difference and what stands beside it, up to p where p is uncorrected."""
    difference, beside = FAMILIES[measure], _BESIDE
    if found.controls:
        key = difference.key.removesuffix("difference") + "to_control"
        difference, beside = replace(difference, key=key), _BESIDE[:3]
    key, heading = difference.key, difference.heading
    further = [Column(f"{key}.{name}", label, heading, **form) for name, label, form, _ in beside]
    return [difference, *further]


def _cells(contrast: Contrast, columns: list[Column], *, early: bool) -> dict[str, Cell]:
    found = contrast.difference
    mark = MARK * contrast.significant + EARLY * (early and found.n > 0)
    cells = {columns[0].key: replace(found, mark=mark)}
    for column, (*_, number_of) in zip(columns[1:], _BESIDE, strict=False):
        number = number_of(contrast)
        cells[column.key] = Cell(number=number, over=found.n)
        if number is None:
            cells[column.key] = Cell(absent=found.absent or UNDEFINED)
    return cells


def _meaning(found: Significance) -> Iterator[str]:
    tested = found.tested
    if not tested:
        if any(contrast.difference.values for contrast in found.contrasts):
            yield f"No difference is marked as significant. {NO_TEST}"
        return
    how = "two-sided test across paired seeds"
    if found.size > 1:
        how += f", Holm over all {found.size} comparisons of the experiment on this dataset"
        tests = [{c.test is None for c in family.values()} for family in found.families.values()]
        how += ", including those without a p (e.g. not run)" if {True, False} in tests else ""
    takes = f"p at most {ALPHA} ({how}), and an interval over seeds and documents that excludes 0"
    if any(measure.startswith("ap.") for measure in found.families):
        takes += " (average precision has none, and so no mark)"
    if any(contrast.significant for contrast in tested):
        yield (
            f"`{MARK}`: significantly different from `{BASELINE}`, for better or worse. This takes "
            f"{takes}. Each score is a family of its own. {POPULATIONS}"
        )
    else:
        measures = " or ".join(dict.fromkeys(contrast.score for contrast in tested))
        said = f"No difference to `{BASELINE}` in test {measures} is significant, which takes"
        yield f"{said} {takes}. {POPULATIONS}"


def _warnings(found: Significance) -> Iterator[str]:
    """What a reader must know before believing significance, or its absence."""
    hopeless = [contrast for contrast in found.tested if _hopeless(contrast, found)]
    for n, few in grouped((c.difference.n, c) for c in hopeless).items():
        where = f"Where the permutation test was taken ({_named(few, found.tested)}): "
        said = too_few_seeds(n, found.size)
        yield said if len(few) == len(found.tested) else where + said
    for family in list(found.families.values())[:2]:  # F1 and LTail F1
        rest = [c for c in family.values() if c.difference.n > 1 and c not in hopeless]
        n, *fewer = sorted({c.difference.n for c in rest}, reverse=True) or [0]
        spreads = [c.difference.sd for c in rest if c.difference.n == n]
        if spreads and (spread := median(spreads)) > 0:
            score = rest[0].score
            detectable = detectable_difference(n, spread, found.size, fewer=fewer)
            yield (
                f"{score[0].upper()}{score[1:]}, at the median spread of the differences: "
                f"{detectable}"
            )


def _named(some: Sequence[Contrast], every: Sequence[Contrast]) -> str:
    """The rows of these comparisons; a row names its scores if only some of them are meant."""
    scores, of_row = (grouped((c.name, c.score) for c in those) for those in (some, every))
    named = lambda row: row if scores[row] == of_row[row] else f"{row} ({', '.join(scores[row])})"
    return ", ".join(map(named, scores))


def _which(some: Sequence[Contrast], bounded: Sequence[Contrast]) -> str:
    """Which intervals are meant: by their number of seeds where that tells all, else by row."""
    if len(some) == len(bounded):
        return ""
    seeds = sorted({contrast.interval.seeds for contrast in some})
    if len(some) == sum(contrast.interval.seeds in seeds for contrast in bounded):
        *others, last = map(str, seeds)
        numbers = f"{', '.join(others)} or {last}" if others else last
        return f" over {numbers} seed{'s' if seeds != [1] else ''}"
    return f" of {_named(some, bounded)}"


def _hopeless(contrast: Contrast, found: Significance) -> bool:
    """Whether the permutation test was taken and could not become significant: even its smallest
    possible p fails Holm, given the other p of its family.
    """
    if "permutation" not in contrast.test.name:
        return False
    family = [] if found.controls else found.families[contrast.measure].values()
    others = [other.test and other.test.p for other in family if other is not contrast]
    return holm([smallest_p("permutation", contrast.difference.n), *others])[0] > ALPHA


def _notes(found: Significance) -> Iterator[str]:
    several = any(contrast.difference.n > 1 for contrast in found.contrasts)
    spread = ": mean ± standard deviation of the pairs (n - 1)" if several else ""
    other = f"{best_control(found.controls)}," if found.controls else f"`{BASELINE}`"
    yield f"Augmenter minus {other} with the same backbone and seed, in points{spread}."
    bounded = [contrast for contrast in found.contrasts if contrast.interval is not None]
    if intervals := [contrast.interval for contrast in bounded]:
        names = " or ".join(dict.fromkeys(interval.name for interval in intervals))
        yield (
            f"low, high: {intervals[0].level:.0%} interval, {names} "
            f"({found.evidence.resamples:,} resamples of {intervals[0].documents} documents)."
        )
    yield from _tests(found)
    warnings = grouped((warning, c) for c in bounded for warning in c.interval.warnings)
    for warning, some in warnings.items():
        yield f"Intervals{_which(some, bounded)}: {warning}."
    if any(interval.seeds == 1 for interval in intervals):
        yield DOCUMENT_LEVEL
    yield from _warnings(found)
    yield from early_note(found.study)
    yield from without_counts(found)
    if lacking := list(dict.fromkeys(what for c in found.contrasts for what in _lacking(c, found))):
        yield f"n/a: {'; '.join(lacking)}."


def _lacking(contrast: Contrast, found: Significance) -> Iterator[str]:
    """Why numbers beside a difference are not available."""
    if contrast.difference.absent == UNDEFINED:
        yield "a score of a run is undefined"
    if not contrast.difference.values:
        return
    if contrast.bounds is None:
        why = "a score that is undefined in every resample has"
        if contrast.interval is None:
            precise = contrast.measure.startswith("ap.")
            why = "average precision has" if precise else "without counts per document there is"
        yield f"{why} no interval"
    if contrast.test is None:
        yield "with one seed there is no p" + ("" if found.controls else " and no d_z")
    elif contrast.effect is None and not found.controls:
        yield "d_z is undefined where the differences do not vary"


def _tests(found: Significance) -> Iterator[str]:
    """Which tests were taken and why, and how they are corrected."""
    taken = grouped((c.test.name, c) for c in found.tested)
    if not taken:
        if any(contrast.difference.values for contrast in found.contrasts):
            yield NO_TEST
        return
    most = max(taken, key=lambda name: len(taken[name]))
    rarer = [f"{name}: {_named(taken[name], found.tested)}" for name in taken if name != most]
    which = "; ".join([*rarer, f"{most}: every other p"]) if rarer else most
    yield (
        "p: two-sided, across the paired seeds. The paired t-test where Shapiro-Wilk does not "
        "reject that the differences are normal (weak evidence with so few); otherwise, and where "
        "it cannot tell, the sign-flip permutation test (Dror et al. 2018). "
        f"Taken here: {which}."
    )
    errors = [c.test.p_error for c in found.tested if c.test.p_error is not None]
    if errors:
        yield f"Resampling alone moves a p by up to ±{max(errors):.4f} (1 SE)."
    if found.controls:
        yield (
            "p is not corrected for the number of rows and scores: each comparison stands by "
            "itself, and none is marked as significant."
        )
        return
    number = "one comparison" if found.size == 1 else f"{found.size} comparisons"
    confirmatory = " The one on test F1 is confirmatory." if "f1" in found.families else ""
    yield (
        f"p (Holm): corrected over the {number} of the experiment, each score as a family of its "
        f"own.{confirmatory} d_z: mean / standard deviation of the pairs."
    )
    if any(contrast.significant for contrast in found.contrasts):
        yield f"`{MARK}`: p (Holm) at most {ALPHA}, and the interval excludes 0."
