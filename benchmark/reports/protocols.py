"""How well the cheap protocol, which trains only the head, predicts the paper's."""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum

from benchmark.config import completed
from benchmark.reports.significance import Significance
from benchmark.reports.tables import Cell
from benchmark.store.runs import StoredRun


def protocols_sentence(found: Sequence[Significance]) -> list[str]:
    """Rank correlation and distance of the differences to `none` under both protocols.

    A cell is an augmenter with a backbone, run under both protocols with the same options, data,
    encoder and training; of several experiments that have it, the one with most seeds speaks.
    Without two such cells there is nothing to say.
    """
    known: dict[tuple, dict[str, Cell]] = {}
    for significance in found:
        for cell, contrast in significance.first.items():
            if contrast.difference.values:  # the runs of a cell differ in nothing but their seed
                run = next(iter(significance.study.cells[cell].values()))
                key = (significance.study.data, *cell, setting(run, "stage3", "passes"))
                of = known.setdefault(key, {})
                most = of.get(_protocol(run), Cell())
                of[_protocol(run)] = max(most, contrast.difference, key=lambda cell: cell.n)
    both = [(of["head"].mean, of["retrain"].mean) for of in known.values() if len(of) == 2]
    if len(both) < 2:
        return []
    from scipy.stats import spearmanr  # takes a second to import

    head, retrain = zip(*both, strict=True)
    apart = fsum(abs(a - b) for a, b in both) / len(both)
    ranked = len(both) > 2 and len(set(head)) > 1 < len(set(retrain))  # two cells: always 1 or -1
    rank = spearmanr(head, retrain).statistic if ranked else None
    correlation = "undefined" if rank is None else f"{rank:+.2f}"
    return [
        f"How well the head alone predicts the whole model trained anew, over {len(both)} cells "
        f"that have both: Spearman's rank correlation of the differences in F1 to `none` is "
        f"{correlation}, and they are {apart:.2f} points apart on average."
    ]


def _protocol(run: StoredRun) -> str:
    return (run.config.get("augment") or {}).get("stage3", "retrain")


def setting(run: StoredRun, *but: str) -> str:
    """What decides a run's numbers beside its data and seed, `but` for these keys of `augment`."""
    config = completed(run.config)  # older runs lack keys that came later
    augment = {key: of for key, of in (config.get("augment") or {}).items() if key not in but}
    sections = ("encoder", "train", "backbone", "augmenter")
    return repr([*map(config.get, sections), augment])
