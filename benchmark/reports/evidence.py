"""The counts per document of finished runs on the same test documents, and intervals from them.

All intervals of one dataset share one matrix of document draws, made from a fixed seed. So the same
runs give the same numbers, and adding runs of other cells changes no comparison.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from benchmark.errors import DataError, UserError
from benchmark.scoring.counts import Counts
from benchmark.statistics.intervals import RESAMPLES, crossed_from_scores
from benchmark.statistics.measures import MEASURES, Measure, document_counts
from benchmark.statistics.resampling import draw_documents, scores_under
from benchmark.statistics.results import Interval
from benchmark.store.runs import RunDirectory, StoredRun

SOURCES = {  # file of counts -> how its measures begin
    "counts_test.json": "",
    "counts_test_calibrated.json": "calibrated.",
}
SCORES = ("f1", "ltail_f1")
SEED = 0  # of all draws


class Evidence:
    """Counts of runs on the same documents, matched by title, and intervals from them.

    problems: the path of a run -> why its counts cannot be used: they are missing (an older run),
        were changed since, or are of other documents or gold facts than the first run's.
    """

    def __init__(self, runs: Iterable[StoredRun], *, resamples: int = RESAMPLES):
        self.resamples = resamples
        self.problems: dict[Path, str] = {}
        self._first: Counts | None = None
        self._tables: dict[tuple[Path, str], np.ndarray] = {}  # (run, measure) -> [D, 4]
        self._drawn: dict[tuple[Path, str], np.ndarray] = {}  # (run, measure) -> [resamples]
        for run in runs:
            try:
                self._add(run)
            except UserError as error:
                self.problems[run.path] = str(error)

    def interval(
        self, pairs: Sequence[tuple[StoredRun, StoredRun]], measure: str
    ) -> Interval | None:
        """Interval of the mean of score(A) - score(B) over pairs (A, B), a fraction.

        Over seeds and documents; over documents alone for one pair. None without pairs, or where a
        run lacks counts.
        """
        keys = [[(run.path, measure) for run in side] for side in zip(*pairs, strict=True)]
        if not keys or any(key not in self._tables for side in keys for key in side):
            return None
        score = MEASURES[measure.removeprefix("calibrated.")]
        a, b = (score(np.stack([self._tables[k] for k in side]).sum(axis=1)) for side in keys)
        drawn = self._under_draws(keys[0], score) - self._under_draws(keys[1], score)
        rng, documents = np.random.default_rng([SEED, len(pairs)]), len(self._first.titles)
        return crossed_from_scores(drawn, a - b, documents=documents, rng=rng)

    def difference(self, counts: Counts, measure: str) -> str:
        """What sets the gold facts of counts apart from those of the runs; "" for nothing."""
        if self._first is None:
            return "no run holds counts per document (counts_test.json)"
        try:
            document_counts([self._first, counts], MEASURES[measure], ["the runs", "the gold file"])
        except DataError as error:
            return str(error)
        return ""

    @cached_property
    def _weights(self) -> np.ndarray:
        return draw_documents(np.random.default_rng(SEED), len(self._first.titles), self.resamples)

    def _under_draws(self, keys: Sequence[tuple[Path, str]], score: Measure) -> np.ndarray:
        """Scores of these runs under the shared draws, [resamples, runs]."""
        if new := [key for key in keys if key not in self._drawn]:
            counts = np.stack([self._tables[key] for key in new])
            scores = scores_under(self._weights, counts, score)
            self._drawn |= dict(zip(new, scores.T, strict=True))
        return np.stack([self._drawn[key] for key in keys], axis=1)

    def _add(self, run: StoredRun) -> None:
        directory, first, tables = RunDirectory(run.path), self._first, {}
        for file, prefix in SOURCES.items():
            if not directory.has(file):
                if prefix:  # an older run has no calibrated counts
                    continue
                raise UserError(f"there is no {file}")
            directory.verify(file)
            counts = Counts.from_json(directory.read_json(file), str(run.path / file))
            first = first or counts
            for measure in (MEASURES[name] for name in SCORES):
                if measure.group not in counts.groups or measure.group not in first.groups:
                    continue  # no frequent relations are defined
                try:
                    of_run = document_counts([first, counts], measure)[1]
                except DataError:
                    reason = "has other documents or gold facts than the other runs"
                    raise DataError(f"{file} {reason}") from None
                tables[run.path, prefix + measure.name] = of_run
        self._first = first
        self._tables |= tables
