"""What a careful statistician would say: warnings as plain sentences, or None (an empty list) when
there is nothing to say.
"""

from __future__ import annotations

from collections.abc import Iterable

from benchmark.statistics.effects import minimum_detectable_effect, smallest_p

_MOST_SEEDS = 1_000  # where the search for a sufficient number of seeds gives up

DOCUMENT_LEVEL = (
    "A test across documents compares these trained models, not the methods: with other seeds the "
    "difference may vanish or turn "
    "round. Only tests across seeds, or the interval across seeds and documents, speak of the "
    "method."
)


def too_few_seeds(
    n: int,
    comparisons: int,
    *,
    test: str = "permutation",
    alpha: float = 0.05,
    alternative: str = "two-sided",
) -> str | None:
    """Whether no result at all of this test across n seeds could pass Holm's first threshold, alpha
    / comparisons.
    """
    smallest, threshold = smallest_p(test, n, alternative=alternative), alpha / comparisons
    if smallest is not None and smallest <= threshold:
        return None
    if smallest is None:
        return f"With {_seeds(n)} no test across seeds can be made: it takes at least two."
    enough = next(
        (
            k
            for k in range(n, _MOST_SEEDS)
            if (p := smallest_p(test, k, alternative=alternative)) and p <= threshold
        ),
        None,
    )
    remedy = f"it takes {enough} seeds" if enough else "no number of seeds helps, take another test"
    return (
        f"With {_seeds(n)} the smallest possible p of the {test} test is {smallest:.3g}, above "
        f"{threshold:.3g}, Holm's first "
        f"threshold for {_comparisons(comparisons)}: nothing can be significant, whatever the "
        f"difference; {remedy}."
    )


def detectable_difference(
    n: int,
    sd: float,
    comparisons: int = 1,
    *,
    power: float = 0.8,
    alpha: float = 0.05,
    alternative: str = "two-sided",
    unit: str = "points",
) -> str | None:
    """What difference the t-test finds on n paired seeds; sd: standard deviation of the paired
    differences, in `unit`. None with n < 2.
    """
    effect = minimum_detectable_effect(
        n, power=power, alpha=alpha / comparisons, alternative=alternative
    )
    if effect is None:
        return None
    return (
        f"With {_seeds(n)} whose differences vary by {sd:.2f} {unit} (SD), a true difference of "
        f"{effect * sd:.2f} {unit} is found "
        f"by a t-test with {power:.0%} probability at level {alpha / comparisons:.3g} "
        f"({_comparisons(comparisons)}); a smaller one "
        "will often be missed, so 'not significant' is not 'no difference'."
    )


def unpaired_seeds(a: Iterable[int], b: Iterable[int]) -> str | None:
    """Which seeds only one of the two sets of runs has: they take no part in paired tests."""
    a, b = set(a), set(b)
    if a == b:
        return None
    if not a & b:
        return (
            f"A and B share no seed ({_named(sorted(a))} against {_named(sorted(b))}): nothing can "
            "be paired or tested."
        )
    alone = [
        f"{name} alone has {_named(sorted(more))}"
        for name, more in (("A", a - b), ("B", b - a))
        if more
    ]
    return f"{' and '.join(alone)}: left out, {_seeds(len(a & b))} paired."


def _seeds(n: int) -> str:
    return "1 seed" if n == 1 else f"{n} seeds"


def _comparisons(n: int) -> str:
    return "1 comparison" if n == 1 else f"{n} comparisons"


def _named(seeds: list[int]) -> str:
    if not seeds:
        return "no seed"
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
