"""Measures are the scores of `benchmark.scoring`, and runs are aligned by title or refused."""

import numpy as np
import pytest

from benchmark.errors import DataError
from benchmark.scoring.counts import Counts, score
from benchmark.statistics.measures import MEASURES, document_counts


def run(titles="abc", *, seed=0, groups=("all", "frequent", "tail", "intra", "inter"), gold=None):
    rng = np.random.default_rng(seed)
    gold = {title: 3 + ord(title) % 5 for title in titles} if gold is None else gold
    tables = {}
    for name in groups:
        tp = rng.integers(0, 3, len(titles))
        predicted = tp + rng.integers(1, 4, len(titles))
        tables[name] = np.stack([tp, predicted, [gold[t] for t in titles], tp // 2], axis=1)
    return Counts(tuple(titles), tables, {}, (), np.zeros((0, 3), int), np.zeros(0, int))


@pytest.mark.parametrize("name", MEASURES)
def test_a_measure_of_summed_counts_is_the_score_of_the_run(name):
    counts, measure = run(), MEASURES[name]
    assert measure(document_counts([counts], measure)[0].sum(axis=0)) == score(counts)[name]


@pytest.mark.parametrize("name", MEASURES)
def test_measures_are_vectorised_over_leading_axes(name):
    totals = np.random.default_rng(0).integers(1, 9, (2, 3, 4))
    totals[..., 1:3] += 9
    expected = [[float(MEASURES[name](row)) for row in rows] for rows in totals]
    assert MEASURES[name](totals).tolist() == expected


def test_an_undefined_score_is_nan():
    # tp, pred, gold, tp_seen: no gold facts; nothing predicted
    assert np.isnan(MEASURES["f1"](np.array([0, 3, 0, 0])))
    assert MEASURES["f1"](np.array([0, 0, 3, 0])) == 0.0


def test_documents_are_aligned_by_title():
    first, second = run("abc"), run("cab", seed=1)
    counts = document_counts([first, second], MEASURES["f1"])
    assert counts.shape == (2, 3, 4)
    assert counts[1].tolist() == second.groups["all"][[1, 2, 0]].tolist()


OTHER_GOLD = {"a": 5, "b": 99, "c": 99}


@pytest.mark.parametrize(
    ("runs", "name", "message"),
    [
        ([run("abc"), run("abd")], "f1", "2 documents are in only one of run 0 and .* such as 'c'"),
        ([run("abc"), run("abc", gold=OTHER_GOLD)], "f1", "gold facts, first in document 'b'"),
        ([run(groups=("all",))], "ltail_f1", "ltail_f1 needs counts of the group 'tail'"),
    ],
)
def test_what_cannot_be_compared_is_refused(runs, name, message):
    with pytest.raises(DataError, match=message):
        document_counts(runs, MEASURES[name])
