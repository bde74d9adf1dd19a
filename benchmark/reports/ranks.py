"""Ranks that respect noise: all entries that cannot be told from the best share the first rank.

The best has the highest mean among the entries that have all their seeds. An entry shares its rank
when the interval of their difference in test F1, over the seeds that both have, does not lie beyond
0. The others follow by their mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from benchmark.reports.evidence import Evidence
from benchmark.reports.studies import Study
from benchmark.reports.tables import BASELINE, Row

_Entries = Sequence[tuple[Study, Row]]


def with_ranks(studies: Sequence[Study], evidence: Evidence) -> list[Study]:
    """The studies of one board with ranks in their tables, explained in `board_notes`.

    Where no entry can be compared with the best, all ranks go by the mean alone.
    """
    entries = [(study, row) for study in studies for row in study.table.rows]
    complete = {i: study.cell(row, "test.f1").mean for i, (study, row) in enumerate(entries)}
    complete = {
        i: mean for i, mean in complete.items() if mean is not None and entries[i][1].complete
    }
    ranks, notes = _by_mean(complete), ()
    if complete:
        best = max(complete, key=complete.get)
        within, behind = _compared(entries, best, evidence)
        if len(within) + len(behind) > 1 or len(entries) == 1:
            ranks = dict.fromkeys(within, "1") | _by_mean(behind, first=1 + len(within))
            unranked = [row for i, (_, row) in enumerate(entries) if row.seeds and i not in ranks]
            notes = (_note(entries[best][1], unranked),)
    numbers = iter(range(len(entries)))
    ranked = []
    for study in studies:
        rows = tuple(replace(row, rank=ranks.get(next(numbers), "")) for row in study.table.rows)
        table = replace(study.table, rows=rows)
        ranked.append(replace(study, table=table, board_notes=(*study.board_notes, *notes)))
    return ranked


def _compared(
    entries: _Entries, best: int, evidence: Evidence
) -> tuple[list[int], dict[int, float]]:
    """Which entries are within noise of the best, and the means of those behind it."""
    leader, within, behind = entries[best][0].of(entries[best][1]), [best], {}
    for i, (study, row) in enumerate(entries):
        runs = study.of(row)
        pairs = [(leader[seed], runs[seed]) for seed in sorted(leader.keys() & runs.keys())]
        interval = evidence.interval(pairs, "f1") if i != best else None
        if interval is None or interval.low is None:
            continue
        if interval.low <= 0:
            within.append(i)
        else:
            behind[i] = study.cell(row, "test.f1").mean
    return within, behind


def _by_mean(means: Mapping[int, float], first: int = 1) -> dict[int, str]:
    """Ranks from `first` on; entries that are equal as shown share one."""
    shown = {i: round(mean, 2) for i, mean in means.items()}
    better = lambda mean: sum(other > mean for other in shown.values())
    return {i: str(first + better(mean)) for i, mean in shown.items()}


def _note(best: Row, unranked: Iterable[Row]) -> str:
    over = "seeds and documents"
    if len(best.seeds) == 1:
        over = "documents (the best has one seed, so this speaks of trained models alone)"
    note = (
        f"Rank 1: `{best.group} + {best.label}`, the highest mean test F1 among the entries with "
        "all their seeds, and every entry whose difference to it is within noise: the 95 % "
        f"bootstrap interval of the difference over {over}, on the seeds that both have, includes "
        "0 (no correction for the number of entries; no proof of equality). The others follow by "
        "their mean test F1."
    )
    if names := ", ".join(f"{row.group} + {row.label}" for row in unranked):
        note += f" Not ranked, without a common seed or without counts: {names}."
    return f"{note} For the significance of a difference to `{BASELINE}`, see the marks."
