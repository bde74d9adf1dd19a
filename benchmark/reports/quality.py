"""The table of generative quality, from the runs' `quality.json` (benchmark/quality/pairs.py
says what is measured).

Augmenters are rows, as in the table of scores; above them, for each backbone, stand the yardsticks:
real dev pairs, real training pairs with the same label sets, and Gaussian noise. A run that has no
`quality.json` is shown as missing. What has collapsed stands in the caption, in words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from benchmark.errors import UserError
from benchmark.reports.ablation import Expected
from benchmark.reports.tables import BASELINE, MISSING, UNDEFINED, Cell, Column, Row, Table
from benchmark.store.runs import RunDirectory, StoredRun

QUALITY = "quality.json"
YARDSTICKS = {
    "dev": "(real, dev)",
    "train": "(real, train)",
    "noise": "(noise)",
}  # kind of pairs -> label of its row
PERCENT = {
    "reconstruction_explained",
    "labels_kept",
    "labels_kept_tail",
    "active_share",
    "prior_explained",
    "class_effect",
    "exact_match",
    "micro_f1",
}
PERCENT |= {"mmd", "spread", "within_spread", "between_share", "neighbour"}


def _of_groups(measure: str, name: str, decimals: int) -> list[Column]:
    heading = "labels" if measure == "exact_match" else "distance"
    groups = (("all", name), ("tail", f"{name} tail"), ("frequent", f"{name} freq"))
    return [
        Column(f"{measure}.{group}", label, heading, ("groups", group, measure), decimals=decimals)
        for group, label in groups
    ]


def _of_all(measure: str, heading: str, label: str, decimals: int = 0) -> Column:
    return Column(f"{measure}.all", label, heading, ("groups", "all", measure), decimals=decimals)


def _of_diagnosis(name: str, label: str) -> Column:
    return Column(name, label, "fit", ("diagnosis", name), decimals=1)


COLUMNS = (
    _of_diagnosis("reconstruction_explained", "VAE expl."),
    _of_diagnosis("labels_kept", "kept"),
    _of_diagnosis("labels_kept_tail", "kept tail"),
    _of_diagnosis("active_share", "active"),
    _of_diagnosis("kl", "KL"),
    _of_diagnosis("prior_explained", "prior expl."),
    _of_diagnosis("class_effect", "class"),
    *_of_groups("exact_match", "exact", 1),
    _of_all("micro_f1", "labels", "F1", 1),
    *_of_groups("mmd", "MMD²", 2),
    *_of_groups("frechet", "Fréchet", 2),
    _of_all("spread", "variety", "spread"),
    _of_all("within_spread", "variety", "within"),
    _of_all("between_share", "variety", "between"),
    _of_all("neighbour", "variety", "nearest"),
    Column("flags", "flags", "variety", ("flags",), decimals=1),
)


FIT = {  # key of a column -> what it shows
    "reconstruction_explained": "VAE expl.: share of the variance about the training mean that is "
    "reconstructed",
    "labels_kept": "kept: share of the recognised training pairs that are still recognised after "
    "their reconstruction",
    "active_share": "active: share of the latent units with a posterior mean that varies",
    "kl": "KL: of the posteriors to a standard normal (not in vaediff's loss after its warm-up)",
    "prior_explained": "prior expl.: share of the error of a denoiser that knows each dimension's "
    "mean and spread alone",
    "class_effect": "class: growth of the prior's error when told another class",
}


def quality_tables(runs: Iterable[StoredRun], expected: Expected | None = None) -> list[Table]:
    """The table of generative quality; none at all if no run has a `quality.json`.

    Args:
        runs: finished runs of one experiment on one dataset.
        expected: the cells that the experiment asks for, in the order of the rows; None: those
            there are.

    Raises:
        UserError: a `quality.json` is torn, or was changed after its run was done.
    """
    runs = [run for run in runs if run.augmenter != BASELINE]
    if expected is None:
        seeds = sorted({run.seed for run in runs})
        expected = dict.fromkeys(sorted({(run.backbone, run.augmenter) for run in runs}), seeds)
    measured: dict[tuple[str, str], dict[int, dict[str, Any]]] = {}
    for run in sorted(runs, key=lambda run: run.seed):
        cell = run.backbone, run.augmenter
        if run.seed in set(expected.get(cell, ())) and (found := quality_of(run)) is not None:
            measured.setdefault(cell, {})[run.seed] = found
    if not measured:
        return []
    every = [found for seeds in measured.values() for found in seeds.values()]
    columns = tuple(column for column in COLUMNS if any(_known(column, found) for found in every))
    cells = {cell: tuple(seeds) for cell, seeds in expected.items() if cell[1] != BASELINE}
    rows = []
    for backbone in dict.fromkeys(backbone for backbone, _ in cells):
        here = {cell[1]: seeds for cell, seeds in cells.items() if cell[0] == backbone}
        rows += _yardsticks(backbone, {a: measured.get((backbone, a), {}) for a in here}, columns)
        rows += [
            _row(backbone, a, "generated", measured.get((backbone, a), {}), seeds, columns)
            for a, seeds in here.items()
        ]
    title = ": ".join(filter(None, (runs[0].experiment, runs[0].dataset))) + ", generative quality"
    return [
        Table(title, _notes(measured, rows, columns), "Backbone", "Augmenter", columns, tuple(rows))
    ]


def quality_of(run: StoredRun) -> dict[str, Any] | None:
    """The run's `quality.json`; None if it has none.

    Raises UserError when it is torn, or, having been there when the run was done, was changed
    since.
    """
    directory = RunDirectory(run.path)
    if not (run.path / QUALITY).is_file():
        return None
    if QUALITY in directory.read_json("DONE").get("sha256", {}):
        directory.verify(QUALITY)
    found = directory.read_json(QUALITY)
    if not isinstance(found, dict) or not {"diagnosis", "groups", "flags"} <= found.keys():
        raise UserError(
            f"{run.path / QUALITY}: not a measurement of generated pairs; delete it and measure "
            "again"
        )
    return found


def _known(column: Column, numbers: Mapping[str, Any]) -> bool:
    """Whether a measurement has this number: a dataset may know no frequent relations, an augmenter
    may have nothing to fit.
    """
    section, *rest = column.path
    return section == "flags" or rest[0] in numbers[section]


def _yardsticks(
    backbone: str, measured: Mapping[str, Mapping[int, dict]], columns: tuple[Column, ...]
) -> list[Row]:
    """Rows of the real pairs and of noise: the same for every augmenter of a seed, so any one's
    will do.
    """
    by_seed = {seed: found for seeds in measured.values() for seed, found in seeds.items()}
    by_seed = dict(sorted(by_seed.items()))
    return [
        _row(backbone, label, kind, by_seed, tuple(by_seed), columns)
        for kind, label in YARDSTICKS.items()
        if by_seed
    ]


def _row(
    backbone: str,
    label: str,
    kind: str,
    found: Mapping[int, dict],
    expected: tuple[int, ...],
    columns: tuple[Column, ...],
) -> Row:
    cells = tuple(_cell(column, kind, found) for column in columns)
    return Row(backbone, label, cells, tuple(found), expected)


def _cell(column: Column, kind: str, found: Mapping[int, dict]) -> Cell:
    """A measure of one kind of pairs over seeds; blank where it is none of theirs (noise has no
    posterior).
    """
    if not found:
        return Cell(absent=MISSING)
    values = {seed: _value(column, kind, numbers) for seed, numbers in found.items()}
    values = {seed: value for seed, value in values.items() if value is not Ellipsis}
    if not values:
        return Cell()
    return Cell(absent=UNDEFINED) if None in values.values() else Cell(values)


def _value(column: Column, kind: str, numbers: Mapping[str, Any]) -> Any:
    """A number, in percent where it is a share; None where it is undefined; ... where there is no
    such number.
    """
    if column.path == ("flags",):
        return len(numbers["flags"]) if kind == "generated" else ...
    if column.path[0] == "diagnosis":
        value = numbers["diagnosis"].get(column.path[1], ...) if kind == "generated" else ...
    else:
        _, group, measure = column.path
        value = numbers["groups"].get(group, {}).get(measure, {}).get(kind, ...)
    return 100 * value if isinstance(value, (int, float)) and column.path[-1] in PERCENT else value


def _notes(
    measured: Mapping[tuple[str, str], Mapping[int, dict]],
    rows: list[Row],
    columns: tuple[Column, ...],
) -> tuple[str, ...]:
    settings = next(iter(next(iter(measured.values())).values())).get("settings", {})
    notes = [
        "In the representation space of the stage 1 model, against dev pairs that nothing was "
        "trained on, with dev's own label "
        "sets; in percent but for KL (nats), Fréchet and the number of flags."
    ]
    if fit := "; ".join(dict.fromkeys(FIT[column.key] for column in columns if column.key in FIT)):
        notes.append(f"{fit[0].upper()}{fit[1:]}.")
    notes += [
        "exact, F1: the frozen stage 1 classifier finds exactly the labels asked for; micro F1 of "
        "its relations.",
        "MMD²: unbiased, RBF kernel, bandwidth the median distance of dev pairs. Fréchet: on "
        f"{settings.get('components', '?')} "
        "principal components of the training pairs. Good is near (real, train), bad near (noise).",
        "spread: against dev's; within: about the mean of a label set, against dev's; between: "
        "share of the variance between label "
        "sets. nearest: distance to the nearest training pair, against dev's (0: training pairs "
        "are repeated).",
    ]
    lacking = [row for row in rows if row.label not in YARDSTICKS.values() and not row.complete]
    if lacking:
        texts = (
            f"{r.group}/{r.label} (seed "
            f"{', '.join(map(str, sorted(set(r.expected) - set(r.seeds))))})"
            for r in lacking
        )
        notes.append(f"Not measured: {'; '.join(texts)}. See: run_benchmark.py quality --help.")
    for (backbone, augmenter), seeds in measured.items():
        kinds = dict.fromkeys(kind for found in seeds.values() for kind in found["flags"])
        for kind in kinds:
            having = {
                seed: found["flags"][kind]
                for seed, found in seeds.items()
                if kind in found["flags"]
            }
            first, sentence = next(iter(having.items()))
            others = (
                f" (seeds {', '.join(map(str, having))}; numbers of seed {first})"
                if len(having) > 1
                else f" (seed {first})"
            )
            notes.append(f"FLAG {backbone}/{augmenter}: {sentence}{others}.")
    return tuple(notes)
