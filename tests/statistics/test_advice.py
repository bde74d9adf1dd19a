"""Advice: when something is said, what is said, and silence when there is nothing to say."""

import numpy as np
from stored_runs import counts

from benchmark.statistics.advice import detectable_difference, too_few_seeds, unpaired_seeds
from benchmark.statistics.comparison import compare


def test_too_few_seeds_for_the_correction_ever_to_reject():
    # n = 10: 2 / 2^10 = .00195; 18 comparisons need .00278, 132 need .00038
    assert too_few_seeds(10, 18) is None
    text = too_few_seeds(10, 132)
    assert all(part in text for part in ("10 seeds", "0.00195", "0.000379", "132 comparisons"))
    assert "it takes 13 seeds" in text  # 2 / 2^12 = .00049, 2 / 2^13 = .00024
    one = too_few_seeds(3, 1)
    assert "above the level of 0.05: nothing" in one and "it takes 6 seeds" in one
    assert "Holm" not in one
    assert too_few_seeds(5, 1, alternative="greater") is None and too_few_seeds(5, 1) is not None
    assert "p of the sign test is 0.25" in too_few_seeds(3, 1, test="sign")
    assert too_few_seeds(3, 132, test="t") is None
    # a drawn permutation test cannot pass any threshold
    assert "take another test" in too_few_seeds(30, 10_000)


def test_detectable_difference():
    # statsmodels: TTestPower().solve_power(nobs=10, power=.8, alpha=.05) = .996
    text = detectable_difference(10, 0.8)
    assert "10 seeds" in text and "0.80 points (SD)" in text
    assert "0.80 points is found by a t-test with 80% probability" in text
    assert "level 0.00278 (18 comparisons)" in detectable_difference(10, 0.8, 18)
    # alternative="larger": .853
    assert "0.85 points is found" in detectable_difference(10, 1.0, alternative="greater")


def test_differences_that_vary_by_rounding_alone_promise_no_power():
    a, b = ({s: counts((more + 37 * s) / 1000) for s in range(8)} for more in (501, 500))
    rng = np.random.default_rng(0)
    warnings = " ".join(compare(a, b, names=("A", "B"), resamples=99, rng=rng).warnings)
    assert (
        "10 seeds or fewer show too little" in warnings and "is found by a t-test" not in warnings
    )


def test_unpaired_seeds():
    sentence = "A alone has seed 0 and B alone has seeds 4, 5: left out, 2 seeds paired."
    assert unpaired_seeds([0, 1], [1, 0]) is None
    assert unpaired_seeds([0, 1, 2], [1, 2, 4, 5]) == sentence
    assert "share no seed (seed 0 against seeds 1, 2)" in unpaired_seeds([0], [1, 2])
