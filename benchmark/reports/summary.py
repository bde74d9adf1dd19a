"""What the numbers of an experiment say, in a few sentences: the first lines of every report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import fsum

from benchmark.reports.evidence import Evidence
from benchmark.reports.significance import Contrast, Significance
from benchmark.reports.tables import BASELINE, best_control, is_control
from benchmark.statistics.comparison import ALPHA
from benchmark.statistics.corrections import datasets_with_effect
from benchmark.store.runs import StoredRun

Cells = Mapping[tuple[str, str], Mapping[int, StoredRun]]  # (backbone, augmenter) -> seed -> run


def by_cell(runs: Iterable[StoredRun]) -> dict[tuple[str, str], dict[int, StoredRun]]:
    """Runs of one experiment by cell and seed."""
    cells: dict[tuple[str, str], dict[int, StoredRun]] = {}
    for run in runs:
        cells.setdefault((run.backbone, run.augmenter), {})[run.seed] = run
    return cells


def summary(
    runs: Iterable[StoredRun], plain: Significance, further: Significance | None, evidence: Evidence
) -> list[str]:
    """One paragraph for each backbone that has run an augmenter beside `none`.

    Args:
        runs: finished runs of one experiment on one dataset.
        plain, further: their comparisons with `none`: of F1 and LTail F1, and of the calibrated
            scores and average precision, if these are stored.
        evidence: of these runs.
    """
    cells = by_cell(runs)
    found = []
    for backbone in dict.fromkeys(backbone for backbone, _ in cells):
        rivals = [
            augmenter
            for of, augmenter in cells
            if of == backbone
            and augmenter != BASELINE
            and not is_control(augmenter)
            and plain.first[of, augmenter].difference.values
        ]
        if rivals:
            found.append(_of_backbone(backbone, rivals, cells, plain, further, evidence))
    return found


def _of_backbone(
    backbone: str,
    rivals: list[str],
    cells: Cells,
    plain: Significance,
    further: Significance | None,
    evidence: Evidence,
) -> str:
    none = cells[backbone, BASELINE]
    best = max(rivals, key=lambda augmenter: _dev_gain(cells[backbone, augmenter], none))
    cell = (backbone, best)
    first = plain.first[cell]
    run = next(iter(none.values()))
    head = (run.config.get("augment") or {}).get("stage3") == "head"
    protocol = "only the head trained anew" if head else "the whole model trained anew"
    n = first.difference.n
    chosen = f"of {len(rivals)} augmenters `{best}` gains most on dev" if len(rivals) > 1 else ""
    sentences = [
        f"`{backbone}` on {run.dataset} ({protocol}, {n} seed{'s' if n > 1 else ''}): "
        + (chosen or f"`{best}` is the only augmenter that has run")
        + f". On test it differs from `{BASELINE}` by {_gain(first, 'F1')}"
        + (
            f" and by {_gain(plain.families['ltail_f1'][cell], 'LTail F1')}."
            if plain.families["ltail_f1"][cell].difference.values
            else "."
        )
    ]
    if further is not None:
        parts = [
            f"{signed(further.families[measure][cell].difference.mean)} {name}"
            for measure, name in (
                ("calibrated.f1", "F1"),
                ("calibrated.ltail_f1", "LTail F1"),
                ("ap.tail", "average precision of the tail"),
            )
            if further.families[measure][cell].difference.values
        ]
        sentences.append(
            "With one threshold tuned on dev for both, what is left is " + ", ".join(parts) + "."
        )
    if (control := best_control(backbone, cells)) is not None:
        sentences.append(_against_control(cells[cell], cells[backbone, control], control, evidence))
    else:
        sentences.append("No control has run, so nothing is known beyond `none`.")
    return " ".join(sentences)


def _dev_gain(runs: Mapping[int, StoredRun], none: Mapping[int, StoredRun]) -> float:
    f1 = lambda run: run.metrics["dev"]["f1"] or 0.0
    common = runs.keys() & none.keys()
    return fsum(f1(runs[seed]) - f1(none[seed]) for seed in common) / max(len(common), 1)


def _gain(contrast: Contrast, name: str) -> str:
    text = f"{signed(contrast.difference.mean)} {name}"
    interval = contrast.interval
    if interval is not None and interval.low is not None:
        text += f" [{signed(100 * interval.low)}, {signed(100 * interval.high)}]"
    if contrast.test is None:
        return text + " (one seed: no test across seeds)"
    return text + (" (significant)" if contrast.significant else " (not significant)")


def _against_control(
    runs: Mapping[int, StoredRun], others: Mapping[int, StoredRun], control: str, evidence: Evidence
) -> str:
    common = sorted(runs.keys() & others.keys())
    if not common:
        return f"It has no seed in common with the best control, `{control}`."
    pairs = [(runs[seed], others[seed]) for seed in common]
    mean = fsum(a.metrics["test"]["f1"] - b.metrics["test"]["f1"] for a, b in pairs) / len(pairs)
    interval = evidence.interval(pairs, "f1")
    between = (
        f" [{signed(100 * interval.low)}, {signed(100 * interval.high)}]"
        if interval is not None and interval.low is not None
        else ""
    )
    return f"Against the best control on dev, `{control}`: {signed(100 * mean)} F1{between}."


def across(found: Iterable[Significance]) -> list[str]:
    """A sentence on how many settings show an effect, for the augmenters tested in several."""
    p_values: dict[str, list[float]] = {}
    for significance in found:
        for contrast in significance.first.values():
            if contrast.test is not None and contrast.test.p is not None:
                p_values.setdefault(contrast.augmenter, []).append(contrast.test.p)
    several = {name: values for name, values in p_values.items() if len(values) > 1}
    if not several:
        return []
    counts = ", ".join(
        f"`{name}` in at least {datasets_with_effect(values, alpha=ALPHA)} of {len(values)}"
        for name, values in several.items()
    )
    return [f"Settings in which an augmenter differs from `none` in test F1 (k-hat): {counts}."]


def signed(points: float) -> str:
    """ "+0.44", and never "-0.00"."""
    text = f"{points:+.2f}"
    return "+0.00" if text == "-0.00" else text
