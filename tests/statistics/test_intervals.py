"""Intervals: closed forms, exhaustive bootstraps of tiny samples, scipy, and what is said where
there is none.
"""

import itertools

import numpy as np
import pytest
from scipy import stats

from benchmark.statistics.intervals import (
    crossed_from_scores,
    crossed_interval,
    document_interval,
    paired_t_interval,
)
from benchmark.statistics.measures import MEASURES
from benchmark.statistics.resampling import draw_documents, scores_under

F1 = MEASURES["f1"]


def rng(seed=0):
    return np.random.default_rng(seed)


def total(totals):
    return totals[..., 0].astype(float)


def test_t_interval_by_hand():
    # mean 2, sd 1, n 3: 2 -+ 4.302653 / sqrt(3)
    interval = paired_t_interval(np.array([1.0, 2.0, 3.0]))
    assert (interval.low, interval.high) == pytest.approx(
        (2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5), abs=1e-6
    )
    assert (interval.estimate, interval.seeds, interval.documents, interval.level) == (
        2.0,
        3,
        None,
        0.95,
    )


def test_t_interval_agrees_with_scipy():
    a, b = rng(1).normal(size=10), rng(2).normal(size=10)
    oracle = stats.ttest_rel(a, b).confidence_interval(0.9)
    interval = paired_t_interval(a - b, level=0.9)
    assert (interval.low, interval.high) == pytest.approx((oracle.low, oracle.high))


@pytest.mark.parametrize(
    ("differences", "warning"),
    [
        ([], "0 seeds"),
        ([1.0], "1 seed"),
        ([0.5, 0.5], "do not vary"),
        ([1.0, np.nan], "1 of 2 differences are undefined"),
    ],
)
def test_no_t_interval_without_spread(differences, warning):
    interval = paired_t_interval(np.array(differences))
    assert interval.low is None and interval.high is None and warning in interval.warnings[0]


def test_the_document_interval_of_three_documents_matches_all_27_draws():
    a, b = (
        np.array([[3, 4, 5, 0], [2, 2, 3, 0], [1, 3, 2, 0]]),
        np.array([[1, 4, 5, 0], [2, 3, 3, 0], [0, 2, 2, 0]]),
    )
    drawn = []
    for rows in itertools.product(range(3), repeat=3):
        (tp, predicted, gold, _), (tp_b, predicted_b, gold_b, _) = (
            a[list(rows)].sum(axis=0),
            b[list(rows)].sum(axis=0),
        )
        drawn.append(2 * tp / (predicted + gold) - 2 * tp_b / (predicted_b + gold_b))
    interval = document_interval(a, b, F1, rng=rng(), resamples=20_000, level=0.8)
    assert (interval.low, interval.high) == pytest.approx(np.quantile(drawn, [0.1, 0.9]), abs=0.01)
    assert interval.documents == 3 and interval.estimate == pytest.approx(6 / 19)


def test_the_document_interval_of_several_seeds_averages_their_differences(models):
    a, b = models(rng(1), 4, 60), models(rng(2), 4, 60)
    weights = draw_documents(rng(), 60, 300)
    by_hand = np.mean(
        [scores_under(weights, a[s], F1) - scores_under(weights, b[s], F1) for s in range(4)],
        axis=0,
    )
    interval = document_interval(a, b, F1, rng=rng(), resamples=300)
    assert (interval.low, interval.high) == pytest.approx(np.quantile(by_hand, [0.025, 0.975]))


def test_the_crossed_interval_of_two_seeds_and_two_documents_matches_all_draws():
    a = np.array(
        [[[5, 0, 0, 0], [1, 0, 0, 0]], [[2, 0, 0, 0], [4, 0, 0, 0]]]
    )  # seeds x documents x counts
    b = np.zeros_like(a)
    drawn = [
        np.mean([sum(a[s, d, 0] for d in documents) for s in seeds])
        for seeds in itertools.product(range(2), repeat=2)
        for documents in itertools.product(range(2), repeat=2)
    ]
    interval = crossed_interval(a, b, total, rng=rng(), resamples=20_000, level=0.7)
    assert (interval.low, interval.high) == pytest.approx(np.quantile(drawn, [0.15, 0.85]), abs=0.6)
    assert interval.estimate == 6.0 and (interval.seeds, interval.documents) == (2, 2)


