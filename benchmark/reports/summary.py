"""What the numbers of an experiment say, in a few sentences: the first lines of every report."""

from __future__ import annotations

from collections.abc import Iterable
from math import fsum

from benchmark.reports.cells import Cells, Seeds, best_control, by_cell, is_control
from benchmark.reports.evidence import Evidence
from benchmark.reports.significance import Contrast, Significance
from benchmark.reports.tables import BASELINE
from benchmark.store.runs import StoredRun

LEFT = {  # what remains with a tuned threshold
    "calibrated.f1": "F1",
    "calibrated.ltail_f1": "LTail F1",
    "ap.tail": "average precision of the tail",
}


def summary(
    runs: Iterable[StoredRun], plain: Significance, further: Significance | None, evidence: Evidence
) -> list[str]:
    """One paragraph for each backbone that has run an augmenter beside `none`.

    Args:
        runs: finished runs of one experiment on one dataset.
        plain, further: their comparisons with `none`, see PLAIN and FURTHER of `significance`.
        evidence: of these runs.
    """
    cells, found = by_cell(runs), []
    for backbone in dict.fromkeys(backbone for backbone, _ in cells):
        rivals = [
            augmenter
            for of, augmenter in cells
            if of == backbone
            and augmenter != BASELINE
            and not is_control(augmenter)
            and (of, augmenter) in plain.first
            and plain.first[of, augmenter].difference.values
        ]
        if rivals:
            gain = lambda name, of=backbone: _dev_gain(cells[of, name], cells[of, BASELINE])
            best = max(rivals, key=gain)
            found.append(_paragraph((backbone, best), len(rivals), cells, plain, further, evidence))
    return found


def signed(points: float) -> str:
    """ "+0.44", and never "-0.00"."""
    text = f"{points:+.2f}"
    return "+0.00" if text == "-0.00" else text


def _paragraph(
    cell: tuple[str, str],
    rivals: int,
    cells: Cells,
    plain: Significance,
    further: Significance | None,
    evidence: Evidence,
) -> str:
    backbone, best = cell
    run = next(iter(cells[backbone, BASELINE].values()))
    head = (run.config.get("augment") or {}).get("stage3") == "head"
    protocol = "only the head trained anew" if head else "the whole model trained anew"
    n = plain.first[cell].difference.n
    text = f"`{backbone}` on {run.dataset} ({protocol}, {n} seed{'s' if n > 1 else ''}): "
    text += f"of {rivals} augmenters " if rivals > 1 else ""
    text += f"`{best}` " + (
        "gains most on dev" if rivals > 1 else "is the only augmenter that has run"
    )
    gains = [
        _gain(family[cell]) for family in plain.families.values() if family[cell].difference.values
    ]
    text += f". On test it differs from `{BASELINE}` by {' and by '.join(gains)}."
    if further is not None:
        differences = {measure: further.families[measure][cell].difference for measure in LEFT}
        parts = [
            f"{signed(difference.mean)} {LEFT[measure]}"
            for measure, difference in differences.items()
            if difference.values
        ]
        text += f" With one threshold tuned on dev for both, what is left is {', '.join(parts)}."
    if (control := best_control(backbone, cells)) is None:
        return text + " No control has run, so nothing is known beyond `none`."
    return f"{text} {_against_control(cells[cell], cells[backbone, control], control, evidence)}"


def _dev_gain(runs: Seeds, none: Seeds) -> float:
    f1 = lambda run: run.metrics["dev"]["f1"] or 0.0
    common = runs.keys() & none.keys()
    return fsum(f1(runs[seed]) - f1(none[seed]) for seed in common) / max(len(common), 1)


def _gain(contrast: Contrast) -> str:
    text = f"{signed(contrast.difference.mean)} {contrast.score}{_span(contrast.bounds)}"
    if contrast.test is None:
        return f"{text} (one seed: no test across seeds)"
    return f"{text} ({'significant' if contrast.significant else 'not significant'})"


def _span(bounds: tuple[float, float] | None) -> str:
    return f" [{signed(bounds[0])}, {signed(bounds[1])}]" if bounds else ""


def _against_control(runs: Seeds, others: Seeds, control: str, evidence: Evidence) -> str:
    pairs = [(runs[seed], others[seed]) for seed in sorted(runs.keys() & others.keys())]
    if not pairs:
        return f"It has no seed in common with the best control, `{control}`."
    mean = fsum(a.metrics["test"]["f1"] - b.metrics["test"]["f1"] for a, b in pairs) / len(pairs)
    interval = evidence.interval(pairs, "f1")
    span = _span(interval and interval.points)
    return f"Against the best control on dev, `{control}`: {signed(100 * mean)} F1{span}."
