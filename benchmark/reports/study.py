"""The finished runs of one experiment on one dataset: what every table is made of."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

from benchmark.errors import UserError
from benchmark.registry import AUGMENTERS
from benchmark.reports.tables import BASELINE
from benchmark.statistics.advice import named_seeds
from benchmark.store.differences import differing
from benchmark.store.runs import IDENTIFYING_FACTS, RunDirectory, StoredRun

Expected = Mapping[tuple[str, str], Iterable[int]]
"""(backbone, augmenter) -> the seeds that the experiment asks for, in the order of the rows."""
Seeds = Mapping[int, StoredRun]
Pairs = list[tuple[StoredRun, StoredRun]]
LATER = {  # scores on test that older runs do not hold -> what a caption calls them
    "calibrated": "calibrated scores",
    "average_precision": "average precision",
    "per_relation": "scores with a threshold for each relation",
}


@dataclass(frozen=True, eq=False)
class Study:
    """One experiment on one dataset.

    cells: (backbone, augmenter) -> seed -> finished run; empty where none has finished.
    expected: the seeds asked for, of the same cells.
    description: what the experiment says of itself.
    label: its name, with its folder where another experiment has the same name.
    without: which of its runs are left out here, in a sentence; see `holding`.
    """

    cells: Mapping[tuple[str, str], Seeds]
    expected: Mapping[tuple[str, str], tuple[int, ...]]
    description: str = ""
    label: str = ""
    without: str = ""

    @staticmethod
    def of(
        runs: Iterable[StoredRun], expected: Expected | None = None, description="", label=""
    ) -> Study:
        """The runs by cell and seed.

        expected: None for the cells that have run, each with every seed that any of them has.

        Raises UserError for no run, two of one cell and seed, and settings that differ.
        """
        found: dict[tuple[str, str], dict[int, StoredRun]] = {}
        order = lambda run: (run.backbone, run.augmenter != BASELINE, run.augmenter)
        for run in sorted(runs, key=order):
            other = found.setdefault((run.backbone, run.augmenter), {}).setdefault(run.seed, run)
            if other is not run:
                raise UserError(
                    f"two runs of {run.backbone}, {run.augmenter}, seed {run.seed}: {other.path} "
                    f"and {run.path}. Report on one results folder at a time"
                )
        if expected is None:
            every = sorted({seed for seeds in found.values() for seed in seeds})
            expected = dict.fromkeys(found, every)
        cells = {cell: dict(sorted(found.get(cell, {}).items())) for cell in expected}
        asked = {cell: tuple(seeds) for cell, seeds in expected.items()}
        study = Study(cells, asked, description, label)
        if not study.runs:
            raise UserError("no finished run to make a table of")
        _require_comparable(study.runs)
        return study

    @property
    def runs(self) -> list[StoredRun]:
        return [run for seeds in self.cells.values() for run in seeds.values()]

    @property
    def dataset(self) -> str:
        return self.runs[0].dataset

    @property
    def data(self) -> tuple[str, str | None]:
        """The dataset and the digest of its documents: studies that share them share a board."""
        return self.dataset, self.runs[0].facts.get("corpus_digest")

    @property
    def title(self) -> str:
        return ": ".join(filter(None, (self.runs[0].experiment, self.dataset)))

    @property
    def backbones(self) -> list[str]:
        return list(dict.fromkeys(backbone for backbone, _ in self.cells))

    def pairs(self, cell: tuple[str, str], other: str = BASELINE) -> Pairs:
        """(run of the cell, run of another augmenter) for each seed that both have."""
        return common(self.cells.get(cell, {}), self.cells.get((cell[0], other), {}))

    def chosen_early(self, cell: tuple[str, str]) -> list[StoredRun]:
        """The cell's runs whose scored model is from the warm-up, before augmentation began."""
        return [] if cell[1] == BASELINE else [*filter(_from_warmup, self.cells[cell].values())]

    def silent(self, cell: tuple[str, str]) -> list[int]:
        """The seeds of the cell whose runs predict no fact of dev right in any epoch."""
        runs = self.cells.get(cell, {})
        return [seed for seed, run in runs.items() if run.metrics.get("dev", {}).get("f1") == 0]

    def learnt_nothing(self, cell: tuple[str, str]) -> bool:
        """Whether the cell has run, and all of its seeds are `silent`."""
        return bool(self.cells.get(cell)) and len(self.silent(cell)) == len(self.cells[cell])

    def holding(self, *scores: str) -> Study | None:
        """The study of the runs that hold these scores of LATER; None where no run does."""
        holds = lambda run: all(score in run.metrics.get("test", {}) for score in scores)
        cells, lacking = {}, []
        for cell, runs in self.cells.items():
            cells[cell] = {seed: run for seed, run in runs.items() if holds(run)}
            if seeds := [seed for seed in runs if seed not in cells[cell]]:
                lacking.append(f"{'/'.join(cell)} ({named_seeds(seeds)})")
        if not any(cells.values()):
            return None
        names = " and ".join(LATER[score] for score in scores)
        told = f"Older runs, which have no {names}: {', '.join(lacking)}." if lacking else ""
        return replace(self, cells=cells, without=told)

    @cached_property
    def best_controls(self) -> dict[str, str]:
        """Backbone -> its control with the highest mean dev F1, among those with the most seeds."""
        found = {}
        for backbone in self.backbones:
            f1 = {
                augmenter: [run.metrics["dev"]["f1"] or 0.0 for run in runs.values()]
                for (of, augmenter), runs in self.cells.items()
                if of == backbone and runs and is_control(augmenter)
            }
            if f1:
                found[backbone] = max(f1, key=lambda name: (len(f1[name]), math.fsum(f1[name])))
        return found

    @cached_property
    def relation_names(self) -> dict[str, str]:
        """Relation -> its name in words, where that is known."""
        try:
            return dict(inventory(self.runs[0]).get("relations", ()))
        except UserError:
            return {}