def test_the_crossed_interval_holds_both_sources_of_variance():
    # additive: seed effects and document effects of the difference; linear measure, so the variance
    # has a closed form
    seeds, documents = 8, 200
    seed_effect, document_effect = rng(1).normal(0, 1, seeds), rng(2).normal(0, 4, documents)
    difference = seed_effect[:, None] + document_effect
    a = np.zeros((seeds, documents, 4))
    a[..., 0] = difference / documents
    interval = crossed_interval(a, np.zeros_like(a), total, rng=rng(), resamples=20_000)
    sd = np.sqrt(seed_effect.var() / seeds + document_effect.var() / documents)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * sd, rel=0.05)
    documents_only = document_interval(a, np.zeros_like(a), total, rng=rng(), resamples=20_000)
    assert documents_only.high - documents_only.low == pytest.approx(
        2 * 1.96 * document_effect.std() / documents**0.5, rel=0.05
    )


def test_changing_places_mirrors_the_crossed_interval(models):
    a, b = models(rng(3), 5, 40), models(rng(4), 5, 40)
    one, other = (
        crossed_interval(a, b, F1, rng=rng(), resamples=999),
        crossed_interval(b, a, F1, rng=rng(), resamples=999),
    )
    assert (one.estimate, one.low, one.high) == pytest.approx(
        (-other.estimate, -other.high, -other.low)
    )


def test_the_crossed_interval_can_share_draws_of_documents(models):
    a, b = models(rng(5), 6, 40), models(rng(6), 6, 40)
    shared = rng()
    weights = draw_documents(shared, 40, 400)
    drawn = scores_under(weights, a, F1) - scores_under(weights, b, F1)
    observed = F1(a.sum(axis=1)) - F1(b.sum(axis=1))
    assert crossed_from_scores(drawn, observed, documents=40, rng=shared) == crossed_interval(
        a, b, F1, rng=rng(), resamples=400
    )


def test_few_seeds_are_said(models):
    a, b = models(rng(7), 3, 30), models(rng(8), 3, 30)
    assert "too narrow" in crossed_interval(a, b, F1, rng=rng(), resamples=99).warnings[0]
    assert "one seed" in crossed_interval(a[:1], b[:1], F1, rng=rng(), resamples=99).warnings[0]
    assert (
        "6 seeds"
        in crossed_interval(
            *(np.tile(x, (2, 1, 1)) for x in (a, b)), F1, rng=rng(), resamples=99
        ).warnings[0]
    )
    assert (
        crossed_interval(
            *(np.tile(x, (4, 1, 1)) for x in (a, b)), F1, rng=rng(), resamples=99
        ).warnings
        == ()
    )


def test_few_documents_are_said(models):
    a, b = models(rng(7), 10, 3), models(rng(8), 10, 3)
    assert (
        "3 documents show too little"
        in crossed_interval(a, b, F1, rng=rng(), resamples=99).warnings[0]
    )
    assert (
        "one document shows"
        in crossed_interval(a[:, :1], b[:, :1], F1, rng=rng(), resamples=99).warnings[0]
    )


def test_undefined_scores_give_no_interval():
    nothing = np.zeros((5, 30, 4), dtype=int)
    interval = crossed_interval(nothing, nothing, F1, rng=rng(), resamples=99)
    assert (
        interval.low is None and interval.estimate is None and "undefined" in interval.warnings[0]
    )


def test_draws_of_documents_are_multinomial():
    weights = draw_documents(rng(), 50, 4_000)
    assert (weights.sum(axis=1) == 50).all()
    assert weights.mean(axis=0) == pytest.approx(np.ones(50), abs=0.08)
    assert weights.var() == pytest.approx(1 - 1 / 50, abs=0.02)


def test_misuse_is_refused():
    counts = np.ones((2, 3, 4))
    with pytest.raises(ValueError, match=r"seeds, documents, k"):
        crossed_interval(counts[0], counts[0], F1, rng=rng())
    with pytest.raises(ValueError, match="paired"):
        crossed_interval(counts, counts[:1], F1, rng=rng())
    with pytest.raises(ValueError, match="level"):
        paired_t_interval(np.array([1.0, 2.0]), level=95)
