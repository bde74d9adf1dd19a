"""The ablation table: finished runs of one experiment on one dataset, averaged over seeds."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmark.errors import UserError
from benchmark.reports.study import Seeds, Study, is_control
from benchmark.reports.tables import BASELINE, MISSING, UNDEFINED, Cell, Column, Row, Table
from benchmark.scoring.calibration import CALIBRATIONS
from benchmark.scoring.counts import BUCKETS
from benchmark.scoring.merging import FUSED
from benchmark.store.runs import StoredRun

STAGE1 = "(stage 1)"
EARLY = "†"  # the model was chosen before augmentation began


def _column(key: str, label: str, heading: str) -> Column:
    """A column of the score at this key; a label with "Δ" makes it one of differences."""
    first, *rest = key.split(".")
    start = {name: ("test", name) for name in CALIBRATIONS | FUSED}
    start["ap"] = ("test", "average_precision")
    path, difference = (*start.get(first, (first,)), *rest), label.startswith("Δ")
    return Column(key + ".difference" * difference, label, heading, path, difference)


_SCORES = {"ign_f1": "Ign F1", "f1": "F1", "freq_f1": "Freq F1", "ltail_f1": "LTail F1"}
_F1_AND_TAIL = (("f1", "F1"), ("f1", "Δ F1"), ("ltail_f1", "LTail F1"), ("ltail_f1", "Δ LTail"))
_PRECISIONS = ("all", "Δ all", "frequent", "tail", "Δ tail")
_DETAILS = {"precision": "P", "recall": "R"}
_DETAILS |= {f"{kind}_f1": f"{kind} F1" for kind in ("macro", "intra", "inter")}
_DETAILS |= {f"bucket_f1.{name}": f"F1 ({name})" for name in BUCKETS}
ABLATION = (
    *(_column(f"{s}.{key}", label, s) for s in ("dev", "test") for key, label in _SCORES.items()),
    _column("test.f1", "Δ F1", "test"),
)
ON_TEST = tuple(c for c in ABLATION if c.path[0] == "test" and not c.difference)
TO_CONTROL = Column("test.f1.to_control", "Δ control", "test", ("test", "f1"), difference=True)
CALIBRATED = (
    *(_column(f"calibrated.{key}", label, "calibrated") for key, label in _F1_AND_TAIL),
    *(_column(f"ap.{label.split()[-1]}", label, "average precision") for label in _PRECISIONS),
)
PER_RELATION = tuple(
    _column(f"per_relation.{key}", label, "per relation") for key, label in _F1_AND_TAIL
)
FUSION = tuple(_column(f"fused.{key}", label, "fused") for key, label in _F1_AND_TAIL)
_OF_SOME = {  # a corpus that defines no frequent relations has neither
    ("test", "average_precision", name) for name in ("frequent", "tail")
}
DETAIL = tuple(_column(f"test.{key}", label, "test") for key, label in _DETAILS.items())
LEARNING = (
    "A gain that is left here is learning; one that vanishes was a shifted balance of precision "
    "and recall."
)
SILENT = (
    f"Where `{BASELINE}` predicts no correct fact on dev in any epoch, differences to it mean "
    "nothing."
)
_ABOUT = {  # what the title and the caption say beside those of ABLATION
    ABLATION: ("", ""),
    CALIBRATED: (
        ", calibrated",
        "Calibrated: one threshold for all relations, tuned on dev and applied once to test. "
        "Average precision: micro, of the ranking of all candidates, without any threshold. "
        + LEARNING,
    ),
    PER_RELATION: (
        ", calibrated for each relation",
        "A threshold for each relation, tuned on dev, pulled towards the one for all relations "
        "where dev has few facts, and applied once to test: a control that costs no training. A "
        "gain that vanishes here was calibration.",
    ),
    DETAIL: (
        ", test in detail",
        "F1 (1-10): over the relations with 1 to 10 training facts. Macro F1: over the relations "
        "with gold facts.",
    ),
}
ABOUT_FUSION = (
    "Fused: with inference-stage fusion, a second pass of the same model over pseudo-documents "
    "made of evidence sentences; its threshold is tuned on dev and applied once to test."
)


def ablation_table(study: Study, columns: tuple[Column, ...] = ABLATION) -> Table:
    """Backbones as row groups, augmenters as rows, scores over seeds as cells.

    columns: ABLATION, CALIBRATED, which brings FUSION along where a run has it, PER_RELATION or
            DETAIL.

    Raises UserError for a run that does not hold a score.
    """
    title, about = _ABOUT[columns]
    if any(study.learnt_nothing((name, BASELINE)) for name in study.backbones):
        about = about.replace(LEARNING, SILENT)
    controls = study.best_controls
    if columns is ABLATION and controls:
        columns += (TO_CONTROL,)
    if columns is CALIBRATED and any(map(_fused, study.cells.values())):
        columns, about = columns + FUSION, f"{about} {ABOUT_FUSION}"
    rows: list[Row] = []
    for backbone in study.backbones:
        group = [cell for cell in study.cells if cell[0] == backbone]
        made = [_row(study, cell, controls.get(backbone), columns) for cell in group]
        rows += _mark_best(made, columns)
    held = {key for row in rows if row.visible for key in row.cells}
    columns = tuple(c for c in columns if c.key in held or not c.difference)  # `none` has no Δ
    notes = _notes(study, rows, columns, controls, about)
    return Table(study.title + title, tuple(notes), "Backbone", "Augmenter", columns, tuple(rows))


def score_cell(column: Column, runs: Seeds, baseline: Seeds) -> Cell:
    """The column's score, or its difference to `baseline` over the seeds that both have.

    Raises UserError naming the file and the key of a score that a run does not hold.
    """
    values = {seed: _score(run, column) for seed, run in runs.items()}
    if column.difference:
        others = {seed: _score(baseline[seed], column) for seed in values if seed in baseline}
        values = {
            seed: None if None in (values[seed], other) else values[seed] - other
            for seed, other in others.items()
        }
    if not values:
        return Cell(absent=MISSING)
    # undefined for one seed, undefined for the mean
    return Cell(absent=UNDEFINED) if None in values.values() else Cell(values)


def with_stage1(table: Table, study: Study) -> Table:
    """The ablation table with the test scores of the stage 1 models above each backbone.

    Only runs that retrain the head have them. In the paper's protocol `none` is the stage 1 model,
    and the table stays as it is.
    """
    rows: list[Row] = []
    for backbone, members in groupby(table.rows, key=lambda row: row.group):
        models = {
            seed: replace(run, metrics={"test": run.metrics["stage1"]})
            for seed, run in study.cells.get((backbone, BASELINE), {}).items()
            if "stage1" in run.metrics
        }
        if models:
            cells = {column.key: score_cell(column, models, {}) for column in ON_TEST}
            expected = study.expected[backbone, BASELINE]
            rows.append(Row(backbone, STAGE1, cells, tuple(models), expected))
        rows += members
    if len(rows) == len(table.rows):
        return table
    note = f"{STAGE1}: the whole model before its head was trained anew; its encoder is shared."
    return replace(table, rows=tuple(rows), notes=(*table.notes, note))


def early_note(study: Study) -> Iterator[str]:
    """What EARLY means, and which runs it is about; nothing without any."""
    early = [
        f"{run.backbone}/{run.augmenter} (seed {run.seed}, epoch {run.metrics['best_epoch']})"
        for cell in study.cells
        for run in study.chosen_early(cell)
    ]
    if early:
        yield (
            f"{EARLY}: the best epoch on dev came before augmentation began, so the augmenter had "
            f"no part in the scored model: {', '.join(early)}."
        )


def study_notes(study: Study, rows: Iterable[Row]) -> Iterator[str]:
    """Which of the experiment's runs the table lacks."""
    if study.without:
        yield study.without
    yield from coverage_notes(rows, "run with these scores" if study.without else "run")


