"""Warnings as plain sentences: what to know before believing a test, or None."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from benchmark.statistics.effects import minimum_detectable_effect, smallest_p

ALPHA = 0.05
_POWER = 0.8
_MOST_SEEDS = 1_000  # where the search for a sufficient number gives up

DOCUMENT_LEVEL = (
    "A test across documents compares these trained models, not the methods: with other seeds the "
    "difference may vanish or reverse. Only tests across seeds, or the interval across seeds "
    "and documents, speak of the method."
)
POPULATIONS = (
    "The p speaks of new seeds on these documents, the interval of new seeds and new documents."
)
NO_TEST = "With 1 seed no test across seeds can be made: it takes at least two."


def too_few_seeds(
    n: int, comparisons: int, *, test: str = "permutation", alternative: str = "two-sided"
) -> str | None:
    """A sentence if no result of this test across n > 1 seeds could pass Holm's first threshold
    (for one comparison, the level itself); else None.
    """
    smallest, threshold = smallest_p(test, n, alternative=alternative), ALPHA / comparisons
    if smallest <= threshold:
        return None
    enough = lambda k: smallest_p(test, k, alternative=alternative) <= threshold
    seeds = next(filter(enough, range(n, _MOST_SEEDS)), None)
    remedy = f"it takes {seeds} seeds" if seeds else "no number of seeds helps, take another test"
    name = "Wilcoxon" if test == "wilcoxon" else test
    above = f"{threshold:.3g}, Holm's first threshold for {comparisons} comparisons"
    above = above if comparisons > 1 else f"the level of {ALPHA}"
    return (
        f"With {n} seeds the smallest possible p of the {name} test is {smallest:.3g}, above "
        f"{above}: nothing can be significant, whatever the difference; {remedy}."
    )


def detectable_difference(
    n: int,
    sd: float,
    comparisons: int = 1,
    *,
    fewer: Iterable[int] = (),
    alternative: str = "two-sided",
) -> str:
    """What difference the t-test finds on n > 1 paired seeds.

    sd: standard deviation of the paired differences, in points.
    fewer: further numbers of seeds, to say what difference these would find.
    """
    alpha = ALPHA / comparisons
    sides = 1 if alternative == "two-sided" else 2
    found = lambda n: sd * minimum_detectable_effect(n, power=_POWER, alpha=sides * alpha)
    told = " and ".join(f"{found(k):.2f} points with {k} seeds" for k in fewer)
    return (
        f"With {n} seeds whose differences vary by {sd:.2f} points (SD), a true difference of "
        f"{found(n):.2f} points is found by a t-test with {_POWER:.0%} probability at level "
        f"{alpha:.3g} ({counted(comparisons, 'comparison')}); a smaller one will often be missed, "
        "so 'not significant' is not 'no difference'."
        + (f" At this spread it takes {told}." if told else "")
    )


def unpaired_seeds(a: Iterable[int], b: Iterable[int]) -> str | None:
    """Which seeds only one of two sets of runs has: they take no part in paired tests."""
    a, b = set(a), set(b)
    if not a & b:
        told = f"{named_seeds(a)} against {named_seeds(b)}"
        return f"A and B share no seed ({told}): nothing can be paired or tested."
    sides = (("A", a - b), ("B", b - a))
    alone = " and ".join(f"{name} alone has {named_seeds(more)}" for name, more in sides if more)
    return f"{alone}: left out, {counted(len(a & b), 'seed')} paired." if alone else None


def counted(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def named_seeds(seeds: Collection[int]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, sorted(seeds)))}"
