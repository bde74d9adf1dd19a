"""Ranks that know of noise: on a board the first rank is shared by all that cannot be told from the
best.

An entry shares it when the interval (benchmark/reports/evidence.py) of its difference to the best
in test F1, over the seeds that both have, does not lie beyond 0. The best is the highest mean among
the entries that have all their seeds; those behind the first rank follow by the mean that is shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from benchmark.reports.evidence import Evidence
from benchmark.reports.studies import Study
from benchmark.reports.tables import BASELINE, Row
from benchmark.store.runs import StoredRun

_Key = tuple[int, int]  # study, row


def with_ranks(studies: Sequence[Study], evidence: Evidence) -> list[Study]:
    """The studies of one board with ranks in their tables, and what they mean in `board_notes`;
    unchanged where nothing can be compared, for want of counts or of a complete entry.
    """
    rows = {
        (s, r): row for s, study in enumerate(studies) for r, row in enumerate(study.table.rows)
    }
    means = {
        key: mean
        for key, row in rows.items()
        if row.complete and (mean := _mean(studies[key[0]], row)) is not None
    }
    if not means:
        return list(studies)
    best = max(means, key=lambda key: means[key])
    within, behind, unranked = _compared(studies, rows, best, evidence)
    if len(within) + len(behind) == 1 and len(rows) > 1:
        return list(studies)
    ranks = dict.fromkeys(within, "1") | {
        key: str(1 + len(within) + _better(key, behind)) for key in behind
    }
    note = _note(
        rows[best], [rows[key] for key in unranked if rows[key].seeds], seeds=len(rows[best].seeds)
    )
    return [
        replace(study, table=_ranked(study, s, ranks), board_notes=(*study.board_notes, note))
        for s, study in enumerate(studies)
    ]


def _compared(
    studies: Sequence[Study], rows: Mapping[_Key, Row], best: _Key, evidence: Evidence
) -> tuple[list[_Key], dict[_Key, float], list[_Key]]:
    """Entries that are within noise of the best, on the seeds that both have; those behind it, with
    their means as shown; and those that cannot be compared with it.
    """
    leader = _runs(studies[best[0]], rows[best])
    within, behind, unranked = [best], {}, []
    for key, row in rows.items():
        if key == best:
            continue
        runs = _runs(studies[key[0]], row)
        interval = evidence.interval(
            [(leader[seed], runs[seed]) for seed in sorted(leader.keys() & runs.keys())], "f1"
        )
        if interval is None or interval.low is None:
            unranked.append(key)
        elif interval.low <= 0:
            within.append(key)
        else:
            behind[key] = round(_mean(studies[key[0]], row), 2)
    return within, behind, unranked


def _better(key: _Key, means: Mapping[_Key, float]) -> int:
    """How many have a higher mean; equal as shown is equal."""
    return sum(mean > means[key] for mean in means.values())


def _runs(study: Study, row: Row) -> dict[int, StoredRun]:
    return {seed: run for seed, run in study.of(row).items() if seed in row.seeds}


def _mean(study: Study, row: Row) -> float | None:
    keys = [column.key for column in study.table.columns]
    return row.cells[keys.index("test.f1")].mean if row.seeds and "test.f1" in keys else None


def _ranked(study: Study, number: int, ranks: Mapping[_Key, str]):
    rows = (replace(row, rank=ranks.get((number, r), "")) for r, row in enumerate(study.table.rows))
    return replace(study.table, rows=tuple(rows))


def _note(best: Row, unranked: Sequence[Row], *, seeds: int) -> str:
    over = (
        "seeds and documents"
        if seeds > 1
        else "documents (the best has one seed, so that this speaks of trained models alone)"
    )
    note = (
        f"Rank 1: `{best.group} + {best.label}`, the highest mean test F1 among the entries with "
        "all their seeds, and every entry "
        f"whose difference to it is within noise: the 95 % bootstrap interval of it over {over}, "
        "on the seeds that both have, "
        "includes 0 (no correction for the number of entries; no proof of equality). The others "
        "follow by their mean test F1."
    )
    if unranked:
        note += (
            " Not ranked, for want of a common seed or of counts: "
            f"{', '.join(f'{r.group} + {r.label}' for r in unranked)}."
        )
    return note + f" Significance of a difference to `{BASELINE}` is another matter: see the marks."
