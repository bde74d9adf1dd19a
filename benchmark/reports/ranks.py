"""Ranks that respect noise: all entries that cannot be told from the best share the first rank.

The best has the highest mean among the entries that have all their seeds. An entry shares its rank
unless the interval of their difference in test F1, over the seeds that both have, shows it to be
worse. The others follow by their mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from benchmark.reports.evidence import Evidence
from benchmark.reports.study import Seeds, common
from benchmark.reports.tables import BASELINE, Row
from benchmark.statistics.results import Interval


def ranks(
    entries: Sequence[tuple[Row, Seeds]], evidence: Evidence
) -> tuple[list[str], tuple[str, ...]]:
    """The rank of each row with its runs, "" where it has none, and a note that explains them.

    Where no entry can be compared with the best, all ranks go by the mean alone.
    """
    rows, runs = zip(*entries, strict=True)
    means = [row.cell("test.f1").mean for row in rows]
    complete = {i: means[i] for i, row in enumerate(rows) if row.complete and means[i] is not None}
    if not complete:
        return [""] * len(rows), ()
    best = max(complete, key=complete.get)
    within, behind, intervals = [best], {}, []
    for i in range(len(rows)):
        interval = evidence.interval(common(runs[best], runs[i]), "f1") if i != best else None
        if interval is not None and interval.low is not None:
            intervals.append(interval)
            if interval.low <= 0:
                within.append(i)
            else:
                behind[i] = means[i]
    found, notes = _by_mean(complete), ()
    if intervals:
        found = dict.fromkeys(within, "1") | _by_mean(behind, first=1 + len(within))
        unranked = [row for i, row in enumerate(rows) if row.seeds and i not in found]
        notes = (_note(rows[best], intervals, unranked),)
    return [found.get(i, "") for i in range(len(rows))], notes


def _by_mean(means: Mapping[int, float], first: int = 1) -> dict[int, str]:
    """Ranks from `first` on; entries that are equal as shown share one."""
    shown = {i: round(mean, 2) for i, mean in means.items()}
    better = lambda mean: sum(other > mean for other in shown.values())
    return {i: str(first + better(mean)) for i, mean in shown.items()}


def _note(best: Row, intervals: Iterable[Interval], unranked: Iterable[Row]) -> str:
    over, includes = "seeds and documents", "includes 0"
    if len(best.seeds) == 1:
        over = "documents (the best has one seed, so this speaks of trained models alone)"
    elif any(interval.seeds == 1 for interval in intervals):
        over += " (over documents alone with one seed in common: it speaks of two trained models)"
    if any(interval.high < 0 for interval in intervals):
        includes += " or favours the entry"
    note = (
        f"Rank 1: `{best.group} + {best.label}`, the highest mean test F1 among the entries with "
        "all their seeds, and every entry whose difference to it is within noise: the 95 % "
        f"bootstrap interval of the difference over {over}, on the seeds that both have, "
        f"{includes} (no correction for the number of entries; no proof of equality). The others "
        "follow by their mean test F1."
    )
    if names := ", ".join(f"{row.group} + {row.label}" for row in unranked):
        note += f" Not ranked, without a common seed or without counts: {names}."
    return f"{note} For the significance of a difference to `{BASELINE}`, see the marks."
