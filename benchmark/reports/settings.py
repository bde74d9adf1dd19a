"""What several settings show together: a setting is a backbone in an experiment on a dataset.

In how many of them an augmenter differs from `none`, and how well the cheap protocol, which trains
only the head, predicts the paper's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import fsum

from benchmark.config import completed
from benchmark.reports.significance import Contrast, Significance
from benchmark.reports.study import augment_of, grouped, is_control
from benchmark.reports.tables import BASELINE, Cell, Column, Row, Table
from benchmark.statistics.comparison import ALPHA
from benchmark.statistics.corrections import datasets_with_effect
from benchmark.store.runs import StoredRun

ACROSS = (
    Column("settings", "settings", "test F1", decimals=0),
    Column("mean", "mean Δ", "test F1", difference=True),
    Column("better", "Δ > 0", "test F1", decimals=0),
    Column("tested", "with a p", "test F1", decimals=0),
    Column("k_hat", "k-hat", "test F1", decimals=0),
)


def across_settings(found: Iterable[Significance]) -> Table | None:
    """In how many settings an augmenter differs from `none`; None with fewer than two.

    Where several experiments hold the same runs, they are one setting: that of the experiment with
    most seeds.
    """
    known: dict[tuple, Contrast] = {}
    for setting, _, contrast in _contrasts(found):
        known[setting] = _with_more_seeds(known.get(setting), contrast)
    settings = grouped((contrast.augmenter, contrast) for contrast in known.values())
    if max(map(len, settings.values()), default=0) < 2:
        return None
    notes = (
        "A setting is a backbone in an experiment on a dataset that has run the augmenter and "
        f"`{BASELINE}` with a common seed. mean Δ: unweighted mean over settings of the mean "
        "difference in test F1. Settings of one dataset share documents; runs that several "
        "experiments share are one setting.",
        f"k-hat (Dror et al. 2017, Bonferroni): with {1 - ALPHA:.0%} confidence the augmenter "
        f"differs from `{BASELINE}`, for better or worse, in at least this many of the settings "
        "with a p (two-sided, across seeds; one seed gives none). Where the interval over seeds "
        "and documents includes 0, p counts as 1. Each augmenter is taken by itself, without a "
        "correction for their number; a mark in a table of an experiment asks for more.",
    )
    rows = tuple(_across(*each) for each in settings.items())
    return Table("Across settings", notes, "", "Augmenter", ACROSS, rows)


def across_sentence(table: Table | None) -> list[str]:
    """k-hat in a sentence, for the augmenters that were tested in several settings."""
    counts = []
    for row in table.rows if table else ():
        tested, k_hat = (row.cells[key].mean for key in ("tested", "k_hat"))
        if tested > 1:
            counts.append(f"`{row.label}` in at least {k_hat} of {tested}")
    said = "Settings (a backbone in an experiment) in which an augmenter, each taken by itself, "
    said += "differs from `none` in test F1 (k-hat): "
    return [f"{said}{', '.join(counts)}."] if counts else []


def protocols_sentence(found: Iterable[Significance]) -> list[str]:
    """Rank correlation and distance of the differences to `none` under both protocols.

    A cell is an augmenter with a backbone, run under both protocols with the same options, data,
    encoder and training; if several experiments have it, the one with most seeds counts.
    Without two such cells there is nothing to say.
    """
    known: dict[tuple, dict[str, Contrast]] = {}
    for setting, run, contrast in _contrasts(found, "stage3", "passes"):
        protocol = augment_of(run.config).get("stage3", "retrain")
        of = known.setdefault(setting, {})
        of[protocol] = _with_more_seeds(of.get(protocol), contrast)
    both = [
        (of["head"].difference.mean, of["retrain"].difference.mean)
        for of in known.values()
        if len(of) == 2
    ]
    if len(both) < 2:
        return []
    from scipy.stats import spearmanr  # takes a second to import

    head, retrain = zip(*both, strict=True)
    apart = fsum(abs(a - b) for a, b in both) / len(both)
    ranked = len(both) > 2 and len(set(head)) > 1 < len(set(retrain))  # two cells: always 1 or -1
    rank = spearmanr(head, retrain).statistic if ranked else None
    correlation = "undefined" if rank is None else f"{rank:+.2f}"
    return [
        f"How well training the head alone predicts training the whole model, over {len(both)} "
        f"cells that have both: Spearman's rank correlation of the differences in F1 to `none` is "
        f"{correlation}, and they are {apart:.2f} points apart on average."
    ]


def _contrasts(
    found: Iterable[Significance], *but: str
) -> Iterator[tuple[tuple, StoredRun, Contrast]]:
    """(setting, run, comparison) for each comparison with `none` that has a difference in test F1.
    The setting is what decides the runs' numbers, without the seed and the keys `but` of `augment`.
    """
    for significance in found:
        study = significance.study
        for cell, contrast in significance.first.items():
            if contrast.difference.values:  # the runs of a cell differ in nothing but their seed
                run = next(iter(study.cells[cell].values()))
                config = completed(run.config)  # older runs lack keys that came later
                sections = map(config.get, ("encoder", "train", "backbone", "augmenter"))
                augment = {key: of for key, of in augment_of(config).items() if key not in but}
                yield (study.data, *cell, repr([*sections, augment])), run, contrast


def _with_more_seeds(known: Contrast | None, other: Contrast) -> Contrast:
    return max(known or other, other, key=lambda contrast: contrast.difference.n)


def _across(augmenter: str, contrasts: Sequence[Contrast]) -> Row:
    means = [contrast.difference.mean for contrast in contrasts]
    tested = [c for c in contrasts if c.test is not None and c.test.p is not None]
    # like a mark, an effect also needs an interval that excludes 0
    p_values = [c.test.p if c.excludes_zero else 1.0 for c in tested]
    numbers = {
        "settings": len(means),
        "mean": sum(means) / len(means),
        "better": sum(mean > 0 for mean in means),
        "tested": len(p_values),
        "k_hat": datasets_with_effect(p_values, alpha=ALPHA),
    }
    seeds = tuple(sorted({seed for contrast in contrasts for seed in contrast.difference.values}))
    cells = {name: Cell(number=number, over=len(seeds)) for name, number in numbers.items()}
    return Row("", augmenter, cells, seeds, seeds, control=is_control(augmenter))
