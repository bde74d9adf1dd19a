"""The leaderboard as data: on each dataset all entries in order, with what the panel of each shows.
`page.py` writes it down.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from benchmark.reports.figures import RelationChange
from benchmark.reports.studies import Study
from benchmark.reports.tables import BASELINE, Cell, Row
from benchmark.store.runs import StoredRun


@dataclass(frozen=True)
class Entry:
    """One row of the leaderboard. `number` is its place in the page's data, `study_number` that of
    its study.
    """

    number: int
    study_number: int
    study: Study
    row: Row
    rank: str

    @property
    def name(self) -> str:
        return f"{self.row.group} + {self.row.label}"

    @property
    def runs(self) -> Mapping[int, StoredRun]:
        return {
            seed: run for seed, run in self.study.of(self.row).items() if seed in self.row.seeds
        }

    def cell(self, key: str) -> Cell:
        return _cell(self.study, self.row, key)

    def changes(self) -> list[RelationChange]:
        """Of the relations' F1 to `none`, over the seeds that both have; empty where there are
        none, as for `none` itself.
        """
        pairs = self.paired()
        if not pairs:
            return []
        known = relations_of(self.study)
        values, base = (_relation_means([pair[side] for pair in pairs], known) for side in (1, 0))
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
        known, pairs = relations_of(self.study), self.paired()
        return {
            "study": self.study_number,
            "name": self.name,
            "experiment": self.study.label,
            "seeds": [self._seed(seed, run) for seed, run in self.runs.items()],
            "relations": _relation_means(list(self.runs.values()), known),
            "none": _relation_means([none for none, _ in pairs], known) if pairs else None,
            "change": [None if c.change is None else round(c.change, 2) for c in self.changes()]
            or None,
            "paired": len(pairs),
            "instead": "No run of this entry is finished."
            if self.study.runs
            else "Made elsewhere: there are predictions only.",
            "settings": _settings(self.runs),
        }

    def paired(self) -> list[tuple[StoredRun, StoredRun]]:
        """(run of `none`, run) of each seed that has both; none for `none` itself."""
        others = self.study.without_augmenter(self.row)
        return (
            []
            if self.row.label == BASELINE
            else [(others[seed], run) for seed, run in self.runs.items() if seed in others]
        )

    def _seed(self, seed: int, run: StoredRun) -> dict[str, Any]:
        difference = self.cell("test.f1.difference").values.get(seed)
        scores = {
            name: _rounded(self.cell(key).values.get(seed))
            for name, key in (("f1", "test.f1"), ("ltail", "test.ltail_f1"))
        }
        known = {
            key: run.metrics.get(key)
            for key in ("best_epoch", "epochs", "seconds", "device", "parameters")
        }
        return {"seed": seed, **scores, "difference": _rounded(difference), **known}


@dataclass(frozen=True)
class Board:
    """All entries on one dataset, the best first."""

    number: int
    dataset: str
    heading: str
    studies: tuple[Study, ...]
    entries: tuple[Entry, ...]


def boards(studies: Sequence[Study]) -> list[Board]:
    """A board per dataset and version of its data, in the order of `studies`; entries by mean test
    F1, those without one last.
    """
    groups: dict[tuple[str, str | None], list[tuple[int, Study]]] = {}
    for study_number, study in enumerate(studies):
        groups.setdefault((study.dataset, study.digest), []).append((study_number, study))
    versions = Counter(dataset for dataset, _ in groups)
    found, entry_number = [], count()
    for (dataset, digest), members in groups.items():
        rows = [
            (study_number, study, row)
            for study_number, study in members
            for row in study.table.visible
        ]
        rows.sort(key=lambda item: -_order(_cell(*item[1:], "test.f1").mean))
        ranks = _ranks([(study, row) for _, study, row in rows])
        entries = tuple(
            Entry(next(entry_number), *row, rank) for row, rank in zip(rows, ranks, strict=True)
        )
        heading = f"{dataset} (data {digest or 'unknown'})" if versions[dataset] > 1 else dataset
        found.append(
            Board(len(found), dataset, heading, tuple(study for _, study in members), entries)
        )
    return found


def _order(mean: float | None) -> float:
    return float("-inf") if mean is None else mean


def _ranks(rows: Sequence[tuple[Study, Row]]) -> list[str]:
    """The tables' own ranks; without any, 1, 2, ... in order, equal as shown sharing a rank, none
    for a row short of a seed.
    """
    if any(row.rank for _, row in rows):
        return [row.rank for _, row in rows]
    means = [
        round(_order(_cell(study, row, "test.f1").mean), 2) if row.complete else None
        for study, row in rows
    ]
    return [
        ""
        if mean in (None, float("-inf"))
        else str(1 + sum(m > mean for m in means if m is not None))
        for mean in means
    ]


def _cell(study: Study, row: Row, key: str) -> Cell:
    for column, cell in zip(study.table.columns, row.cells, strict=True):
        if column.key == key:
            return cell
    return Cell()


def relations_of(study: Study) -> list[list[Any]]:
    """[relation, its name, training facts, gold facts in test] of the study's relations, the most
    frequent in training first.
    """
    for seeds in study.runs.values():
        for run in seeds.values():
            if known := run.metrics.get("test_relations"):
                rows = [
                    [
                        relation,
                        study.relation_names.get(relation, ""),
                        scores.get("train_frequency"),
                        scores.get("gold"),
                    ]
                    for relation, scores in known.items()
                ]
                return sorted(rows, key=lambda row: (-(row[2] or 0), row[0]))
    return []


def _relation_means(
    runs: Sequence[StoredRun], known: Sequence[Sequence[Any]]
) -> list[float | None]:
    """Test F1 of each relation in percent, mean over runs; undefined for one run, undefined for the
    mean.
    """
    out: list[float | None] = []
    for relation, *_ in known:
        values = [run.metrics.get("test_relations", {}).get(relation, {}).get("f1") for run in runs]
        out.append(
            None if not values or None in values else round(100 * sum(values) / len(values), 2)
        )
    return out


def _settings(runs: Mapping[int, StoredRun]) -> list[list[str]]:
    """[key, value] of the runs' configuration and environment; where seeds differ, the value of
    each.
    """
    flat = {seed: dict(_flat({**run.config, "facts": run.facts})) for seed, run in runs.items()}
    out = []
    for key in dict.fromkeys(key for values in flat.values() for key in values if key != "seed"):
        values = {seed: of_seed.get(key, "") for seed, of_seed in flat.items()}
        same = len(set(values.values())) == 1
        out.append(
            [
                key,
                next(iter(values.values()))
                if same
                else "; ".join(f"seed {s}: {value}" for s, value in values.items()),
            ]
        )
    return out


def _flat(value: Any, prefix: str = "") -> Iterable[tuple[str, str]]:
    """{"train": {"epochs": 3}} -> ("train.epochs", "3")."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, value if isinstance(value, str) else json.dumps(value)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
