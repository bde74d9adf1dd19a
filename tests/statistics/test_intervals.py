"""Intervals: closed forms, exhaustive bootstraps of tiny samples, scipy, and missing intervals."""

import itertools

import numpy as np
import pytest
from scipy import stats

from benchmark.statistics.intervals import crossed_from_scores, crossed_interval, paired_t_interval
from benchmark.statistics.measures import MEASURES
from benchmark.statistics.resampling import draw_documents, scores_under

F1 = MEASURES["f1"]


def rng(seed=0):
    return np.random.default_rng(seed)


def total(totals):
    return totals[..., 0].astype(float)


def crossed(a, b, measure=F1, **options):
    return crossed_interval(a, b, measure, **({"rng": rng(), "resamples": 99} | options))


def test_t_interval_by_hand_and_by_scipy():
    # mean 2, sd 1, n 3: 2 -+ 4.302653 / sqrt(3)
    interval, half = paired_t_interval(np.array([1.0, 2.0, 3.0])), 4.302653 / 3**0.5
    assert (interval.low, interval.high) == pytest.approx((2 - half, 2 + half), abs=1e-6)
    assert (interval.estimate, interval.seeds, interval.level) == (2.0, 3, 0.95)
    a, b = rng(1).normal(size=10), rng(2).normal(size=10)
    oracle, interval = stats.ttest_rel(a, b).confidence_interval(0.95), paired_t_interval(a - b)
    assert (interval.low, interval.high) == pytest.approx((oracle.low, oracle.high))


def test_no_t_interval_without_spread():
    assert paired_t_interval(np.array([0.5, 0.5])) is None


def test_scores_under_all_draws_of_three_documents():
    a = np.array([[3, 4, 5, 0], [2, 2, 3, 0], [1, 3, 2, 0]])
    draws = list(itertools.product(range(3), repeat=3))
    weights = np.array([np.bincount(rows, minlength=3) for rows in draws], dtype=np.uint8)
    totals = (a[list(rows)].sum(axis=0) for rows in draws)
    expected = [2 * tp / (predicted + gold) for tp, predicted, gold, _ in totals]
    assert scores_under(weights, a, F1) == pytest.approx(expected)


def test_the_crossed_interval_of_two_seeds_and_two_documents_matches_all_draws():
    # seeds x documents x counts
    a = np.array([[[5, 0, 0, 0], [1, 0, 0, 0]], [[2, 0, 0, 0], [4, 0, 0, 0]]])
    drawn = [
        np.mean([sum(a[s, d, 0] for d in documents) for s in seeds])
        for seeds in itertools.product(range(2), repeat=2)
        for documents in itertools.product(range(2), repeat=2)
    ]
    interval = crossed(a, np.zeros_like(a), total, resamples=20_000)
    # each of the 16 draws has a probability above 2.5 %
    assert (interval.low, interval.high) == (min(drawn), max(drawn))
    assert interval.estimate == 6.0 and (interval.seeds, interval.documents) == (2, 2)


def test_the_crossed_interval_holds_both_sources_of_variance():
    # effects of seeds and documents on a linear measure add up: the variance has a closed form
    seeds, documents = 8, 200
    seed_effect, document_effect = rng(1).normal(0, 1, seeds), rng(2).normal(0, 4, documents)
    a = np.zeros((seeds, documents, 4))
    a[..., 0] = (seed_effect[:, None] + document_effect) / documents
    interval = crossed(a, np.zeros_like(a), total, resamples=20_000)
    sd = np.sqrt(seed_effect.var() / seeds + document_effect.var() / documents)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * sd, rel=0.05)


def test_changing_places_mirrors_the_crossed_interval(models):
    a, b = models(rng(3), 5, 40), models(rng(4), 5, 40)
    one, other = crossed(a, b), crossed(b, a)
    mirrored = (-other.estimate, -other.high, -other.low)
    assert (one.estimate, one.low, one.high) == pytest.approx(mirrored)


def test_the_crossed_interval_can_share_draws_of_documents(models):
    a, b = models(rng(5), 6, 40), models(rng(6), 6, 40)
    shared = rng()
    weights = draw_documents(shared, 40, 400)
    drawn = scores_under(weights, a, F1) - scores_under(weights, b, F1)
    observed = F1(a.sum(axis=1)) - F1(b.sum(axis=1))
    found = crossed_from_scores(drawn, observed, documents=40, rng=shared)
    assert found == crossed(a, b, resamples=400)


@pytest.mark.parametrize(
    ("seeds", "documents", "warning"),
    [
        (1, 30, "these two trained models"),
        (6, 30, "10 seeds or fewer show too little"),
        (10, 30, "10 seeds or fewer show too little"),
        (11, 30, None),
        (11, 3, "3 documents show too little"),
        (11, 1, "one document shows"),
    ],
)
def test_few_seeds_and_documents_are_said(models, seeds, documents, warning):
    warnings = crossed(models(rng(7), seeds, documents), models(rng(8), seeds, documents)).warnings
    assert warnings == () if warning is None else warning in warnings[0]


def test_undefined_resamples_are_left_out():
    of = lambda *drawn: crossed_from_scores(
        np.array(drawn)[:, None], np.array([1.0]), documents=30, rng=rng()
    )
    part = of(np.nan, 1.0, 1.0)
    assert (part.low, part.high) == (1, 1) and "1 of 3 resamples" in part.warnings[0]
    assert of(np.nan).low is None


def test_draws_of_documents_are_multinomial():
    weights = draw_documents(rng(), 50, 4_000)
    assert (weights.sum(axis=1) == 50).all()
    assert weights.mean(axis=0) == pytest.approx(np.ones(50), abs=0.08)
    assert weights.var() == pytest.approx(1 - 1 / 50, abs=0.02)


def test_whole_numbers_too_large_for_single_precision_are_summed_exactly():
    a = np.array([[[2**24 + 1, 2**25, 2**25, 0], [1, 2, 2, 0]]])
    b = a - np.array([[1, 0, 0, 0], [0, 0, 0, 0]])
    assert crossed(a, b, total, resamples=200).high == 2.0  # the first document drawn twice
