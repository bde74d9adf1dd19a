"""What the leaderboard page shows, as plain data: the finished runs of each experiment on each
dataset, with their table.

Experiments are told apart by their folder: two results folders may hold experiments of one name,
and nothing of one is averaged with the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.errors import UserError
from benchmark.reports.tables import BASELINE, Expected, Row, Table, ablation_table
from benchmark.statistics.results import Interval
from benchmark.store.runs import RunDirectory, StoredRun


@dataclass(frozen=True)
class Study:
    """One experiment on one dataset.

    label: the experiment's name, with its folder where another has the same name.
    dataset, digest: what it was trained and tested on; runs of another digest ran on other data
        under the same name.
    table: its ablation table: rows are the entries of the leaderboard, with their ranks and marks
        if it has any.
    runs: (backbone, augmenter) -> seed -> the run.
    relation_names: relation -> its name in words, where that is known.
    intervals: (backbone, augmenter) -> interval of the difference in test F1 to `none`, as a
        fraction.
    board_notes: what is to be said of all entries on its dataset together.
    """

    label: str
    dataset: str
    digest: str | None
    table: Table
    runs: Mapping[tuple[str, str], Mapping[int, StoredRun]]
    relation_names: Mapping[str, str] = field(default_factory=dict)
    intervals: Mapping[tuple[str, str], Interval] = field(default_factory=dict)
    board_notes: tuple[str, ...] = ()

    def of(self, row: Row) -> Mapping[int, StoredRun]:
        """The runs of a row of the table, by seed."""
        return self.runs.get((row.group, row.label), {})

    def without_augmenter(self, row: Row) -> Mapping[int, StoredRun]:
        """The runs of `none` with the row's backbone."""
        return self.runs.get((row.group, BASELINE), {})


def studies(
    runs: Iterable[StoredRun],
    expected: Mapping[Path, Expected] | None = None,
    descriptions: Mapping[Path, str] | None = None,
) -> tuple[list[Study], list[str]]:
    """The studies among `runs`, by dataset and label, and in words what had to be left out.

    Args:
        runs: finished runs of any number of experiments; one that comes twice (the same folder)
            counts once.
        expected: by the experiment's folder (resolved), the cells and seeds that it asks for, see
            `ablation_table`.
        descriptions: by the experiment's folder, what it says of itself.

    An experiment whose runs cannot stand in one table is left out; the others are not.
    """
    groups: dict[tuple[Path, str, str | None], dict[Path, StoredRun]] = {}
    for run in runs:
        key = (folder_of(run), run.dataset, run.facts.get("corpus_digest"))
        groups.setdefault(key, {})[run.path.resolve()] = run
    labels = _labels({folder for folder, _, _ in groups})
    found, left_out = [], []
    for (folder, dataset, digest), members in groups.items():
        stored = list(members.values())
        try:
            table = ablation_table(
                stored,
                (expected or {}).get(folder),
                description=(descriptions or {}).get(folder, ""),
            )
        except UserError as error:
            left_out.append(f"{labels[folder]}: {error}")
            continue
        cells: dict[tuple[str, str], dict[int, StoredRun]] = {}
        for run in sorted(stored, key=lambda run: run.seed):
            cells.setdefault((run.backbone, run.augmenter), {})[run.seed] = run
        found.append(
            Study(labels[folder], dataset, digest, table, cells, _relation_names(stored[0]))
        )
    return sorted(
        found, key=lambda study: (study.dataset, study.digest or "", study.label)
    ), left_out


def folder_of(run: StoredRun) -> Path:
    """The experiment's folder: <experiment>/<backbone>/<augmenter>/seed-<k>."""
    path = run.path.resolve()
    return path.parents[2] if len(path.parents) > 2 else path


def _labels(folders: Iterable[Path]) -> dict[Path, str]:
    """Each folder by its name, with as many of its parents as tell it from the others of that
    name.
    """
    folders = list(folders)
    depth = dict.fromkeys(folders, 1)
    while True:
        labels = {folder: "/".join(folder.parts[-depth[folder] :]) for folder in folders}
        seen = Counter(labels.values())
        again = [
            folder
            for folder in folders
            if seen[labels[folder]] > 1 and depth[folder] < len(folder.parts)
        ]
        if not again:
            return labels
        for folder in again:
            depth[folder] += 1


def _relation_names(run: StoredRun) -> dict[str, str]:
    """Of the run's dataset; empty where the run's folder does not tell (an older run, a folder
    without the data's files).
    """
    try:
        stored = RunDirectory(run.path).read_json("relations.json")
    except UserError:
        return {}
    pairs = stored.get("relations", []) if isinstance(stored, dict) else []
    return {
        str(pair[0]): str(pair[1]) for pair in pairs if isinstance(pair, list) and len(pair) == 2
    }