def coverage_notes(rows: Iterable[Row], done: str = "run") -> Iterator[str]:
    """A sentence on rows that were not run (or measured), and one on rows that lack seeds."""
    rows = list(rows)
    groups = []
    for group, members in groupby(rows, key=lambda row: row.group):
        labels = {row.label: bool(row.seeds) for row in members}
        names = [label for label, has_run in labels.items() if not has_run]
        if names:
            groups.append(f"{group} ({', '.join(names) if any(labels.values()) else 'all'})")
    if groups:
        absent = sum(not row.seeds for row in rows)
        yield (f"Not {done} yet, and not shown: {absent} of {len(rows)} rows: {'; '.join(groups)}.")
    if any(row.seeds and not row.complete for row in rows):
        yield "Seeds such as 2/5: the row averages over two of the five seeds that were asked for."


def _row(
    study: Study, place: tuple[str, str], control: str | None, columns: tuple[Column, ...]
) -> Row:
    (backbone, augmenter), runs, cells = place, study.cells[place], {}
    early = study.chosen_early(place)
    for column in columns:
        other = control if column == TO_CONTROL else BASELINE
        if column.difference and (other is None or augmenter in (BASELINE, other)):
            continue
        others = study.cells.get((backbone, other), {})
        if column in FUSION and not (_fused(runs) and (_fused(others) or not column.difference)):
            continue
        found = score_cell(column, runs, others)
        marked = early and column.difference and found.n
        cells[column.key] = replace(found, mark=EARLY) if marked else found
    expected, control = study.expected[place], is_control(augmenter)
    return Row(backbone, augmenter, cells, tuple(runs), expected, control=control)


