"""The tests hold their level and find what is there: small versions of docs/statistics/validity.py.

Seeds are fixed. Bounds are those of the binomial distribution: a valid test at level .05 goes
beyond them once in 10,000 times.
"""

import numpy as np
import pytest
from scipy.stats import binom

from benchmark.statistics.effects import power_of_t
from docs.statistics import validity

ALPHA = 0.05


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(validity, "RESAMPLES", 199)


def rng(seed=0):
    return np.random.default_rng(seed)


def most(simulations, rate=ALPHA):
    return binom.ppf(1 - 1e-4, simulations, rate) / simulations


def least(simulations, rate=ALPHA):
    return binom.ppf(1e-4, simulations, rate) / simulations


@pytest.mark.parametrize(("shape", "n"), [("normal", 300), ("heavy-tailed (t, 3 df)", 100)])
def test_tests_across_seeds_reject_a_true_hypothesis_as_often_as_they_may(shape, n):
    rates = validity.seed_rejections(n, rng(), shape, 10)
    assert max(rates.values()) <= most(n)
    assert min(rates[name] for name in rates if name != "sign") >= least(n, 0.04)


def test_exact_tests_never_reject_with_five_seeds():
    rates = validity.seed_rejections(20, rng(), "normal", 5, shift=5.0)
    assert rates["permutation"] == rates["wilcoxon"] == rates["sign"] == 0.0 and rates["t"] == 1.0


def test_the_power_of_the_t_test_is_the_one_computed():
    rate = validity.seed_rejections(400, rng(1), "normal", 10, shift=0.8)["t"]
    assert least(400, power_of_t(10, 0.8)) <= rate <= most(400, power_of_t(10, 0.8))


@pytest.mark.parametrize(("measure", "gold"), [("F1", 8.0), ("IGN_F1", 8.0), ("F1", 0.5)])
def test_the_test_across_documents_holds_its_level(measure, gold):
    rates = validity.document_rejections(300, rng(2), 80, getattr(validity, measure), gold=gold)
    assert least(300) <= rates["approximate randomisation"] <= most(300)


def test_the_test_across_documents_finds_a_difference():
    assert min(validity.document_rejections(40, rng(3), 300, shift=0.12).values()) > 0.95


def test_a_document_level_test_is_wrong_about_methods_when_runs_vary():
    run_sd = validity.run_sd_for(1.5, 100, rng(4), 400)
    rates = validity.method_claims(200, rng(5), run_sd, 100, 10)
    wrong = rates["documents, one run each"], rates["documents x 10 seeds pooled"]
    assert min(wrong) > 0.15  # .3 expected
    assert max(rates["10 seeds, permutation"], rates["10 seeds, t"]) <= most(200)


def test_only_the_crossed_interval_covers_new_seeds_and_new_documents():
    covered = validity.coverage(200, rng(6), 0.02, 0.15, 100, 10)
    crossed = covered["crossed bootstrap over seeds and documents"]
    assert crossed >= least(200, 0.95) and crossed > covered["paired t interval across seeds"]


def test_ten_seeds_on_few_documents_mislead_the_tests_where_methods_suit_documents():
    rates = validity.exclusions(200, rng(8), 100, 10, run_sd=0.02, method_sd=0.15)
    assert min(rates["permutation"], rates["t"]) > 0.12  # .25 expected
    assert rates["both: the mark"] <= rates["crossed interval excludes 0"] <= most(200)


def test_ten_seeds_that_dominate_mislead_the_interval_a_little():
    rates = validity.exclusions(200, rng(9), 100, 10, run_sd=0.08)
    assert max(rates["permutation"], rates["t"]) <= most(200)
    assert rates["crossed interval excludes 0"] <= most(200, 0.1)
    assert rates["both: the mark"] <= most(200)


def test_stochastic_order_rarely_prefers_one_of_two_equal_systems():
    rates = validity.dominance(400, rng(7), 10)
    assert rates["eps_min <= 0.2"] <= 0.12 < rates["eps_min <= 0.5"] + 0.1
