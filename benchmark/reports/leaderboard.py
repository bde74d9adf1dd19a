"""The leaderboard as data: the entries on each dataset in order, and the panel of each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import Any

from benchmark.reports.studies import Study
from benchmark.reports.svg import RelationChange
from benchmark.reports.tables import Cell, Column, Row
from benchmark.store.differences import flat
from benchmark.store.runs import StoredRun

SCORES = ("test.f1", "test.f1.difference", "test.ign_f1", "test.freq_f1", "test.ltail_f1", "dev.f1")


@dataclass(frozen=True)
class Entry:
    """One row of the leaderboard.

    number, study_number: the places of the entry and of its study in the page's data.
    """

    number: int
    study_number: int
    study: Study
    row: Row

    @property
    def name(self) -> str:
        return f"{self.row.group} + {self.row.label}"

    @property
    def runs(self) -> Mapping[int, StoredRun]:
        return self.study.of(self.row)

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
        return self.study.cell(self.row, key)

    @cached_property
    def changes(self) -> list[RelationChange]:
        """The relations' F1 minus that of `none`, over the seeds that both have."""
        pairs, known = self.study.pairs(self.row), relations_of(self.study)
        if not pairs:
            return []
        base, values = (_relation_means(side, known) for side in zip(*pairs, strict=True))
        names = self.study.relation_names
        return [
            RelationChange(
                names.get(relation, relation),
                frequency or 0,
                None if None in (value, none) else value - none,
            )
            for (relation, _, frequency, _), value, none in zip(known, values, base, strict=True)
        ]

    def data(self) -> dict[str, Any]:
        """What the row's panel is made of."""
        known, pairs = relations_of(self.study), self.study.pairs(self.row)
        instead = "Made elsewhere: there are predictions only."
        return {
            "study": self.study_number,
            "name": self.name,
            "experiment": self.study.label,
            "seeds": [self._seed(seed, run) for seed, run in self.runs.items()],
            "relations": _relation_means(list(self.runs.values()), known),
            "none": _relation_means([none for none, _ in pairs], known) if pairs else None,
            "change": [_rounded(change.change) for change in self.changes] or None,
            "paired": len(pairs),
            "instead": "No run of this entry is finished." if self.study.runs else instead,
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


@dataclass(frozen=True)
class Board:
    """All entries on one dataset, the best first."""

    number: int
    dataset: str
    heading: str
    studies: tuple[Study, ...]
    entries: tuple[Entry, ...]

    @property
    def data(self) -> tuple[str, str | None]:
        """The dataset and the digest of its data."""
        return self.dataset, self.studies[0].digest

    @property
    def columns(self) -> tuple[Column, ...]:
        """The scores to show."""
        known = {column.key: column for study in self.studies for column in study.table.columns}
        return tuple(known[key] for key in SCORES if key in known)

    @property
    def notes(self) -> list[str]:
        return list(dict.fromkeys(note for study in self.studies for note in study.board_notes))


def boards(studies: Sequence[Study]) -> list[Board]:
    """A board per dataset and version of its data, in the order of `studies`.

    Entries are ordered by their mean test F1; those without one come last.
    """
    groups: dict[tuple[str, str | None], list[tuple[int, Study]]] = {}
    for number, study in enumerate(studies):
        groups.setdefault((study.dataset, study.digest), []).append((number, study))
    versions = Counter(dataset for dataset, _ in groups)
    found, entry_number = [], count()
    for (dataset, digest), members in groups.items():
        rows = [(n, study, row) for n, study in members for row in study.table.visible]
        rows.sort(key=lambda item: _order(item[1].cell(item[2], "test.f1").mean))
        entries = tuple(Entry(next(entry_number), *row) for row in rows)
        heading = f"{dataset} (data {digest or 'unknown'})" if versions[dataset] > 1 else dataset
        of_board = tuple(study for _, study in members)
        found.append(Board(len(found), dataset, heading, of_board, entries))
    return found


def relations_of(study: Study) -> list[list[Any]]:
    """[relation, its name, training facts, gold facts in test], the most frequent first."""
    runs = (run for seeds in study.runs.values() for run in seeds.values())
    known = next((k for run in runs if (k := run.metrics.get("test_relations"))), {})
    rows = [
        [name, study.relation_names.get(name, ""), of.get("train_frequency"), of.get("gold")]
        for name, of in known.items()
    ]
    return sorted(rows, key=lambda row: (-(row[2] or 0), row[0]))


def _order(mean: float | None) -> float:
    return float("inf") if mean is None else -mean


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
