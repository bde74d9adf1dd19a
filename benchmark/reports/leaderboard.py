"""The leaderboard as data: the entries on each dataset in order, with their ranks and panels."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count
from typing import Any

from benchmark.reports.ablation import ablation_table
from benchmark.reports.difference_table import marked, without_counts
from benchmark.reports.evidence import Evidence
from benchmark.reports.ranks import ranks
from benchmark.reports.significance import Significance, significance
from benchmark.reports.study import Pairs, Seeds, Study
from benchmark.reports.submitted import LABEL, UNRANKED
from benchmark.reports.svg import RelationChange
from benchmark.reports.tables import BASELINE, Cell, Column, Row, Table
from benchmark.statistics.results import Interval
from benchmark.store.differences import flat
from benchmark.store.runs import StoredRun

SCORES = ("test.f1", "test.f1.difference", "test.ign_f1", "test.freq_f1", "test.ltail_f1", "dev.f1")
Data = tuple[str, str | None]
"""A dataset and the digest of its data: what the entries of a board share."""


@dataclass(frozen=True, eq=False)
class Member:
    """A study on a board.

    label: the study's name.
    table: its marked ablation table; the rows are entries.
    study, found: its runs and comparisons; None for predictions that were made elsewhere.
    number: its place in the page's data.
    """

    label: str
    table: Table
    study: Study | None = None
    found: Significance | None = None
    number: int = 0

    def runs(self, row: Row) -> Seeds:
        return self.study.cells[row.group, row.label] if self.study else {}

    def pairs(self, row: Row) -> Pairs:
        """(the row's run, that of `none`) for each seed that both have; none for `none` itself."""
        compared = self.study and row.label != BASELINE
        return self.study.pairs((row.group, row.label)) if compared else []

    def interval(self, row: Row) -> Interval | None:
        """Of the difference in test F1 to `none`."""
        contrast = self.found.first.get((row.group, row.label)) if self.found else None
        return contrast and contrast.interval

    @cached_property
    def relations(self) -> list[list[Any]]:
        """[relation, its name, training facts, gold facts in test], the most frequent first."""
        runs = self.study.runs if self.study else []
        known = next((k for run in runs if (k := run.metrics.get("test_relations"))), {})
        rows = [
            [name, self.study.relation_names.get(name, ""), of["train_frequency"], of["gold"]]
            for name, of in known.items()
        ]
        return sorted(rows, key=lambda row: (-row[2], row[0]))


@dataclass(frozen=True, eq=False)
class Entry:
    """One row of the leaderboard; `number` is its place in the page's data."""

    number: int
    member: Member
    row: Row

    @property
    def name(self) -> str:
        return f"{self.row.group} + {self.row.label}"

    @property
    def runs(self) -> Seeds:
        return self.member.runs(self.row)

    @property
    def devices(self) -> list[str]:
        known = (run.metrics.get("device") for run in self.runs.values())
        return sorted({str(device) for device in known if device})

    @property
    def seconds(self) -> dict[int, float] | None:
        """Of each seed's run; None if they are unknown."""
        seconds = {seed: run.metrics.get("seconds") for seed, run in self.runs.items()}
        return seconds if seconds and None not in seconds.values() else None

    def cell(self, key: str) -> Cell:
        return self.member.table.cell(self.row, key)

    @cached_property
    def changes(self) -> list[RelationChange]:
        """The relations' F1 minus that of `none`, over the seeds that both have."""
        pairs, known = self.member.pairs(self.row), self.member.relations
        if not pairs:
            return []
        values, base = (_relation_means(side, known) for side in zip(*pairs, strict=True))
        return [
            RelationChange(
                name or relation, frequency, None if None in (value, none) else value - none
            )
            for (relation, name, frequency, _), value, none in zip(known, values, base, strict=True)
        ]

    def data(self) -> dict[str, Any]:
        """What the row's panel is made of."""
        known, pairs = self.member.relations, self.member.pairs(self.row)
        instead = "Made elsewhere: there are predictions only."
        return {
            "study": self.member.number,
            "name": self.name,
            "experiment": self.member.label,
            "seeds": [self._seed(seed, run) for seed, run in self.runs.items()],
            "relations": _relation_means(list(self.runs.values()), known),
            "none": _relation_means([none for _, none in pairs], known) if pairs else None,
            "change": [_rounded(change.change) for change in self.changes] or None,
            "paired": len(pairs),
            "instead": "No run of this entry is finished." if self.member.study else instead,
            "settings": _settings(self.runs),
        }

    def _seed(self, seed: int, run: StoredRun) -> dict[str, Any]:
        keys = {"f1": "f1", "ltail": "ltail_f1", "difference": "f1.difference"}
        of_seed = lambda key: _rounded(self.cell(f"test.{key}").values.get(seed))
        known = ("best_epoch", "epochs", "seconds", "device", "parameters")
        return {
            "seed": seed,
            **{name: of_seed(key) for name, key in keys.items()},
            **{key: run.metrics.get(key) for key in known},
        }


@dataclass(frozen=True, eq=False)
class Board:
    """All entries on one dataset and version of its data, the best first.

    notes: what to say of all entries together.
    """

    number: int
    data: Data
    heading: str
    members: tuple[Member, ...]
    entries: tuple[Entry, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def columns(self) -> tuple[Column, ...]:
        """The scores to show."""
        known = {column.key: column for member in self.members for column in member.table.columns}
        return tuple(known[key] for key in SCORES if key in known)


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

    elsewhere: tables of predictions on the test documents of a board.
    """
    groups = by_data(studies)
    versions = Counter(dataset for dataset, _ in groups)
    found, study_number, entry_number = [], count(), count()
    for data, together in groups.items():
        members = [_member(study, evidence[data], next(study_number)) for study in together]
        rows = [(member, row) for member in members for row in member.table.rows]
        mean = lambda member, row: member.table.cell(row, "test.f1").mean
        means_and_runs = [(row, mean(member, row), member.runs(row)) for member, row in rows]
        of_row, notes = ranks(means_and_runs, evidence[data])
        rows = [
            (member, replace(row, rank=rank))
            for (member, row), rank in zip(rows, of_row, strict=True)
            if row.visible
        ]
        if table := (elsewhere or {}).get(data):
            members.append(Member(LABEL, table, number=next(study_number)))
            rows += [(members[-1], row) for row in table.rows]
            notes += (UNRANKED,)
        rows.sort(key=lambda entry: (mean(*entry) is None, -(mean(*entry) or 0)))
        entries = tuple(Entry(next(entry_number), *row) for row in rows)
        dataset, digest = data
        heading = f"{dataset} (data {digest or 'unknown'})" if versions[dataset] > 1 else dataset
        found.append(Board(len(found), data, heading, tuple(members), entries, notes))
    return found


def _member(study: Study, evidence: Evidence, number: int) -> Member:
    found = significance(study, evidence)
    table = marked(ablation_table(study), found)
    table = replace(table, notes=(*table.notes, *without_counts(found)))
    return Member(study.label, table, study, found, number)


def _relation_means(
    runs: Sequence[StoredRun], known: Sequence[Sequence[Any]]
) -> list[float | None]:
    """Mean test F1 of each relation in percent; undefined if it is for one of the runs."""
    out: list[float | None] = []
    for relation, *_ in known:
        values = [run.metrics.get("test_relations", {}).get(relation, {}).get("f1") for run in runs]
        defined = values and None not in values
        out.append(_rounded(100 * sum(values) / len(values)) if defined else None)
    return out


def _settings(runs: Mapping[int, StoredRun]) -> list[list[str]]:
    """[key, value] of the runs' configuration and environment; each seed's where they differ."""
    known = {seed: flat({**run.config, "facts": run.facts}) for seed, run in runs.items()}
    text = lambda value: value if isinstance(value, str) else json.dumps(value)
    out = []
    for key in dict.fromkeys(key for values in known.values() for key in values if key != "seed"):
        values = {seed: text(of_seed.get(key, "")) for seed, of_seed in known.items()}
        each = "; ".join(f"seed {seed}: {value}" for seed, value in values.items())
        out.append([key, each if len(set(values.values())) > 1 else next(iter(values.values()))])
    return out


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
