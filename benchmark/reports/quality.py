"""The table of generative quality, from the runs' `quality.json` (see `benchmark.quality.pairs`).

Augmenters are rows. Above them are the yardsticks of each backbone: real dev pairs, real training
pairs with the same label sets, and Gaussian noise. The caption names what has collapsed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from benchmark.errors import UserError
from benchmark.reports.study import Study
from benchmark.reports.tables import BASELINE, MISSING, UNDEFINED, Cell, Column, Row, Table
from benchmark.store.runs import RunDirectory, StoredRun

QUALITY = "quality.json"
GENERATED = "generated"
YARDSTICKS = {"dev": "(real, dev)", "train": "(real, train)", "noise": "(noise)"}
_NO_SHARES = {"kl", "frechet", "flags"}  # all other measures are shown in percent
_ABSENT = object()  # a number that this kind of pairs does not have
_Measured = Mapping[int, Mapping[str, Any]]  # seed -> the content of its quality.json


def _of_fit(name: str, label: str) -> Column:
    return Column(name, label, "fit", ("diagnosis", name), decimals=1)


def _of_group(measure: str, label: str, heading: str, decimals: int, group: str = "all") -> Column:
    key = f"{measure}.{group}"
    return Column(key, label, heading, ("groups", group, measure), decimals=decimals)


def _of_groups(measure: str, label: str, heading: str, decimals: int) -> list[Column]:
    groups = {"all": label, "tail": f"{label} tail", "frequent": f"{label} freq"}
    return [_of_group(measure, name, heading, decimals, group) for group, name in groups.items()]


COLUMNS = (
    _of_fit("reconstruction_explained", "VAE expl."),
    _of_fit("labels_kept", "kept"),
    _of_fit("labels_kept_tail", "kept tail"),
    _of_fit("active_share", "active"),
    _of_fit("kl", "KL"),
    _of_fit("prior_explained", "prior expl."),
    _of_fit("class_effect", "class"),
    *_of_groups("exact_match", "exact", "labels", 1),
    _of_group("micro_f1", "F1", "labels", 1),
    *_of_groups("mmd", "MMD²", "distance", 2),
    *_of_groups("frechet", "Fréchet", "distance", 2),
    _of_group("spread", "spread", "variety", 0),
    _of_group("within_spread", "within", "variety", 0),
    _of_group("between_share", "between", "variety", 0),
    _of_group("neighbour", "nearest", "variety", 0),
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


def quality_tables(study: Study) -> list[Table]:
    """The table of generative quality; none if no run has a `quality.json`.

    Raises UserError for one that is torn, or was changed after its run was done.
    """
    measured = {
        cell: {seed: found for seed, run in runs.items() if (found := quality_of(run)) is not None}
        for cell, runs in study.cells.items()
        if cell[1] != BASELINE
    }
    every = [found for seeds in measured.values() for found in seeds.values()]
    if not every:
        return []
    columns = tuple(column for column in COLUMNS if any(_known(column, found) for found in every))
    make = lambda label, kind, found, expected: Row(
        *label, tuple(_cell(c, kind, found) for c in columns), tuple(found), expected
    )
    rows: list[Row] = []
    for backbone in study.backbones:
        here = {cell: found for cell, found in measured.items() if cell[0] == backbone}
        # real pairs and noise are the same for every augmenter of a seed, so any one's will do
        by_seed = {seed: numbers for found in here.values() for seed, numbers in found.items()}
        by_seed = dict(sorted(by_seed.items()))
        for kind, label in YARDSTICKS.items() if by_seed else ():
            rows.append(make((backbone, label), kind, by_seed, tuple(by_seed)))
        rows += [make(cell, GENERATED, found, study.expected[cell]) for cell, found in here.items()]
    notes, title = tuple(_notes(measured, rows, columns)), f"{study.title}, generative quality"
    return [Table(title, notes, "Backbone", "Augmenter", columns, tuple(rows))]


def quality_of(run: StoredRun) -> dict[str, Any] | None:
    """The run's `quality.json`; None if it has none.

    Raises UserError when it is torn, or when it was there at the end of the run and has changed.
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
    """Whether a measurement has this number; not all datasets and augmenters have all."""
    section, *rest = column.path
    return section == "flags" or rest[0] in numbers[section]


def _cell(column: Column, kind: str, found: _Measured) -> Cell:
    """A measure of one kind of pairs over seeds; blank where that kind has no such number."""
    if not found:
        return Cell(absent=MISSING)
    values = {seed: _value(column, kind, numbers) for seed, numbers in found.items()}
    values = {seed: value for seed, value in values.items() if value is not _ABSENT}
    return Cell(absent=UNDEFINED) if None in values.values() else Cell(values)


def _value(column: Column, kind: str, numbers: Mapping[str, Any]) -> Any:
    """A number; None where it is undefined; _ABSENT where there is no such number."""
    section, *rest = column.path
    if section == "groups":
        group, measure = rest
        value = numbers["groups"].get(group, {}).get(measure, {}).get(kind, _ABSENT)
    elif kind != GENERATED:
        return _ABSENT
    else:
        value = len(numbers["flags"]) if not rest else numbers[section].get(rest[0], _ABSENT)
    shared = isinstance(value, (int, float)) and column.path[-1] not in _NO_SHARES
    return 100 * value if shared else value


def _notes(
    measured: Mapping[tuple[str, str], _Measured], rows: list[Row], columns: tuple[Column, ...]
) -> Iterator[str]:
    first = next(found for seeds in measured.values() for found in seeds.values())
    yield (
        "In the representation space of the stage 1 model, against dev pairs that nothing was "
        "trained on, with dev's own label sets; in percent but for KL (nats), Fréchet and the "
        "number of flags."
    )
    if fit := "; ".join(FIT[column.key] for column in columns if column.key in FIT):
        yield f"{fit[0].upper()}{fit[1:]}."
    yield (
        "exact, F1: the frozen stage 1 classifier finds exactly the labels asked for; micro F1 of "
        "its relations."
    )
    yield (
        "MMD²: unbiased, RBF kernel, bandwidth the median distance of dev pairs. Fréchet: on "
        f"{first.get('settings', {}).get('components', '?')} principal components of the training "
        "pairs. Good is near (real, train), bad near (noise)."
    )
    yield (
        "spread: against dev's; within: about the mean of a label set, against dev's; between: "
        "share of the variance between label sets. nearest: distance to the nearest training pair, "
        "against dev's (0: training pairs are repeated)."
    )
    lacking = {
        f"{row.group}/{row.label}": sorted(set(row.expected) - set(row.seeds))
        for row in rows
        if row.label not in YARDSTICKS.values() and not row.complete
    }
    if lacking:
        each = (f"{name} (seed {', '.join(map(str, seeds))})" for name, seeds in lacking.items())
        yield f"Not measured: {'; '.join(each)}. See: run_benchmark.py quality --help."
    for (backbone, augmenter), seeds in measured.items():
        for kind in dict.fromkeys(kind for found in seeds.values() for kind in found["flags"]):
            having = [seed for seed, found in seeds.items() if kind in found["flags"]]
            of = f"seed {having[0]}"
            if len(having) > 1:
                of = f"seeds {', '.join(map(str, having))}; numbers of seed {having[0]}"
            yield f"FLAG {backbone}/{augmenter}: {seeds[having[0]]['flags'][kind]} ({of})."
