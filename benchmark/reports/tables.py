"""Tables from finished runs: values with their spread, seeds and marks, never formatted strings.
`render.py` writes them.

Everything is in percent. A cell averages over seeds; it says over how many and out of how many that
were expected. A cell with a seed short, or with an undefined score, is shown as what it is and
takes no part in the marking of the best.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmark.errors import UserError
from benchmark.registry import AUGMENTERS
from benchmark.store.differences import differing
from benchmark.store.runs import IDENTIFYING_FACTS, RunDirectory, StoredRun

Expected = Mapping[
    tuple[str, str], Iterable[int]
]  # (backbone, augmenter) -> seeds that the experiment asks for, in table order

BASELINE = "none"
MISSING, UNDEFINED = "missing", "undefined"


@dataclass(frozen=True)
class Column:
    """One column. `path` leads to its score in `metrics.json`; `heading` names the split ("dev",
    "test").

    difference: the cells hold differences to the row `none` of the same backbone, paired by seed.
    to_control: the differences are to the best control of the backbone instead.
    least: a smaller number is shown as "< least", as a p-value is.
    """

    key: str
    label: str
    heading: str
    path: tuple[str, ...]
    difference: bool = False
    to_control: bool = False
    decimals: int = 2
    least: float | None = None


@dataclass(frozen=True)
class Cell:
    """A score over seeds, in percent; `absent` says why there is none ("missing": no run,
    "undefined": no such score).
    """

    values: Mapping[int, float] = field(default_factory=dict)  # seed -> value
    absent: str | None = None
    best: bool = False
    mark: str = field(
        default="", kw_only=True
    )  # set beside the number, such as "†"; the notes say what it means

    @property
    def n(self) -> int:
        return len(self.values)

    @property
    def mean(self) -> float | None:
        return math.fsum(self.values.values()) / self.n if self.values else None

    @property
    def sd(self) -> float | None:
        """Standard deviation with n - 1 in the denominator; None with fewer than two seeds."""
        if self.n < 2:
            return None
        return math.sqrt(
            math.fsum((value - self.mean) ** 2 for value in self.values.values()) / (self.n - 1)
        )


@dataclass(frozen=True)
class StatedCell(Cell):
    """A number that is no mean over the seeds' values: a p, the end of an interval, or what
    somebody else reports.
    """

    number: float | None = None
    spread: float | None = None
    over: int = 0  # seeds that it was made from, where they are known

    @property
    def n(self) -> int:
        return self.over

    @property
    def mean(self) -> float | None:
        return self.number

    @property
    def sd(self) -> float | None:
        return self.spread


@dataclass(frozen=True)
class Row:
    """One augmenter (`label`) of one backbone (`group`)."""

    group: str
    label: str
    cells: tuple[Cell, ...]
    seeds: tuple[int, ...]  # that are there
    expected: tuple[int, ...]  # that the experiment asks for
    rank: str = field(default="", kw_only=True)  # as text: several rows may share one

    @property
    def complete(self) -> bool:
        return set(self.expected) <= set(self.seeds)

    @property
    def coverage(self) -> str:
        """The seeds column: "3", "2/3" or "missing"."""
        if not self.seeds:
            return MISSING
        return (
            str(len(self.seeds))
            if self.complete
            else f"{len(set(self.seeds) & set(self.expected))}/{len(self.expected)}"
        )


@dataclass(frozen=True)
class Table:
    """What every renderer gets. `notes` are the caption's sentences; cells of a row stand in the
    order of `columns`.
    """

    title: str
    notes: tuple[str, ...]
    group_label: str
    row_label: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    @property
    def visible(self) -> tuple[Row, ...]:
        """The rows to show: those that have run, or hold a number all the same."""
        return tuple(
            row
            for row in self.rows
            if row.seeds or any(cell.mean is not None for cell in row.cells)
        )


_SCORES = (("ign_f1", "Ign F1"), ("f1", "F1"), ("freq_f1", "Freq F1"), ("ltail_f1", "LTail F1"))

ABLATION = (
    *(
        Column(f"{split}.{key}", label, split, (split, key))
        for split in ("dev", "test")
        for key, label in _SCORES
    ),
    Column("test.f1.difference", "Δ F1", "test", ("test", "f1"), difference=True),
)

TO_CONTROL = Column(
    "test.f1.to_control", "Δ control", "test", ("test", "f1"), difference=True, to_control=True
)
STAGE1 = "(stage 1)"
EARLY = "†"  # marks a difference that augmentation had no part in

_CALIBRATED, _PRECISION = ("test", "calibrated"), ("test", "average_precision")
CALIBRATED = (
    Column("calibrated.f1", "F1", "calibrated", (*_CALIBRATED, "f1")),
    Column("calibrated.f1.difference", "Δ F1", "calibrated", (*_CALIBRATED, "f1"), True),
    Column("calibrated.ltail_f1", "LTail F1", "calibrated", (*_CALIBRATED, "ltail_f1")),
    Column(
        "calibrated.ltail_f1.difference", "Δ LTail", "calibrated", (*_CALIBRATED, "ltail_f1"), True
    ),
    Column("ap.all", "all", "average precision", (*_PRECISION, "all")),
    Column("ap.all.difference", "Δ all", "average precision", (*_PRECISION, "all"), True),
    Column("ap.frequent", "frequent", "average precision", (*_PRECISION, "frequent")),
    Column("ap.tail", "tail", "average precision", (*_PRECISION, "tail")),
    Column("ap.tail.difference", "Δ tail", "average precision", (*_PRECISION, "tail"), True),
)

DETAIL = (
    Column("test.precision", "P", "test", ("test", "precision")),
    Column("test.recall", "R", "test", ("test", "recall")),
    Column("test.macro_f1", "macro F1", "test", ("test", "macro_f1")),
    Column("test.intra_f1", "intra F1", "test", ("test", "intra_f1")),
    Column("test.inter_f1", "inter F1", "test", ("test", "inter_f1")),
    *(
        Column(f"test.bucket_f1.{bucket}", f"F1 ({bucket})", "test", ("test", "bucket_f1", bucket))
        for bucket in ("0", "1-10", "11-50", "51-200", "201+")
    ),
)


def ablation_tables(
    runs: Iterable[RunDirectory],
    expected: Mapping[str, Expected] | None = None,
    *,
    detail: bool = False,
) -> list[Table]:
    """One `ablation_table` per experiment and dataset among `runs`, sorted by name; `expected` by
    experiment.

    An experiment in `expected` without a finished run has no dataset to head a table with: the
    caller must say so.
    """
    groups: dict[tuple[str, str], list[StoredRun]] = {}
    for run in runs:
        stored = run.read()
        groups.setdefault((stored.experiment, stored.dataset), []).append(stored)
    return [
        ablation_table(stored, (expected or {}).get(experiment), detail=detail)
        for (experiment, _), stored in sorted(groups.items())
    ]


def ablation_table(
    runs: Iterable[StoredRun],
    expected: Expected | None = None,
    *,
    detail: bool = False,
    calibrated: bool = False,
    description: str = "",
) -> Table:
    """Backbones as row groups, augmenters as rows, scores over seeds as cells.

    Args:
        runs: finished runs of one experiment on one dataset.
        expected: the cells that the experiment asks for, in the order of the rows. A cell without a
            run is shown as missing; a run that was not asked for is left out. None: the cells there
            are, each expected to have every seed that any has.
        detail: instead of the four F1 on dev and test, the rest of what is known of test:
            precision, recall, macro, intra- and inter-sentence F1, F1 by training frequency.
        calibrated: instead of these, the scores at one threshold for all relations, tuned on dev,
            and the average precision, which needs no threshold.
        description: what the experiment says of itself; stands in the caption.

    Raises:
        UserError: no run; two runs of one cell and seed; runs that cannot stand in one table
        because their settings differ.
    """
    runs, columns = list(runs), DETAIL if detail else CALIBRATED if calibrated else ABLATION
    if not runs:
        raise UserError("no finished run to make a table of")
    cells: dict[tuple[str, str], dict[int, StoredRun]] = {}
    for run in runs:
        seeds = cells.setdefault((run.backbone, run.augmenter), {})
        if run.seed in seeds:
            raise UserError(
                f"two runs of {run.backbone}, {run.augmenter}, seed {run.seed}: "
                f"{seeds[run.seed].path} and {run.path}. "
                "Report on one results folder at a time"
            )
        seeds[run.seed] = run
    if expected is None:
        expected = expected_of(runs)
    shown = {
        cell: {seed: run for seed, run in sorted(cells.get(cell, {}).items()) if seed in set(seeds)}
        for cell, seeds in expected.items()
    }
    used = [run for seeds in shown.values() for run in seeds.values()]
    if not used:
        raise UserError("none of the finished runs belongs to the experiment")
    _require_comparable(used)
    rows, chosen = [], {}
    for backbone in dict.fromkeys(backbone for backbone, _ in expected):
        if control := best_control(backbone, shown):
            chosen[backbone] = control
    if columns is ABLATION and chosen:
        columns += (TO_CONTROL,)
    for backbone in dict.fromkeys(backbone for backbone, _ in expected):
        none = shown.get((backbone, BASELINE), {})
        control = chosen.get(backbone)
        group = [
            _row(cell, shown[cell], tuple(seeds), none, control, shown, columns)
            for cell, seeds in expected.items()
            if cell[0] == backbone
        ]
        rows += _mark_best(group, columns)
    title = ": ".join(filter(None, (used[0].experiment, used[0].dataset))) + (
        ", test in detail" if detail else ", calibrated" if calibrated else ""
    )
    notes = (*filter(None, [description]), *_notes(used, rows, columns, chosen))
    return Table(title, notes, "Backbone", "Augmenter", columns, tuple(rows))


def expected_of(runs: Iterable[StoredRun]) -> dict[tuple[str, str], list[int]]:
    """What runs ask for where no experiment does: the cells there are, each with every seed that
    any has.
    """
    runs = list(runs)
    cells = {(run.backbone, run.augmenter) for run in runs}
    order = sorted(cells, key=lambda cell: (cell[0], cell[1] != BASELINE, cell[1]))
    return {cell: sorted({run.seed for run in runs}) for cell in order}


def has_calibrated(runs: Iterable[StoredRun]) -> bool:
    """Whether all runs hold calibrated scores, which older ones do not."""
    keys = ("calibrated", _PRECISION[1])
    return all(key in run.metrics.get("test", {}) for run in runs for key in keys)


def is_control(augmenter: str) -> bool:
    """Whether the augmenter is registered as a control; one that is not known here is none."""
    return augmenter in AUGMENTERS and AUGMENTERS.entry(augmenter).control


def best_control(
    backbone: str, cells: Mapping[tuple[str, str], Mapping[int, StoredRun]]
) -> str | None:
    """The control of the backbone with the highest mean dev F1, of those with the most seeds."""
    f1 = {
        augmenter: [run.metrics["dev"]["f1"] or 0.0 for run in runs.values()]
        for (of, augmenter), runs in cells.items()
        if of == backbone and runs and is_control(augmenter)
    }
    return max(f1, key=lambda name: (len(f1[name]), math.fsum(f1[name])), default=None)


def _row(
    cell: tuple[str, str],
    runs: Mapping[int, StoredRun],
    expected: tuple[int, ...],
    none: Mapping[int, StoredRun],
    control: str | None,
    shown: Mapping[tuple[str, str], Mapping[int, StoredRun]],
    columns: tuple[Column, ...],
) -> Row:
    cells = []
    for column in columns:
        if not column.to_control:
            found = score_cell(column, cell[1], runs, none)
        elif control is None or cell[1] in (BASELINE, control):
            found = Cell()
        else:
            found = score_cell(column, cell[1], runs, shown[cell[0], control])
        early = column.difference and found.values and cell[1] != BASELINE
        if early and any(chosen_before_augmentation(run) for run in runs.values()):
            found = replace(found, mark=EARLY)
        cells.append(found)
    return Row(cell[0], cell[1], tuple(cells), tuple(runs), expected)


def score_cell(
    column: Column, augmenter: str, runs: Mapping[int, StoredRun], baseline: Mapping[int, StoredRun]
) -> Cell:
    """The column's score over the runs (seed -> run), or over the seeds shared with `baseline` its
    difference to that.

    Raises UserError naming the file and the key of a score that a run does not hold.
    """
    if column.difference and augmenter == BASELINE:
        return Cell()
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


def _score(run: StoredRun, column: Column) -> float | None:
    """A score of `metrics.json` in percent. Raises UserError naming file and key when it is absent,
    rather than null.
    """
    value: Any = run.metrics
    for key in column.path:
        if not isinstance(value, dict) or key not in value:
            raise UserError(
                f"{run.path / 'metrics.json'}: the key {'.'.join(column.path)} is missing"
            )
        value = value[key]
    return None if value is None else 100 * value


def _mark_best(rows: list[Row], columns: tuple[Column, ...]) -> list[Row]:
    """Mark the highest mean of each column among the rows that have all their seeds; equal as shown
    is equal.
    """
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
                cells = list(rows[r].cells)
                cells[index] = replace(cells[index], best=True)
                rows[r] = replace(rows[r], cells=tuple(cells))
    return rows


def chosen_before_augmentation(run: StoredRun) -> bool:
    """The model that was scored is one of the warm-up: the augmenter had no part in it."""
    warmup = (run.config.get("augment") or {}).get("warmup_epochs", 0)
    return 0 < run.metrics.get("best_epoch", warmup + 1) <= warmup


def _require_comparable(runs: list[StoredRun]) -> None:
    """Raises UserError when runs of one table differ in more than backbone, augmenter and seed."""
    first: dict[tuple[str, str], tuple[StoredRun, Any]] = {}
    for run in runs:
        settings = {(key, ""): run.config.get(key) for key in ("dataset", "encoder", "train")}
        settings["backbone", run.backbone] = run.config["backbone"]
        settings["augmenter", run.augmenter] = run.config["augmenter"]
        if run.augmenter != BASELINE:
            settings["augment", ""] = run.config.get("augment")
        settings |= {
            (fact, ""): run.facts[fact]
            for fact in IDENTIFYING_FACTS
            if run.facts.get(fact) is not None
        }
        for (key, name), value in settings.items():
            other, known = first.setdefault((key, name), (run, value))
            for where, left, right in differing({key: known}, {key: value}):
                if "nothing" in (left, right):
                    # a setting that only a later version has; its default keeps the numbers
                    continue
                raise UserError(
                    "these runs cannot stand in one table, for their settings differ: "
                    f"{where} is {left} in {other.path}, and {right} in {run.path}"
                )


def _notes(
    runs: list[StoredRun], rows: list[Row], columns: tuple[Column, ...], controls: Mapping[str, str]
) -> tuple[str, ...]:
    """The caption: what the numbers are, over which seeds, of which data and encoder, and what is
    not there.
    """
    seeds = sorted({run.seed for run in runs})
    listed = ", ".join(map(str, seeds))
    if len(seeds) == 1:
        notes = [f"Scores in percent, one seed ({listed}): nothing is known of their spread."]
    else:
        notes = [f"Scores in percent: mean ± standard deviation (n - 1) over the seeds {listed}."]
    notes.append(
        f"Encoder: {_encoder(runs[0].config['encoder'])}. The model is chosen by dev F1; test is "
        "scored once with it."
    )
    if any(column.difference for column in columns):
        spread = ", mean ± standard deviation of the pairs" if len(seeds) > 1 else ""
        notes.append(
            f"Δ F1: test F1 minus that of `{BASELINE}` with the same backbone and seed{spread}."
        )
    if TO_CONTROL in columns:
        best = ", ".join(f"`{name}` ({backbone})" for backbone, name in controls.items())
        notes.append(
            "Δ control: the same to the best control, which is the one with the highest dev F1: "
            f"{best}."
        )
    if columns is CALIBRATED:
        notes.append(
            "Calibrated: one threshold for all relations, tuned on dev and applied once to test. "
            "Average precision: micro, of the ranking of all candidates, without any threshold. A "
            "gain that is left here is learning; one that vanishes was a shifted balance of "
            "precision and recall."
        )
    if any("bucket_f1" in column.path for column in columns):
        notes.append(
            "F1 (1-10): over the relations with so many training facts. Macro F1: over the "
            "relations with gold facts."
        )
    if any(cell.best for row in rows for cell in row.cells):
        notes.append("Bold: the best of its column within the backbone; no claim of significance.")
    notes += coverage_notes(rows)
    early = [run for run in runs if chosen_before_augmentation(run) and run.augmenter != BASELINE]
    if early:
        listed = ", ".join(
            f"{run.backbone}/{run.augmenter} (seed {run.seed}, epoch {run.metrics['best_epoch']})"
            for run in early
        )
        notes.append(
            f"{EARLY}: the epoch that was best on dev lies before augmentation set in, so the "
            f"scored model never met a generated pair: {listed}."
        )
    if any(cell.absent == UNDEFINED for row in rows for cell in row.cells):
        notes.append(
            "n/a: undefined, because there are no gold facts of that kind, or no predictions "
            "(precision). A corpus with ten relations or fewer has no tail unless "
            "`dataset.frequent` names its frequent relations."
        )
    notes += dict.fromkeys(note for run in runs for note in run.facts.get("corpus_notes", ()))
    return tuple(notes)


def with_stage1(table: Table, runs: Iterable[StoredRun]) -> Table:
    """The ablation table of the head protocol, headed by the test scores of the stage 1 models.

    These rows stand above the others of their backbone; a table of the paper's protocol stays as
    it is, for there the run of `none` is the stage 1 model.
    """
    first: dict[str, dict[int, StoredRun]] = {}
    for run in runs:
        if run.augmenter == BASELINE and "stage1" in run.metrics:
            metrics = {"test": run.metrics["stage1"]}
            first.setdefault(run.backbone, {})[run.seed] = replace(run, metrics=metrics)
    rows: list[Row] = []
    for row in table.rows:
        models = first.pop(row.group, None)
        if models is not None:
            cells = tuple(
                Cell()
                if column.difference or column.path[0] != "test"
                else score_cell(column, STAGE1, models, {})
                for column in table.columns
            )
            rows.append(Row(row.group, STAGE1, cells, tuple(sorted(models)), row.expected))
        rows.append(row)
    if len(rows) == len(table.rows):
        return table
    note = f"{STAGE1}: the whole model before its head was trained anew; its encoder is shared."
    return replace(table, rows=tuple(rows), notes=(*table.notes, note))


def coverage_notes(rows: Iterable[Row]) -> list[str]:
    """Which rows were not run, in one sentence, and which have only some of their seeds."""
    rows = list(rows)
    absent, notes = [row for row in rows if not row.seeds], []
    if absent:
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


def _encoder(config: Mapping[str, Any]) -> str:
    name = (
        Path(config["name"]).name
        if Path(config["name"]).expanduser().is_absolute()
        else config["name"]
    )
    freeze = config.get("freeze", "none")
    if freeze == "none":
        return f"{name}, trained"
    return (
        f"{name}, frozen"
        if freeze == "all"
        else f"{name}, its lowest {freeze.removeprefix('lower:')} layers frozen"
    )
