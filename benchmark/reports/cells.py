"""The runs of one experiment by cell, (backbone, augmenter), and by seed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from benchmark.errors import UserError
from benchmark.registry import AUGMENTERS
from benchmark.reports.tables import BASELINE
from benchmark.store.differences import differing
from benchmark.store.runs import IDENTIFYING_FACTS, StoredRun

Expected = Mapping[tuple[str, str], Iterable[int]]
"""(backbone, augmenter) -> the seeds that the experiment asks for, in the order of the rows."""
Seeds = Mapping[int, StoredRun]
Cells = Mapping[tuple[str, str], Seeds]
"""(backbone, augmenter) -> seed -> run."""


def title_of(runs: Iterable[StoredRun]) -> str:
    """ "experiment: dataset"."""
    run = next(iter(runs))
    return ": ".join(filter(None, (run.experiment, run.dataset)))


def expected_of(runs: Iterable[StoredRun]) -> dict[tuple[str, str], list[int]]:
    """The cells that have run, each with every seed that any of them has; `none` comes first."""
    runs = list(runs)
    cells = {(run.backbone, run.augmenter) for run in runs}
    order = sorted(cells, key=lambda cell: (cell[0], cell[1] != BASELINE, cell[1]))
    return {cell: sorted({run.seed for run in runs}) for cell in order}


def by_cell(runs: Iterable[StoredRun]) -> dict[tuple[str, str], dict[int, StoredRun]]:
    """Runs of one experiment by cell and seed. Raises UserError for two runs of one seed."""
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
    return {cell: dict(sorted(seeds.items())) for cell, seeds in cells.items()}


def asked_for(
    runs: Iterable[StoredRun], expected: Expected
) -> dict[tuple[str, str], dict[int, StoredRun]]:
    """The runs that the experiment asks for, for each of its cells, in its order."""
    cells = by_cell(runs)
    return {
        cell: {seed: run for seed, run in cells.get(cell, {}).items() if seed in set(seeds)}
        for cell, seeds in expected.items()
    }


def has_calibrated(runs: Iterable[StoredRun], *names: str) -> bool:
    """Whether all runs hold calibrated scores (or those of CALIBRATIONS that are named), which
    older ones do not.
    """
    keys = names or ("calibrated", "average_precision")
    return all(key in run.metrics.get("test", {}) for run in runs for key in keys)


def is_control(augmenter: str) -> bool:
    """Whether the augmenter is registered as a control."""
    return augmenter in AUGMENTERS and AUGMENTERS.entry(augmenter).control


def best_control(backbone: str, cells: Cells) -> str | None:
    """The backbone's control with the highest mean dev F1, among those with the most seeds."""
    f1 = {
        augmenter: [run.metrics["dev"]["f1"] or 0.0 for run in runs.values()]
        for (of, augmenter), runs in cells.items()
        if of == backbone and runs and is_control(augmenter)
    }
    return max(f1, key=lambda name: (len(f1[name]), math.fsum(f1[name])), default=None)


def chosen_before_augmentation(run: StoredRun) -> bool:
    """Whether the scored model is from the warm-up, before augmentation began."""
    warmup = (run.config.get("augment") or {}).get("warmup_epochs", 0)
    return 0 < run.metrics.get("best_epoch", warmup + 1) <= warmup


def require_comparable(runs: list[StoredRun]) -> None:
    """Raises UserError when runs of one table differ in more than backbone, augmenter and seed."""
    first: dict[tuple[str, str], tuple[StoredRun, Any]] = {}
    for run in runs:
        settings = {(key, ""): run.config.get(key) for key in ("dataset", "encoder", "train")}
        settings["backbone", run.backbone] = run.config["backbone"]
        settings["augmenter", run.augmenter] = run.config["augmenter"]
        if run.augmenter != BASELINE:
            settings["augment", ""] = run.config.get("augment")
        known = {fact: run.facts.get(fact) for fact in IDENTIFYING_FACTS}
        settings |= {(fact, ""): value for fact, value in known.items() if value is not None}
        for (key, name), value in settings.items():
            other, expected = first.setdefault((key, name), (run, value))
            for where, left, right in differing({key: expected}, {key: value}):
                if "nothing" in (left, right):
                    continue  # a setting that a later version added; its default keeps the numbers
                raise UserError(
                    "these runs cannot share a table, because their settings differ: "
                    f"{where} is {left} in {other.path}, and {right} in {run.path}"
                )
