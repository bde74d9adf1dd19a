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
from benchmark.statistics.measures import MEASURES, document_counts
from benchmark.statistics.resampling import draw_documents, scores_under
from benchmark.statistics.results import Interval
from benchmark.store.runs import RunDirectory, StoredRun

COUNTS, CALIBRATED_COUNTS = "counts_test.json", "counts_test_calibrated.json"
SOURCES = {  # measure -> its file of counts, their score, and where metrics.json has that
    "f1": (COUNTS, "f1", ("test",)),
    "ltail_f1": (COUNTS, "ltail_f1", ("test",)),
    "calibrated.f1": (CALIBRATED_COUNTS, "f1", ("test", "calibrated")),
    "calibrated.ltail_f1": (CALIBRATED_COUNTS, "ltail_f1", ("test", "calibrated")),
}
SEED = 0  # of all draws
_TOLERANCE = 1e-9  # counts and scores of one run differ by rounding at most


class Evidence:
    """Counts of runs on the same documents, matched by title, and intervals from them.

    problems: the path of a run -> why its counts cannot be used: they are missing (an older run),
        were changed since, are of other documents or gold facts than the first run's, or disagree
        with its `metrics.json`.
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

    def __bool__(self) -> bool:
        return self._first is not None

    def against_gold(self, counts: Counts, measure: str) -> np.ndarray:
        """The measure's counts [D, 4] of other predictions, in the order of the runs' documents.

        Raises DataError when they are of other documents or gold facts than the runs', or lack the
        measure's group.
        """
        names = ("the runs' documents", "this file")
        return document_counts([self._first, counts], MEASURES[measure], names)[1]

    def interval(
        self, pairs: Sequence[tuple[StoredRun, StoredRun]], measure: str
    ) -> Interval | None:
        """Of the mean over pairs (A, B) of score(A) - score(B), a fraction.

        It is over seeds and documents; over documents alone for one pair. None without pairs or
        without the counts of one of the runs.
        """
        keys = [[(run.path, measure) for run in side] for side in zip(*pairs, strict=True)]
        if not keys or any(key not in self._tables for side in keys for key in side):
            return None
        score = SOURCES[measure][1]
        a, b = (np.array([_score(self._tables[key], score) for key in side]) for side in keys)
        drawn = self._under_draws(keys[0], score) - self._under_draws(keys[1], score)
        rng, documents = np.random.default_rng([SEED, len(pairs)]), len(self._first.titles)
        return crossed_from_scores(drawn, a - b, documents=documents, rng=rng)

    @cached_property
    def _weights(self) -> np.ndarray:
        return draw_documents(np.random.default_rng(SEED), len(self._first.titles), self.resamples)

    def _under_draws(self, keys: Sequence[tuple[Path, str]], score: str) -> np.ndarray:
        """Scores of these runs under the shared draws, [resamples, runs]."""
        if new := [key for key in keys if key not in self._drawn]:
            counts = np.stack([self._tables[key] for key in new])
            scores = scores_under(self._weights, counts, MEASURES[score])
            self._drawn |= dict(zip(new, scores.T, strict=True))
        return np.stack([self._drawn[key] for key in keys], axis=1)

    def _add(self, run: StoredRun) -> None:
        directory = RunDirectory(run.path)
        if not (run.path / COUNTS).is_file():
            raise UserError(f"there is no {COUNTS}")
        first, tables, files = self._first, {}, {}
        for measure, (file, name, place) in SOURCES.items():
            if not (run.path / file).is_file():  # an older run has no calibrated counts
                continue
            if file not in files:
                directory.verify(file)
                files[file] = Counts.from_json(directory.read_json(file), str(run.path / file))
            counts, group = files[file], MEASURES[name].group
            first = first or counts
            if group not in counts.groups or group not in first.groups:
                continue  # no frequent relations are defined
            try:
                table = document_counts([first, counts], MEASURES[name])[1]
            except DataError:
                reason = "is of other documents or gold facts than the other runs'"
                raise DataError(f"{file} {reason}") from None
            stored = run.metrics
            for key in place:
                stored = stored[key]
            known, counted = stored.get(name), _score(table, name)
            if not np.isclose(
                np.nan if known is None else known, counted, 0, _TOLERANCE, equal_nan=True
            ):
                raise DataError(f"{file} and metrics.json disagree on {'.'.join(place)} {name}")
            tables[run.path, measure] = table
        self._first = first
        self._tables |= tables


def _score(table: np.ndarray, name: str) -> float:
    """The score of counts per document [D, 4]; NaN where it is undefined."""
    return float(MEASURES[name](table.sum(axis=0)))
