"""Holm by hand and against statsmodels, missing p-values, and k-hat."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from benchmark.statistics.corrections import datasets_with_effect, holm

families = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def test_by_hand_and_with_missing_p_values():
    # in order .01, .02, .03: times 3, 2, 1 is .03, .04, .03; no smaller than before: .03, .04, .04
    assert holm([0.03, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.01, None, 0.02]) == [pytest.approx(0.03), None, pytest.approx(0.04)]
    assert holm([None]) == [None] and holm([]) == []


@pytest.mark.parametrize("seed", range(8))
def test_agreement_with_statsmodels(seed):
    p = np.random.default_rng(seed).random(10).round(1) ** 3  # with ties, zeros and ones
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


@given(families, st.randoms())
def test_the_order_of_the_family_does_not_matter(p, random):
    order = list(range(len(p)))
    random.shuffle(order)
    assert holm([p[i] for i in order]) == pytest.approx([holm(p)[i] for i in order])


def test_datasets_with_effect_by_hand():
    # 4 * .001, 3 * .01, 2 * .03 = .06: two datasets
    assert datasets_with_effect([0.03, 0.001, 0.2, 0.01]) == 2
    assert datasets_with_effect([0.03, 0.001, None, 0.01]) == 2


@given(families, st.sampled_from([0.01, 0.05, 0.3]))
def test_datasets_with_effect_is_the_bonferroni_conjunction(p, alpha):
    p, n = np.sort(p), len(p)  # p^{u/n} = (n - u + 1) p_(u), u from 1
    conjunction = np.maximum.accumulate([(n - u) * p[u] for u in range(n)])
    assert datasets_with_effect(p, alpha=alpha) == (conjunction <= alpha).sum()