def _fused(runs: Seeds) -> bool:
    """Whether these runs, of one cell, have the scores of FUSION."""
    return bool(runs) and all(
        FUSED.keys() <= run.metrics.get("test", {}).keys() for run in runs.values()
    )


def _score(run: StoredRun, column: Column) -> float | None:
    value: Any = run.metrics
    for key in column.path:
        if not isinstance(value, dict) or key not in value:
            if column.path in _OF_SOME and isinstance(value, dict) and "all" in value:
                return None
            path = ".".join(column.path)
            raise UserError(f"{run.path / 'metrics.json'}: the key {path} is missing")
        value = value[key]
    return None if value is None else 100 * value


def _mark_best(rows: list[Row], columns: tuple[Column, ...]) -> list[Row]:
    """Mark the highest mean of each column among complete rows, after rounding."""
    for column in (column for column in columns if not column.difference):
        means = {
            r: round(row.cell(column.key).mean, column.decimals)
            for r, row in enumerate(rows)
            if row.complete and row.cell(column.key).mean is not None
        }
        best = max(means.values(), default=0)
        for r, mean in means.items() if len(means) > 1 and best else ():
            if mean == best:
                rows[r] = rows[r].changed(column.key, best=True)
    return rows


def _notes(
    study: Study,
    rows: list[Row],
    columns: tuple[Column, ...],
    controls: Mapping[str, str],
    about: str,
) -> Iterator[str]:
    """The caption: what the numbers are, over which seeds, and what is missing."""
    runs, cells = study.runs, [cell for row in rows for cell in row.cells.values()]
    if study.description and columns[0] not in CALIBRATED + PER_RELATION:
        yield study.description
    seeds = sorted({run.seed for run in runs})
    listed = ", ".join(map(str, seeds))
    if len(seeds) == 1:
        yield f"Scores in percent, one seed ({listed}): nothing is known of their spread."
    else:
        yield f"Scores in percent: mean ± standard deviation (n - 1) over the seeds {listed}."
    encoder = encoder_of(runs[0])
    yield f"Encoder: {encoder}. The model is chosen by dev F1; test is scored once with it."
    if any(column.difference for column in columns):
        spread = ", mean ± standard deviation of the pairs" if len(seeds) > 1 else ""
        told = f"Δ: the test score minus that of `{BASELINE}` with the same backbone and seed"
        yield f"{told}{spread}."
    if TO_CONTROL in columns:
        yield f"Δ control: the difference to {best_control(controls)}."
    if about:
        yield about
    if any(cell.best for cell in cells):
        yield (
            "Bold: the best of its column within the backbone, among the rows with all their "
            "seeds; no claim of significance."
        )
    yield from study_notes(study, rows)
    if any(EARLY in cell.mark for cell in cells):
        yield from early_note(study)
    if any(cell.absent == UNDEFINED for cell in cells):
        yield (
            "n/a: undefined, because there are no gold facts of that kind, or no predictions "
            "(precision). A corpus with ten relations or fewer has no tail unless "
            "`dataset.frequent` names its frequent relations."
        )
    yield from dict.fromkeys(note for run in runs for note in run.facts.get("corpus_notes", ()))


def best_control(controls: Mapping[str, str]) -> str:
    """In words, which control is compared with; `controls`: backbone -> its best control."""
    said = "the best control, the one with the highest mean dev F1 of those with the most seeds"
    return f"{said}: {', '.join(f'`{name}` ({backbone})' for backbone, name in controls.items())}"


def encoder_of(run: StoredRun) -> str:
    """The encoder's name and its trained part."""
    config = run.config["encoder"]
    path, freeze = Path(os.path.expanduser(config["name"])), config.get("freeze", "none")
    name = path.name if path.is_absolute() else config["name"]
    layers = f"its lowest {freeze.removeprefix('lower:')} layers frozen"
    return f"{name}, {({'none': 'trained', 'all': 'frozen'}).get(freeze, layers)}"
