"""The table of generative quality, from the runs' `quality.json` (see `benchmark.quality.pairs`).

Augmenters are rows. Above them are the yardsticks of each backbone: real dev pairs, real training
pairs with the same label sets, and Gaussian noise. The caption names what has collapsed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from benchmark.errors import UserError
from benchmark.reports.ablation import coverage_notes
from benchmark.reports.study import Study, is_control
from benchmark.reports.tables import BASELINE, MISSING, UNDEFINED, Cell, Column, Row, Table
from benchmark.statistics.advice import named_seeds
from benchmark.store.runs import RunDirectory, StoredRun

QUALITY = "quality.json"
GENERATED = "generated"
NOT_OF_CONTROLS = ("copies", "mmd", "frechet")  # as in benchmark/quality/flags.py, without torch
YARDSTICKS = {"dev": "(real, dev)", "train": "(real, train)", "noise": "(noise)"}
_NO_SHARES = {"kl", "frechet", "flags"}  # all other measures are shown in percent
_Measured = Mapping[int, Mapping[str, Any]]  # seed -> the content of its quality.json
FIT = {  # of an augmenter that is fitted: key -> label and what it shows
    "reconstruction_explained": (
        "VAE expl.",
        "share of the variance about the training mean that is reconstructed",
    ),
    "labels_kept": (
        "kept",
        "share of the recognised training pairs that are still recognised after their "
        "reconstruction",
    ),
    "labels_kept_tail": ("kept tail", "of those with a rare relation"),
    "active_share": ("active", "share of the latent units with a posterior mean that varies"),
    "kl": (
        "KL",
        "of the posteriors to a standard normal (not in vaediff's loss after its warm-up)",
    ),
    "prior_explained": (
        "prior expl.",
        "share of the error of a denoiser that knows each dimension's mean and spread alone",
    ),
    "class_effect": ("class", "growth of the prior's error when it is told another class"),
}


def _of_groups(measure: str, label: str, heading: str, decimals: int) -> list[Column]:
    groups = {"all": label, "tail": f"{label} tail", "frequent": f"{label} freq"}
    return [
        Column(f"{measure}.{group}", name, heading, decimals=decimals)
        for group, name in groups.items()
    ]


COLUMNS = (
    *(Column(key, label, "fit", decimals=1) for key, (label, _) in FIT.items()),
    *_of_groups("exact_match", "exact", "labels", 1),
    Column("micro_f1.all", "F1", "labels", decimals=1),
    *_of_groups("mmd", "MMD²", "distance", 2),
    *_of_groups("frechet", "Fréchet", "distance", 2),
    Column("spread.all", "spread", "variety", decimals=0),
    Column("within_spread.all", "within", "variety", decimals=0),
    Column("between_share.all", "between", "variety", decimals=0),
    Column("neighbour.all", "nearest", "variety", decimals=0),
    Column("flags", "flags", "variety", decimals=1),
)


def quality_tables(study: Study) -> list[Table]:
    """The table of generative quality; none if no run has a `quality.json`.

    Raises UserError for one that is torn, or was changed after its run was done.
    """
    measured = {
        place: {
            seed: _of_control(found) if is_control(place[1]) else found
            for seed, run in runs.items()
            if (found := quality_of(run)) is not None
        }
        for place, runs in study.cells.items()
        if place[1] != BASELINE
    }
    every = [found for seeds in measured.values() for found in seeds.values()]
    if not every:
        return []
    kinds = (GENERATED, *YARDSTICKS)
    having = {key for found in every for kind in kinds for key in _numbers(found, kind)}
    columns = tuple(column for column in COLUMNS if column.key in having)
    yardsticks, rows = [], []
    for backbone in study.backbones:
        here = {place: found for place, found in measured.items() if place[0] == backbone}
        # real pairs and noise are the same for every augmenter of a seed, so any one's will do
        by_seed = {seed: numbers for found in here.values() for seed, numbers in found.items()}
        seeds = tuple(sorted(by_seed))
        for kind, label in YARDSTICKS.items() if seeds else ():
            yardsticks.append(Row(backbone, label, _cells(columns, kind, by_seed), seeds, seeds))
        for place, found in here.items():
            cells = _cells(columns, GENERATED, found)
            control, expected = is_control(place[1]), study.expected[place]
            rows.append(Row(*place, cells, tuple(found), expected, control=control))
    lacking = any(measured[place].keys() != study.cells[place].keys() for place in measured)
    notes = [*_notes(every[0], columns), *coverage_notes(rows, "measured")]
    notes += ["`run_benchmark.py quality` measures runs that are done."] if lacking else []
    notes += _flags(measured)
    rows = sorted([*yardsticks, *rows], key=lambda row: study.backbones.index(row.group))
    title = f"{study.title}, generative quality"
    return [Table(title, tuple(notes), "Backbone", "Augmenter", columns, tuple(rows))]


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


def _of_control(measured: Mapping[str, Any]) -> dict[str, Any]:
    """A control's measurement, without the flags that earlier versions gave it."""
    flags = {k: told for k, told in measured["flags"].items() if k not in NOT_OF_CONTROLS}
    return {**measured, "flags": flags}


