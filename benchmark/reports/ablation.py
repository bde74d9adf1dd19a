"""The ablation table: finished runs of one experiment on one dataset, averaged over seeds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmark.errors import UserError
from benchmark.reports.study import Seeds, Study, chosen_before_augmentation
from benchmark.reports.tables import BASELINE, MISSING, UNDEFINED, Cell, Column, Row, Table
from benchmark.scoring.calibration import CALIBRATIONS
from benchmark.scoring.counts import BUCKETS
from benchmark.store.runs import StoredRun

STAGE1 = "(stage 1)"
EARLY = "†"  # the model was chosen before augmentation began


def _column(key: str, label: str, heading: str) -> Column:
    """A column whose path is its key, where those of CALIBRATIONS and "ap" have theirs in test.

    A label with "Δ" makes it one of differences.
    """
    first, *rest = key.split(".")
    start = {name: ("test", name) for name in CALIBRATIONS} | {"ap": ("test", "average_precision")}
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
TO_CONTROL = Column("test.f1.to_control", "Δ control", "test", ("test", "f1"), difference=True)
CALIBRATED = (
    *(_column(f"calibrated.{key}", label, "calibrated") for key, label in _F1_AND_TAIL),
    *(
        _column(f"ap.{label.removeprefix('Δ ')}", label, "average precision")
        for label in _PRECISIONS
    ),
)
PER_RELATION = tuple(
    _column(f"per_relation.{key}", label, "per relation") for key, label in _F1_AND_TAIL
)
DETAIL = tuple(_column(f"test.{key}", label, "test") for key, label in _DETAILS.items())
_ABOUT = {  # what the title and the caption say beside those of ABLATION
    ABLATION: ("", ""),
    CALIBRATED: (
        ", calibrated",
        "Calibrated: one threshold for all relations, tuned on dev and applied once to test. "
        "Average precision: micro, of the ranking of all candidates, without any threshold. A gain "
        "that is left here is learning; one that vanishes was a shifted balance of precision and "
        "recall.",
    ),
    PER_RELATION: (
        ", calibrated for each relation",
        "A threshold for each relation, tuned on dev, drawn towards the one for all relations "
        "where dev has few facts, and applied once to test: a control that costs no training. A "
        "gain that vanishes here was calibration.",
    ),
    DETAIL: (
        ", test in detail",
        "F1 (1-10): over the relations with 1 to 10 training facts. Macro F1: over the relations "
        "with gold facts.",
    ),
}


def ablation_table(study: Study, columns: tuple[Column, ...] = ABLATION) -> Table:
    """Backbones as row groups, augmenters as rows, scores over seeds as cells.

    columns: ABLATION, four F1 on dev and test; DETAIL, the other scores on test; CALIBRATED, the
        scores at one tuned threshold and the average precision; or PER_RELATION.

    Raises UserError for a run that does not hold a score.
    """
    title, about = _ABOUT[columns]
    controls = {name: found for name in study.backbones if (found := study.best_control(name))}
    if columns is ABLATION and controls:
        columns += (TO_CONTROL,)
    rows: list[Row] = []
    for backbone in study.backbones:
        group = [cell for cell in study.cells if cell[0] == backbone]
        made = [_row(study, cell, controls.get(backbone), columns) for cell in group]
        rows += _mark_best(made, columns)
    said = "" if columns in (CALIBRATED, PER_RELATION) else study.description
    notes = filter(None, (said, *_notes(study, rows, columns, controls, about)))
    return Table(study.title + title, tuple(notes), "Backbone", "Augmenter", columns, tuple(rows))


def score_cell(column: Column, runs: Seeds, baseline: Seeds) -> Cell:
    """The column's score, or its difference to `baseline` over the seeds that both have.

    Raises UserError naming the file and the key of a score that a run does not hold.
    """
    values = {seed: _score(run, column) for seed, run in runs.items()}
    if column.difference:
        others = {seed: _score(baseline[seed], column) for seed in values.keys() & baseline.keys()}
        values = {
            seed: None if None in (values[seed], others[seed]) else values[seed] - others[seed]
            for seed in sorted(others)
        }
    if not values:
        return Cell(absent=MISSING)
    if None in values.values():  # undefined for one seed, undefined for the mean
        return Cell(absent=UNDEFINED)
    return Cell(values)


def with_stage1(table: Table, study: Study) -> Table:
    """The ablation table with the test scores of the stage 1 models above each backbone.

    Only runs that retrain the head have them. In the paper's protocol `none` is the stage 1 model,
    and the table stays as it is.
    """
    rows: dict[str, Row] = {}
    for backbone in study.backbones:
        models = {
            seed: replace(run, metrics={"test": run.metrics["stage1"]})
            for seed, run in study.cells.get((backbone, BASELINE), {}).items()
            if "stage1" in run.metrics
        }
        if models:
            cells = tuple(
                Cell() if c.difference or c.path[0] != "test" else score_cell(c, models, {})
                for c in table.columns
            )
            expected = study.expected[backbone, BASELINE]
            rows[backbone] = Row(backbone, STAGE1, cells, tuple(models), expected)
    if not rows:
        return table
    with_them: list[Row] = []
    for row in table.rows:
        with_them += [first] if (first := rows.pop(row.group, None)) else []
        with_them.append(row)
    note = f"{STAGE1}: the whole model before its head was trained anew; its encoder is shared."
    return replace(table, rows=tuple(with_them), notes=(*table.notes, note))


def coverage_notes(rows: Iterable[Row]) -> list[str]:
    """Which rows were not run, in one sentence, and which lack some of their seeds."""
    rows, notes = list(rows), []
    if absent := [row for row in rows if not row.seeds]:
        groups = []
        for group in dict.fromkeys(row.group for row in absent):
            names = [row.label for row in absent if row.group == group]
            whole = len(names) == sum(row.group == group for row in rows)
            groups.append(f"{group} ({'all' if whole else ', '.join(names)})")
        listed = "; ".join(groups)
        notes.append(f"Not run yet, and not shown: {len(absent)} of {len(rows)} rows: {listed}.")
    if any(row.seeds and not row.complete for row in rows):
        notes.append(
            "Seeds as 2/5: two of the five asked for. Such a row averages over what it has and is "
            "never marked as best."
        )
    return notes


def _row(
    study: Study, cell: tuple[str, str], control: str | None, columns: tuple[Column, ...]
) -> Row:
    backbone, augmenter = cell
    runs, made = study.cells[cell], []
    early = augmenter != BASELINE and any(map(chosen_before_augmentation, runs.values()))
    for column in columns:
        other = control if column == TO_CONTROL else BASELINE
        if column.difference and (other is None or augmenter in (BASELINE, other)):
            made.append(Cell())
            continue
        found = score_cell(column, runs, study.cells.get((backbone, other), {}))
        marked = early and column.difference and found.n
        made.append(replace(found, mark=EARLY) if marked else found)
    return Row(backbone, augmenter, tuple(made), tuple(runs), study.expected[cell])


def _score(run: StoredRun, column: Column) -> float | None:
    value: Any = run.metrics
    for key in column.path:
        if not isinstance(value, dict) or key not in value:
            path = ".".join(column.path)
            raise UserError(f"{run.path / 'metrics.json'}: the key {path} is missing")
        value = value[key]
    return None if value is None else 100 * value


def _mark_best(rows: list[Row], columns: tuple[Column, ...]) -> list[Row]:
    """Mark the highest mean of each column among complete rows, after rounding."""
    for index, column in enumerate(columns):
        means = {
            r: round(row.cells[index].mean, column.decimals)
            for r, row in enumerate(rows)
            if row.complete and row.cells[index].mean is not None
        }
        if column.difference or len(means) < 2 or not any(means.values()):
            continue
        for r, mean in means.items():
            if mean == max(means.values()):
                rows[r] = rows[r].changed(index, best=True)
    return rows


def _notes(
    study: Study,
    rows: list[Row],
    columns: tuple[Column, ...],
    controls: Mapping[str, str],
    about: str,
) -> Iterator[str]:
    """The caption: what the numbers are, over which seeds, and what is missing."""
    runs = study.runs
    seeds = sorted({run.seed for run in runs})
    listed = ", ".join(map(str, seeds))
    if len(seeds) == 1:
        yield f"Scores in percent, one seed ({listed}): nothing is known of their spread."
    else:
        yield f"Scores in percent: mean ± standard deviation (n - 1) over the seeds {listed}."
    encoder = _encoder(runs[0].config["encoder"])
    yield f"Encoder: {encoder}. The model is chosen by dev F1; test is scored once with it."
    if any(column.difference for column in columns):
        spread = ", mean ± standard deviation of the pairs" if len(seeds) > 1 else ""
        yield f"Δ F1: test F1 minus that of `{BASELINE}` with the same backbone and seed{spread}."
    if TO_CONTROL in columns:
        best = ", ".join(f"`{name}` ({backbone})" for backbone, name in controls.items())
        yield (
            "Δ control: the difference to the best control, the one with the highest dev F1: "
            f"{best}."
        )
    yield about
    if any(cell.best for row in rows for cell in row.cells):
        yield "Bold: the best of its column within the backbone; no claim of significance."
    yield from coverage_notes(rows)
    early = [run for run in runs if chosen_before_augmentation(run) and run.augmenter != BASELINE]
    if early:
        listed = ", ".join(
            f"{run.backbone}/{run.augmenter} (seed {run.seed}, epoch {run.metrics['best_epoch']})"
            for run in early
        )
        yield (
            f"{EARLY}: the best epoch on dev came before augmentation began, so the scored model "
            f"never met a generated pair: {listed}."
        )
    if any(cell.absent == UNDEFINED for row in rows for cell in row.cells):
        yield (
            "n/a: undefined, because there are no gold facts of that kind, or no predictions "
            "(precision). A corpus with ten relations or fewer has no tail unless "
            "`dataset.frequent` names its frequent relations."
        )
    yield from dict.fromkeys(note for run in runs for note in run.facts.get("corpus_notes", ()))


def _encoder(config: Mapping[str, Any]) -> str:
    path, freeze = Path(config["name"]), config.get("freeze", "none")
    name = path.name if path.expanduser().is_absolute() else config["name"]
    if freeze == "none":
        return f"{name}, trained"
    if freeze == "all":
        return f"{name}, frozen"
    return f"{name}, its lowest {freeze.removeprefix('lower:')} layers frozen"
