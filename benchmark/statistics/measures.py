"""From score names to functions of summed counts, and from runs to arrays of counts.

The formulas are those of `benchmark.scoring.counts`, vectorised over leading axes: one formula
serves the score of a run and the scores of ten thousand resamples. An undefined score is NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.errors import DataError
from benchmark.scoring.counts import COLUMNS, Counts, precision_recall_f1

_GOLD = COLUMNS.index("gold")


@dataclass(frozen=True)
class Measure:
    """An F1 as a function of the sums of one group of counts: totals [..., 4] -> scores [...].

    group: the key of `Counts.groups` that is summed.
    ignore_seen: leave true positives seen in training out of the precision, as Ign F1 does.
    """

    name: str
    group: str
    ignore_seen: bool = False

    def __call__(self, totals: np.ndarray) -> np.ndarray:
        return precision_recall_f1(totals, ignore_seen=self.ignore_seen)[2]


MEASURES = {
    measure.name: measure
    for measure in (
        Measure("f1", "all"),
        Measure("ign_f1", "all", ignore_seen=True),
        Measure("freq_f1", "frequent"),
        Measure("ltail_f1", "tail"),
    )
}


def document_counts(
    runs: Sequence[Counts], measure: Measure, names: Sequence[str] = ()
) -> np.ndarray:
    """The counts of the measure's group of several runs on the same documents: [runs, D, 4].

    Documents are matched by title and follow the order of the first run.

    names: what errors call the runs; without any: run 0, run 1 and so on.

    Raises DataError for a missing title, other gold facts, and a run without the group (no frequent
    relations).
    """
    names = names or [f"run {number}" for number in range(len(runs))]
    titles, tables = runs[0].titles, []
    for run, name in zip(runs, names, strict=True):
        if measure.group not in run.groups:
            raise DataError(
                f"{name}: {measure.name} needs counts of the group '{measure.group}', there are "
                f"{sorted(run.groups)}"
            )
        row = {title: index for index, title in enumerate(run.titles)}
        if unmatched := set(row) ^ set(titles):
            raise DataError(
                f"{len(unmatched)} documents are in only one of {names[0]} and {name}, such as "
                f"'{min(unmatched)}'; only runs on the same documents can be compared"
            )
        tables.append(run.groups[measure.group][[row[title] for title in titles]])
    gold = np.stack(tables)[:, :, _GOLD]
    for run, document in np.argwhere(gold != gold[0])[:1].tolist():
        raise DataError(
            f"{names[0]} and {names[run]} were scored against different gold facts, first in "
            f"document '{titles[document]}': score both with the same gold file, relations and "
            "frequent relations"
        )
    return np.stack(tables)
