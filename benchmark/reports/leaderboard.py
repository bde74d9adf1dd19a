"""The leaderboard: the entries on each dataset in order, with their ranks, and as a Table."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import fsum

from benchmark.reports.ablation import TO_CONTROL, ablation_table, encoder_of, score_cell
from benchmark.reports.difference_table import SHORTENED, marked, without_counts
from benchmark.reports.evidence import Evidence
from benchmark.reports.ranks import ranks
from benchmark.reports.significance import Significance, significance
from benchmark.reports.study import Seeds, Study, grouped
from benchmark.reports.submitted import LABEL, UNRANKED
from benchmark.reports.svg import RelationChange
from benchmark.reports.tables import BASELINE, MISSING, Cell, Column, Row, Table
from benchmark.statistics.results import Interval
from benchmark.store.differences import flat
from benchmark.store.runs import StoredRun, seconds_of

CALIBRATED = (
    Column("calibrated.f1", "cal. F1", "test", ("test", "calibrated", "f1")),
    Column("ap.all", "AP", "test", ("test", "average_precision", "all")),
)
SCORES = ("test.f1", "test.f1.difference", "test.ltail_f1", "test.freq_f1", "test.ign_f1")
SCORES += (*(column.key for column in CALIBRATED), "dev.f1")
TIME = Column("minutes", "min/run", "cost", decimals=1)
SHARED = (
    "Runs that several experiments share have one row, which names the experiments; a difference "
    "is marked there if it is significant in each of them."
)
Data = tuple[str, str | None]
"""A dataset and the digest of its data: what the entries of a board share."""


@dataclass(frozen=True, eq=False)
class Member:
    """A study on a board, with its comparisons and its marked ablation table.

    encoder: its name, where the members of the board have several.
    study, found: None for predictions that were made elsewhere; `table` has their scores.
    calibrated: the study of its runs that hold the scores of CALIBRATED, as older ones do not.
    """

    table: Table
    study: Study | None = None
    found: Significance | None = None
    encoder: str = ""
    calibrated: Study | None = None

    @staticmethod
    def of(study: Study, evidence: Evidence) -> Member:
        found = significance(study, evidence)
        table = marked(ablation_table(study), found)
        notes, held = table.notes, study.holding("calibrated", "average_precision")
        if held is not None:
            notes += (SHORTENED, *filter(None, [held.without]))
        notes += (*without_counts(found),)
        return Member(replace(table, notes=notes), study, found, calibrated=held)

    @property
    def label(self) -> str:
        return self.study.label if self.study else LABEL


@dataclass(frozen=True, eq=False)
class Entry:
    """One row of the leaderboard.

    others: further members that hold the same runs, copied from folder to folder.
    """

    member: Member
    row: Row
    others: tuple[Member, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.row.group} + {self.row.label}"

    @property
    def members(self) -> tuple[Member, ...]:
        return (self.member, *self.others)

    @property
    def label(self) -> str:
        return ", ".join(member.label for member in self.members)

    @property
    def with_experiment(self) -> Row:
        """The row with its experiment beside the backbone, for boards of several; with its encoder,
        too, where these differ.
        """
        place = ", ".join(filter(None, (self.label, self.member.encoder)))
        return replace(self.row, group=f"{self.row.group} ({place})")

    @property
    def runs(self) -> Seeds:
        study = self.member.study
        return study.cells[self.row.group, self.row.label] if study else {}

    @property
    def devices(self) -> list[str]:
        known = (run.metrics.get("device") for run in self.runs.values())
        return sorted({str(device) for device in known if device})

    @property
    def interval(self) -> Interval | None:
        """Interval of the difference in test F1 to `none`."""
        found = self.member.found
        contrast = found and found.first.get((self.row.group, self.row.label))
        return contrast and contrast.interval

    @cached_property
    def relations(self) -> list[RelationChange]:
        """Each relation's F1, and its change against `none` over the seeds that both have.

        The most frequent come first.
        """
        runs, study, found = list(self.runs.values()), self.member.study, []
        compared = runs and self.row.label != BASELINE
        pairs = study.pairs((self.row.group, self.row.label)) if compared else []
        for name, of in (runs[0].metrics.get("test_relations", {}) if runs else {}).items():
            sides = [_f1(side, name) for side in zip(*pairs, strict=True)] or [None]
            change = None if None in sides else sides[0] - sides[1]
            label = study.relation_names.get(name) or name
            found.append(RelationChange(label, of["train_frequency"], change, _f1(runs, name)))
        return sorted(found, key=lambda relation: (-relation.frequency, relation.name))

    @property
    def settings(self) -> list[tuple[str, str]]:
        """The runs' configuration and environment by key; each seed's where they differ."""
        known = {seed: flat(run.config | {"facts": run.facts}) for seed, run in self.runs.items()}
        found = []
        for key in dict.fromkeys(key for of in known.values() for key in of if key != "seed"):
            values = {seed: _text(of.get(key)) for seed, of in known.items()}
            each = "; ".join(f"seed {seed}: {value}" for seed, value in values.items())
            alike = len(set(values.values())) == 1
            found.append((key, next(iter(values.values())) if alike else each))
        return found


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
        tables = [CALIBRATED, *(member.table.columns for member in self.members)]
        known = {column.key: column for columns in tables for column in columns}
        having = {key for e in self.entries for key, cell in e.row.cells.items() if cell != Cell()}
        return (*(known[key] for key in SCORES if key in known.keys() & having), TIME)


def by_data(studies: Sequence[Study]) -> dict[Data, list[Study]]:
    return grouped((study.data, study) for study in studies)


def boards(
    studies: Sequence[Study],
    evidence: Mapping[Data, Evidence],
    elsewhere: Mapping[Data, Table] | None = None,
) -> list[Board]:
    """A board for each dataset and version of its data, the one with the most entries first.

    Entries are ordered by their mean test F1; those without one come last.

    elsewhere: the scores of predictions on the test documents of a board.
    """
    groups, found = by_data(studies), []
    versions = Counter(dataset for dataset, _ in groups)
    for data, together in groups.items():
        members = _with_encoders([Member.of(study, evidence[data]) for study in together])
        entries = _once(Entry(member, row) for member in members for row in member.table.rows)
        ranked = [(e.with_experiment if len(members) > 1 else e.row, e.runs) for e in entries]
        of_row, notes = ranks(ranked, evidence[data])
        notes += (SHARED,) * any(entry.others for entry in entries)
        entries = [
            replace(entry, row=replace(entry.row, rank=rank, cells=_cells(entry)))
            for entry, rank in zip(entries, of_row, strict=True)
            if entry.row.visible
        ]
        if table := (elsewhere or {}).get(data):
            members.append(Member(table))
            entries += [Entry(members[-1], row) for row in table.rows]
            notes += (UNRANKED,)
        entries.sort(key=lambda entry: -(entry.row.cell("test.f1").mean or 0))
        dataset, digest = data
        heading = f"{dataset} (data {digest or 'unknown'})" if versions[dataset] > 1 else dataset
        found.append(Board(data, heading, tuple(members), tuple(entries), notes))
    return sorted(found, key=lambda board: -len(board.entries))


def board_table(board: Board) -> Table:
    """All entries on one dataset, the best first, with their ranks and the time of a run."""
    rows = [entry.row for entry in board.entries]
    if board.several:
        rows = [entry.with_experiment for entry in board.entries]
    told = grouped((note, member.label) for member in board.members for note in member.table.notes)
    whole = [member.label for member in board.members if member.study], [LABEL]
    notes = [*board.notes]
    for note, labels in told.items():
        if not note.startswith(("Bold:", f"{TO_CONTROL.label}:")):  # of the ablation table alone
            of_some = board.several and labels not in whole
            notes.append(f"Of {', '.join(labels)}: {note}" if of_some else note)
    devices = sorted({device for entry in board.entries for device in entry.devices})
    notes.append(
        f"min/run: without the minutes of the `{BASELINE}` run it starts from. Devices: "
        f"{', '.join(devices) or 'unknown'}."
    )
    title = f"{board.heading}: leaderboard"
    return Table(title, tuple(notes), "Backbone", "Augmenter", board.columns, tuple(rows))


def count_runs(boards: Iterable[Board]) -> int:
    """The finished runs on these boards; copies that several experiments hold count once."""
    entries = (entry for board in boards for entry in board.entries)
    return len({repr((run.config, run.metrics)) for e in entries for run in e.runs.values()})


def _with_encoders(members: list[Member]) -> list[Member]:
    encoders = [encoder_of(member.study.runs[0]).removesuffix(", trained") for member in members]
    if len(set(encoders)) < 2:
        return members
    short = [encoder.rpartition("/")[2] for encoder in encoders]
    if len(set(short)) == len(set(encoders)):
        encoders = short
    return [
        replace(member, encoder=encoder) for member, encoder in zip(members, encoders, strict=True)
    ]


def _once(entries: Iterable[Entry]) -> list[Entry]:
    """The entries, with those of the same runs merged into the first that has the most seeds of
    `none` to compare with. A merged entry keeps the marks that all of them have.
    """
    found: list[Entry] = []
    for entry in entries:
        same = (i for i, other in enumerate(found) if _same(entry, other))
        if (i := next(same, None)) is None:
            found.append(entry)
            continue
        first, other = found[i], entry
        if _compared(other) > _compared(first):
            first, other = replace(other, others=first.members), first
        else:
            first = replace(first, others=(*first.others, other.member))
        marks = {key: cell.mark for key, cell in other.row.cells.items()}
        cells = {
            key: replace(cell, mark=min(cell.mark, marks.get(key, ""), key=len))
            for key, cell in first.row.cells.items()
        }
        found[i] = replace(first, row=replace(first.row, cells=cells))
    return found


def _compared(entry: Entry) -> int:
    """Over how many seeds it is compared with `none`."""
    return entry.row.cell("test.f1.difference").n


def _same(entry: Entry, other: Entry) -> bool:
    """Whether they hold copies of the same runs, which even took the same time, and compare them
    with the same runs of `none`.
    """
    mine, theirs = entry.runs, other.runs
    if not mine or mine.keys() != theirs.keys() or entry.name != other.name:
        return False
    gains = [side.row.cell("test.f1.difference").values for side in (entry, other)]
    if any(gains[0][seed] != gains[1][seed] for seed in gains[0].keys() & gains[1].keys()):
        return False
    pairs = [(mine[seed], theirs[seed]) for seed in mine]
    return all(a.metrics == b.metrics and a.config == b.config for a, b in pairs)


def _cells(entry: Entry) -> dict[str, Cell]:
    """The row's cells, none marked as best, with its calibrated scores and its time."""
    runs = entry.runs
    seconds = {seed: seconds_of(run.metrics) for seed, run in runs.items()}
    unknown = None in seconds.values()
    minutes = {} if unknown else {seed: value / 60 for seed, value in seconds.items()}
    cells = {key: replace(cell, best=False) for key, cell in entry.row.cells.items()}
    held = entry.member.calibrated
    if calibrated := held and held.cells[entry.row.group, entry.row.label]:
        cells |= {column.key: score_cell(column, calibrated, {}) for column in CALIBRATED}
    return cells | {TIME.key: Cell(minutes, absent=MISSING if unknown else None)}


def _f1(runs: Sequence[StoredRun], relation: str) -> float | None:
    """A relation's mean F1 in percent; None if one of the runs has none."""
    known = [run.metrics.get("test_relations", {}).get(relation, {}).get("f1") for run in runs]
    return None if None in known else 100 * fsum(known) / len(known)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