def common(runs: Seeds, others: Seeds) -> Pairs:
    """The two runs of each seed that both have."""
    return [(runs[seed], others[seed]) for seed in sorted(runs.keys() & others.keys())]


def inventory(run: StoredRun) -> dict[str, Any]:
    """The "relations" of the run's dataset with their names, and which are "frequent"; empty where
    the run kept none.
    """
    directory = RunDirectory(run.path)
    if not (run.path / "relations.json").is_file():
        return {}
    directory.verify("relations.json")
    return directory.read_json("relations.json")


def is_control(augmenter: str) -> bool:
    return augmenter in AUGMENTERS and AUGMENTERS.entry(augmenter).control


def augment_of(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """How a run with this configuration augments; `none` may say nothing of it."""
    return config.get("augment") or {}


def grouped(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, list]:
    """{first: [second, ...]} of pairs (first, second), in order."""
    groups: dict[Any, list] = {}
    for first, second in pairs:
        groups.setdefault(first, []).append(second)
    return groups


def _from_warmup(run: StoredRun) -> bool:
    warmup = augment_of(run.config).get("warmup_epochs", 0)
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
        known = {fact: run.facts.get(fact) for fact in IDENTIFYING_FACTS}
        if version := known["numerics_version"]:  # followed by that of the run's own parts
            known["numerics_version"], *parts = str(version).split(", ")
            of_backbone = [part for part in parts if part.split()[0] != run.augmenter]
            settings["numerics_version", run.backbone] = ", ".join(of_backbone) or "first"
            cell = f"{run.backbone} {run.augmenter}"
            settings["numerics_version", cell] = ", ".join(parts) or "first"
        of_cell = {"files_digest": f"{run.backbone} {run.augmenter}"}  # each may read its own
        settings |= {(f, of_cell.get(f, "")): v for f, v in known.items() if v is not None}
        for (key, name), value in settings.items():
            other, expected = first.setdefault((key, name), (run, value))
            for where, left, right in differing({key: expected}, {key: value}):
                if "nothing" in (left, right):
                    continue  # a setting that a later version added; its default keeps the numbers
                raise UserError(
                    "these runs cannot share a table, because their settings differ: "
                    f"{where} is {left} in {other.path}, and {right} in {run.path}"
                )


def studies(
    runs: Iterable[StoredRun],
    expected: Mapping[Path, Expected] | None = None,
    descriptions: Mapping[Path, str] | None = None,
) -> tuple[list[Study], list[str]]:
    """The studies among runs of any experiments, and why other runs cannot share a table.

    Experiments are told apart by their folder: two results folders may hold experiments of one
    name. A run that comes twice counts once.

    expected, descriptions: by the experiment's folder (resolved).
    """
    groups: dict[tuple[Path, str, str | None], dict[Path, StoredRun]] = {}
    for run in runs:
        key = (folder_of(run), run.dataset, run.facts.get("corpus_digest"))
        groups.setdefault(key, {})[run.path.resolve()] = run
    folders = {folder for folder, _, _ in groups}
    found, left_out = [], []
    for (folder, _, _), members in groups.items():
        told, label = (descriptions or {}).get(folder, ""), _label(folder, folders)
        try:
            found.append(Study.of(members.values(), (expected or {}).get(folder), told, label))
        except UserError as error:
            left_out.append(f"{label}: {error}")
    order = lambda study: (study.dataset, study.data[1] or "", study.label)
    return sorted(found, key=order), left_out


def folder_of(run: StoredRun) -> Path:
    """The experiment's folder: <experiment>/<backbone>/<augmenter>/seed-<k>."""
    return run.path.resolve().parents[2]


def _label(folder: Path, among: Iterable[Path]) -> str:
    """The folder's name, with as many parents as tell it from the others."""
    end = lambda path, parts: "/".join(path.parts[-parts:])
    alone = (n for n in count(1) if sum(end(other, n) == end(folder, n) for other in among) == 1)
    return end(folder, next(alone))
