"""Corrections: by hand, against statsmodels, missing p-values, and the number of datasets with an
effect.
"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from benchmark.statistics.corrections import (
    CORRECTIONS,
    benjamini_hochberg,
    bonferroni,
    datasets_with_effect,
    holm,
)

families = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def test_by_hand():
    # in order .01, .02, .03: times 3, 2, 1 is .03, .04, .03; no smaller than before: .03, .04, .04
    assert holm([0.03, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert bonferroni([0.03, 0.01, 0.5]) == pytest.approx([0.09, 0.03, 1.0])
    # times 3/1, 3/2, 3/3 is .03, .03, .03
    assert benjamini_hochberg([0.03, 0.01, 0.02]) == pytest.approx([0.03, 0.03, 0.03])


@pytest.mark.parametrize("seed", range(8))
def test_agreement_with_statsmodels(seed):
    p = np.random.default_rng(seed).random(10).round(1) ** 3  # with ties, zeros and ones
    for name, oracle in (("holm", "holm"), ("bonferroni", "bonferroni"), ("bh", "fdr_bh")):
        assert CORRECTIONS[name](p) == pytest.approx(multipletests(p, method=oracle)[1])


def test_missing_p_values_stay_missing_and_count():
    assert holm([0.01, None, 0.02]) == [pytest.approx(0.03), None, pytest.approx(0.04)]
    assert bonferroni([0.01, math.nan]) == [pytest.approx(0.02), None]
    assert benjamini_hochberg([None, 0.01]) == [None, pytest.approx(0.02)]
    assert all(correct([]) == [] for correct in CORRECTIONS.values())


@given(families, st.randoms())
def test_the_order_of_the_family_does_not_matter(p, random):
    order = list(range(len(p)))
    random.shuffle(order)
    for correct in CORRECTIONS.values():
        assert correct([p[i] for i in order]) == pytest.approx([correct(p)[i] for i in order])


def test_no_p_outside_0_and_1():
    for correct in CORRECTIONS.values():
        with pytest.raises(ValueError, match=r"\[1.2\]"):
            correct([0.1, 1.2])


def test_datasets_with_effect_by_hand():
    # Bonferroni: 4 * .001, 3 * .01, 2 * .03 = .06: two datasets
    assert datasets_with_effect([0.03, 0.001, 0.2, 0.01]) == 2
    assert datasets_with_effect([0.03, 0.001, None, 0.01]) == 2
    assert datasets_with_effect([]) == datasets_with_effect([], independent=True) == 0


def test_datasets_with_effect_by_fisher():
    # of two: u = 1 combines both, -2 (ln .04 + ln .06) = 12.06, chi2 of 4 degrees: p = exp(-6.03)
    # (1 + 6.03) = .0169; u = 2 is the larger p, .06
    assert datasets_with_effect([0.04, 0.06], independent=True) == 1
    assert datasets_with_effect([0.04, 0.06]) == 0
    assert datasets_with_effect([0.04, 0.0], independent=True) == 2
    assert (
        datasets_with_effect([0.04, None], independent=True) == 0
    )  # as p = 1: exp(-3.22) (1 + 3.22) = .169


@given(families, st.sampled_from([0.01, 0.05, 0.3]))
def test_bonferroni_conjunction_is_the_definition(p, alpha):
    p, n = np.sort(p), len(p)
    conjunction = np.maximum.accumulate(
        [(n - u) * p[u] for u in range(n)]
    )  # p^{u/n} = (n - u + 1) p_(u), u from 1
    assert datasets_with_effect(p, alpha=alpha) == (conjunction <= alpha).sum()