def _cells(columns: tuple[Column, ...], kind: str, measured: _Measured) -> dict[str, Cell]:
    """The measures of one kind of pairs over seeds; blank where that kind has no such number."""
    if not measured:
        return {column.key: Cell(absent=MISSING) for column in columns}
    found, cells = {seed: _numbers(of, kind) for seed, of in sorted(measured.items())}, {}
    for key in (column.key for column in columns):
        values = {seed: numbers[key] for seed, numbers in found.items() if key in numbers}
        cells[key] = Cell(absent=UNDEFINED) if None in values.values() else Cell(values)
    return cells


def _numbers(measured: Mapping[str, Any], kind: str) -> dict[str, float | None]:
    """The numbers of one kind of pairs by the keys of their columns; None: undefined."""
    numbers = {
        f"{measure}.{group}": of_kind[kind]
        for group, measures in measured["groups"].items()
        for measure, of_kind in measures.items()
        if kind in of_kind
    }
    if kind == GENERATED:
        numbers |= {key: measured["diagnosis"][key] for key in FIT if key in measured["diagnosis"]}
        numbers["flags"] = len(measured["flags"])
    percent = lambda key, value: value is not None and key.partition(".")[0] not in _NO_SHARES
    return {key: 100 * value if percent(key, value) else value for key, value in numbers.items()}


def _notes(measured: Mapping[str, Any], columns: tuple[Column, ...]) -> Iterator[str]:
    kl = "KL (nats), " if any(column.key == "kl" for column in columns) else ""
    yield (
        "In the representation space of the stage 1 model, against dev pairs that nothing was "
        f"trained on, with dev's own label sets; in percent but for {kl}Fréchet and the number of "
        "flags."
    )
    fit = [": ".join(FIT[column.key]) for column in columns if column.key in FIT]
    if fit:
        yield f"{'; '.join(fit)}."
    yield (
        "exact, F1: the frozen stage 1 classifier finds exactly the labels asked for; micro F1 of "
        "its relations."
    )
    yield (
        "MMD²: unbiased, RBF kernel, bandwidth the median distance of dev pairs. Fréchet: on "
        f"{measured.get('settings', {}).get('components', '?')} principal components of the "
        "training pairs. Good is near (real, train), bad near (noise)."
    )
    yield (
        "spread: against dev's; within: about the mean of a label set, against dev's; between: "
        "share of the variance between label sets. nearest: distance to the nearest training pair, "
        "against dev's (0: training pairs are repeated)."
    )


def _flags(measured: Mapping[tuple[str, str], _Measured]) -> Iterator[str]:
    """What has collapsed, in words, with the numbers of the first seed."""
    for (backbone, augmenter), seeds in measured.items():
        for kind in dict.fromkeys(kind for found in seeds.values() for kind in found["flags"]):
            having = [seed for seed, found in seeds.items() if kind in found["flags"]]
            of = named_seeds(having)
            of += f"; numbers of seed {having[0]}" if len(having) > 1 else ""
            yield f"FLAG {backbone}/{augmenter}: {seeds[having[0]]['flags'][kind]} ({of})."
