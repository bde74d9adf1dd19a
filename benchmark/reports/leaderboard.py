"""The leaderboard as data: the entries on each dataset in order, with their ranks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import fsum

from benchmark.reports.ablation import ablation_table
from benchmark.reports.difference_table import marked, without_counts
from benchmark.reports.evidence import Evidence
from benchmark.reports.ranks import ranks
from benchmark.reports.significance import Significance, significance
from benchmark.reports.study import Pairs, Seeds, Study
from benchmark.reports.submitted import LABEL, UNRANKED
from benchmark.reports.svg import RelationChange
from benchmark.reports.tables import BASELINE, MISSING, Cell, Column, Row, Table
from benchmark.statistics.results import Interval

SCORES = ("test.f1", "test.f1.difference", "test.ign_f1", "test.freq_f1", "test.ltail_f1", "dev.f1")
TIME = Column("minutes", "min/run", "cost", decimals=1)
Data = tuple[str, str | None]
"""A dataset and the digest of its data: what the entries of a board share."""


@dataclass(frozen=True, eq=False)
class Member:
    """A study on a board, with its comparisons and its marked ablation table.

    study, found: None for predictions that were made elsewhere; `table` has their scores.
    """

    table: Table
    study: Study | None = None
    found: Significance | None = None

    @staticmethod
    def of(study: Study, evidence: Evidence) -> Member:
        found = significance(study, evidence)
        table = marked(ablation_table(study), found)
        notes = (*table.notes, *without_counts(found))
        return Member(replace(table, notes=notes), study, found)

    @property
    def label(self) -> str:
        return self.study.label if self.study else LABEL

    def runs(self, row: Row) -> Seeds:
        return self.study.cells[row.group, row.label] if self.study else {}


@dataclass(frozen=True, eq=False)
class Entry:
    """One row of the leaderboard."""

    member: Member
    row: Row

    @property
    def name(self) -> str:
        return f"{self.row.group} + {self.row.label}"

    @property
    def devices(self) -> list[str]:
        known = (run.metrics.get("device") for run in self.member.runs(self.row).values())
        return sorted({str(device) for device in known if device})

    @property
    def interval(self) -> Interval | None:
        """Of the difference in test F1 to `none`."""
        found = self.member.found
        contrast = found and found.first.get((self.row.group, self.row.label))
        return contrast and contrast.interval

    @cached_property
    def changes(self) -> list[RelationChange]:
        """The relations' F1 minus that of `none`, over the seeds that both have."""
        if self.row.label == BASELINE or not self.member.study:
            return []
        names = self.member.study.relation_names
        pairs = self.member.study.pairs((self.row.group, self.row.label))
        known = pairs[0][0].metrics.get("test_relations", {}) if pairs else {}
        return [
            RelationChange(names.get(name) or name, of["train_frequency"], _change(pairs, name))
            for name, of in known.items()
        ]


@dataclass(frozen=True, eq=False)
class Board:
    """All entries on one dataset and version of its data, the best first.

    notes: what to say of all entries together.
    """

    data: Data
    heading: str
    members: tuple[Member, ...]
    entries: tuple[Entry, ...]
    notes: tuple[str, ...]

    @property
    def several(self) -> bool:
        """Whether its runs are of several experiments."""
        return sum(member.study is not None for member in self.members) > 1

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The scores of which some entry has one, and the time."""
        known = {column.key: column for member in self.members for column in member.table.columns}
        having = {key for e in self.entries for key, cell in e.row.cells.items() if cell != Cell()}
        return (*(known[key] for key in SCORES if key in known.keys() & having), TIME)


def by_data(studies: Sequence[Study]) -> dict[Data, list[Study]]:
    groups: dict[Data, list[Study]] = {}
    for study in studies:
        groups.setdefault(study.data, []).append(study)
    return groups


def boards(
    studies: Sequence[Study],
    evidence: Mapping[Data, Evidence],
    elsewhere: Mapping[Data, Table] | None = None,
) -> list[Board]:
    """A board for each dataset and version of its data, in the order of `studies`.

    Entries are ordered by their mean test F1; those without one come last.

    elsewhere: the scores of predictions on the test documents of a board.
    """
    groups, found = by_data(studies), []
    versions = Counter(dataset for dataset, _ in groups)
    for data, together in groups.items():
        members = [Member.of(study, evidence[data]) for study in together]
        rows = [(member, row) for member in members for row in member.table.rows]
        of_row, notes = ranks([(row, member.runs(row)) for member, row in rows], evidence[data])
        entries = [
            Entry(member, replace(row, rank=rank, cells=_timed(row, member.runs(row))))
            for (member, row), rank in zip(rows, of_row, strict=True)
            if row.visible
        ]
        if table := (elsewhere or {}).get(data):
            members.append(Member(table))
            entries += [Entry(members[-1], row) for row in table.rows]
            notes += (UNRANKED,)
        entries.sort(key=lambda entry: -(entry.row.cell("test.f1").mean or 0))
        dataset, digest = data
        heading = f"{dataset} (data {digest or 'unknown'})" if versions[dataset] > 1 else dataset
        found.append(Board(data, heading, tuple(members), tuple(entries), notes))
    return found


def _timed(row: Row, runs: Seeds) -> dict[str, Cell]:
    """The row's cells, none of them the best of its backbone, and its time."""
    seconds = {seed: run.metrics.get("seconds") for seed, run in runs.items()}
    unknown = None in seconds.values()
    minutes = {} if unknown else {seed: value / 60 for seed, value in seconds.items()}
    cells = {key: replace(cell, best=False) for key, cell in row.cells.items()}
    return cells | {TIME.key: Cell(minutes, absent=MISSING if unknown else None)}


def _change(pairs: Pairs, relation: str) -> float | None:
    """The mean change of a relation's F1 in points; None if one of the runs has none."""
    scores = [[run.metrics["test_relations"][relation]["f1"] for run in pair] for pair in pairs]
    if any(None in pair for pair in scores):
        return None
    return 100 * fsum(score - none for score, none in scores) / len(scores)
