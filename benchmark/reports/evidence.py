"""What finished runs on the same test documents hold for statistics: their counts per document,
each file read once.

All intervals of one dataset share one matrix of document draws, made from a fixed seed: the same
runs give the same numbers, and those of a comparison do not change when runs of other cells are
added.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
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

COUNTS = "counts_test.json"
SOURCES = {  # measure -> its file of counts, the score of these, where metrics.json has it
    "f1": (COUNTS, "f1", ("test",)),
    "ltail_f1": (COUNTS, "ltail_f1", ("test",)),
    "calibrated.f1": ("counts_test_calibrated.json", "f1", ("test", "calibrated")),
    "calibrated.ltail_f1": ("counts_test_calibrated.json", "ltail_f1", ("test", "calibrated")),
}
SEED = 0  # of all draws
_TOLERANCE = 1e-9  # counts and scores of one run differ by rounding at most


class Evidence:
    """Counts of runs on the same documents, matched by title, and intervals made of them.

    problems: the path of a run -> in words, why its counts are of no use: not there (an older run),
        changed since the run was done, of other documents or gold facts than those of the first
        run, or of another score than the run's `metrics.json`.
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

    @property
    def documents(self) -> int:
        return 0 if self._first is None else len(self._first.titles)

    def against_gold(self, counts: Counts, measure: str) -> np.ndarray:
        """The measure's counts [D, 4] of other predictions, in the order of the runs' documents.

        Raises DataError when they are of other documents or other gold facts than the runs', or
        lack the measure's group.
        """
        return document_counts(
            [self._first, counts], MEASURES[measure], ("the runs' documents", "this file")
        )[1]

    def interval(
        self, pairs: Sequence[tuple[StoredRun, StoredRun]], measure: str
    ) -> Interval | None:
        """Of the mean over pairs (A, B) of score(A) - score(B), a fraction, over seeds and
        documents; over documents alone where there is one pair. None if there is none, or counts of
        one of the runs cannot be had.
        """
        if not pairs or any(
            (run.path, measure) not in self._tables for pair in pairs for run in pair
        ):
            return None
        left, right = ([pair[side] for pair in pairs] for side in (0, 1))
        drawn = self._under_draws(left, measure) - self._under_draws(right, measure)
        observed = self._scores(left, measure) - self._scores(right, measure)
        rng = np.random.default_rng([SEED, len(pairs)])
        interval = crossed_from_scores(drawn, observed, documents=self.documents, rng=rng)
        return (
            replace(interval, name="bootstrap over documents, of one seed")
            if len(pairs) == 1
            else interval
        )

    @cached_property
    def _weights(self) -> np.ndarray:
        return draw_documents(np.random.default_rng(SEED), self.documents, self.resamples)

    def _under_draws(self, runs: Sequence[StoredRun], measure: str) -> np.ndarray:
        """Scores under the shared draws of documents, [resamples, runs]."""
        new = [run for run in runs if (run.path, measure) not in self._drawn]
        if new:
            counts = np.stack([self._tables[run.path, measure] for run in new])
            formula = MEASURES[SOURCES[measure][1]]
            for run, scores in zip(
                new, scores_under(self._weights, counts, formula).T, strict=True
            ):
                self._drawn[run.path, measure] = scores
        return np.stack([self._drawn[run.path, measure] for run in runs], axis=1)

    def _scores(self, runs: Sequence[StoredRun], measure: str) -> np.ndarray:
        return np.array(
            [_score(self._tables[run.path, measure], SOURCES[measure][1]) for run in runs]
        )

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
                path = str(run.path / file)
                files[file] = Counts.from_json(directory.read_json(file), path)
            counts, group = files[file], MEASURES[name].group
            first = first or counts
            if group not in counts.groups or group not in first.groups:
                continue  # no frequent relations are defined
            try:
                table = document_counts([first, counts], MEASURES[name])[1]
            except DataError:
                raise DataError(
                    f"{file} is of other documents or gold facts than the other runs'"
                ) from None
            stored = run.metrics
            for key in place:
                stored = stored[key]
            counted = _score(table, name)
            known = stored.get(name)
            if (known is None) != np.isnan(counted) or (
                known is not None and abs(known - counted) > _TOLERANCE
            ):
                raise DataError(f"{file} and metrics.json disagree on {'.'.join(place)} {name}")
            tables[run.path, measure] = table
        self._first = first
        self._tables |= tables


def _score(table: np.ndarray, name: str) -> float:
    """The score of counts per document [D, 4]; NaN where it is undefined."""
    return float(MEASURES[name](table.sum(axis=0)))
