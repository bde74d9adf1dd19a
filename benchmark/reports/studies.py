"""The finished runs of each experiment on each dataset, with their table: what a leaderboard shows.

Experiments are told apart by their folder: two results folders may hold experiments of one name,
and their runs are never averaged together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.errors import UserError
from benchmark.reports.ablation import ablation_table
from benchmark.reports.cells import Cells, Expected, by_cell
from benchmark.reports.tables import BASELINE, Cell, Row, Table
from benchmark.statistics.results import Interval
from benchmark.store.runs import RunDirectory, StoredRun


@dataclass(frozen=True)
class Study:
    """One experiment on one dataset.

    label: the experiment's name, with its folder where another has the same name.
    dataset, digest: what it was trained and tested on; another digest means other data.
    table: its ablation table; the rows are the entries of the leaderboard.
    runs: by cell and seed; empty for predictions made elsewhere.
    relation_names: relation -> its name in words, where that is known.
    intervals: (backbone, augmenter) -> interval of the difference in test F1 to `none`, a fraction.
    board_notes: what to say of all entries on its dataset together.
    """

    label: str
    dataset: str
    digest: str | None
    table: Table
    runs: Cells
    relation_names: Mapping[str, str] = field(default_factory=dict)
    intervals: Mapping[tuple[str, str], Interval] = field(default_factory=dict)
    board_notes: tuple[str, ...] = ()

    def of(self, row: Row) -> dict[int, StoredRun]:
        """The runs of a row of the table, by seed."""
        runs = self.runs.get((row.group, row.label), {})
        return {seed: run for seed, run in runs.items() if seed in row.seeds}

    def pairs(self, row: Row) -> list[tuple[StoredRun, StoredRun]]:
        """(run of `none`, run of the row) for each seed that both have; none for `none` itself."""
        others = self.runs.get((row.group, BASELINE), {})
        if row.label == BASELINE:
            return []
        return [(others[seed], run) for seed, run in self.of(row).items() if seed in others]

    def cell(self, row: Row, key: str) -> Cell:
        """A row's cell in the column of this key; blank if there is no such column."""
        keys = [column.key for column in self.table.columns]
        return row.cells[keys.index(key)] if key in keys else Cell()


def studies(
    runs: Iterable[StoredRun],
    expected: Mapping[Path, Expected] | None = None,
    descriptions: Mapping[Path, str] | None = None,
) -> tuple[list[Study], list[str]]:
    """The studies among `runs`, by dataset and label, and in words what was left out.

    An experiment whose runs cannot share a table is left out.

    Args:
        runs: finished runs of any experiments; one that comes twice (the same folder) counts once.
        expected, descriptions: by the experiment's folder (resolved), see `ablation_table`.
    """
    groups: dict[tuple[Path, str, str | None], dict[Path, StoredRun]] = {}
    for run in runs:
        key = (folder_of(run), run.dataset, run.facts.get("corpus_digest"))
        groups.setdefault(key, {})[run.path.resolve()] = run
    labels = _labels({folder for folder, _, _ in groups})
    found, left_out = [], []
    for (folder, dataset, digest), members in groups.items():
        stored, asked = list(members.values()), (expected or {}).get(folder)
        description = (descriptions or {}).get(folder, "")
        try:
            table = ablation_table(stored, asked, description=description)
        except UserError as error:
            left_out.append(f"{labels[folder]}: {error}")
            continue
        names = _relation_names(stored[0])
        found.append(Study(labels[folder], dataset, digest, table, by_cell(stored), names))
    return sorted(found, key=lambda s: (s.dataset, s.digest or "", s.label)), left_out


def folder_of(run: StoredRun) -> Path:
    """The experiment's folder: <experiment>/<backbone>/<augmenter>/seed-<k>."""
    path = run.path.resolve()
    return path.parents[2] if len(path.parents) > 2 else path


def _labels(folders: Iterable[Path]) -> dict[Path, str]:
    """Each folder by its name, with as many parents as tell it from others of that name."""
    depth = dict.fromkeys(folders, 1)
    while True:
        labels = {folder: "/".join(folder.parts[-count:]) for folder, count in depth.items()}
        seen = Counter(labels.values())
        longer = [f for f in labels if seen[labels[f]] > 1 and depth[f] < len(f.parts)]
        if not longer:
            return labels
        for folder in longer:
            depth[folder] += 1


def _relation_names(run: StoredRun) -> dict[str, str]:
    """Of the run's dataset; empty for an older run, which has no such file."""
    try:
        stored = RunDirectory(run.path).read_json("relations.json")
    except UserError:
        return {}
    pairs = stored.get("relations", []) if isinstance(stored, dict) else []
    return {str(p[0]): str(p[1]) for p in pairs if isinstance(p, list) and len(p) == 2}
