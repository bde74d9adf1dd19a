"""What the numbers of an experiment say, in a few sentences: the first lines of every report."""

from __future__ import annotations

from math import fsum

from benchmark.reports.significance import Contrast, Significance, against
from benchmark.reports.study import Pairs, is_control
from benchmark.reports.tables import BASELINE, signed

LEFT = {  # what remains with a tuned threshold
    "calibrated.f1": "F1",
    "calibrated.ltail_f1": "LTail F1",
    "ap.tail": "average precision of the tail",
}

_ENDS = ("ltail_f1", "freq_f1")


def summary(plain: Significance, further: Significance | None) -> list[str]:
    """One paragraph for each backbone that has run an augmenter beside `none`.

    plain, further: comparisons with `none`, see PLAIN and FURTHER of `significance`.
    """
    found = []
    for backbone in plain.study.backbones:
        rivals = {
            augmenter: _mean_gain(plain.study.pairs((backbone, augmenter)), "dev")
            for (of, augmenter), contrast in plain.first.items()
            if of == backbone and contrast.difference.values and not is_control(augmenter)
        }
        if rivals:
            best = max(rivals, key=rivals.get)
            found.append(_paragraph((backbone, best), len(rivals), plain, further))
    return found


def _paragraph(
    cell: tuple[str, str], rivals: int, plain: Significance, further: Significance | None
) -> str:
    (backbone, best), study = cell, plain.study
    run = next(iter(study.cells[backbone, BASELINE].values()))
    head = (run.config.get("augment") or {}).get("stage3") == "head"
    protocol = "only the head trained anew" if head else "the whole model trained anew"
    n = plain.first[cell].difference.n
    several = f"of {rivals} augmenters `{best}` gains most on dev"
    alone = f"`{best}` is the only augmenter that has run"
    gains = [
        _gain(family[cell]) for family in plain.families.values() if family[cell].difference.values
    ]
    text = (
        f"`{backbone}` on {run.dataset} ({protocol}, {n} seed{'s' if n > 1 else ''}): "
        f"{several if rivals > 1 else alone}. On test it differs from `{BASELINE}` by "
        f"{' and by '.join(gains)}."
    )
    text += _where(study.pairs(cell))
    if further is not None:
        differences = {measure: further.families[measure][cell].difference for measure in LEFT}
        parts = [
            f"{signed(difference.mean)} {LEFT[measure]}"
            for measure, difference in differences.items()
            if difference.values
        ]
        text += f" With one threshold tuned on dev for both, what is left is {', '.join(parts)}."
    control = study.best_control(backbone)
    if control is None:
        return text + " No control has run, so nothing is known beyond `none`."
    pairs = study.pairs(cell, control)
    if not pairs:
        return f"{text} It has no seed in common with the best control, `{control}`."
    gain = _gain(against(study, cell, control, plain.evidence), with_p=True)
    return f"{text} Against the best control on dev, `{control}`: {gain}."


def _mean_gain(pairs: Pairs, split: str, score: str = "f1") -> float:
    """Mean difference in a score of paired runs, a fraction."""
    of = lambda run: run.metrics[split][score] or 0.0
    return fsum(of(a) - of(b) for a, b in pairs) / len(pairs)


def _where(pairs: Pairs) -> str:
    """Whether the tail or the head of the distribution gains; nothing where neither is defined."""
    if any(None in (run.metrics["test"][s] for s in _ENDS) for pair in pairs for run in pair):
        return ""
    tail, head = (round(100 * _mean_gain(pairs, "test", score), 2) for score in _ENDS)
    told = "neither the tail nor the head of the distribution gains"
    if min(tail, head) > 0:
        more, less = ("tail", "head") if tail > head else ("head", "tail")
        told = f"the {more} of the distribution gains more than its {less}"
        if abs(tail - head) < 0.1:
            told = "the tail and the head of the distribution gain alike"
    elif max(tail, head) > 0:
        more, less = ("tail", "head") if tail > head else ("head", "tail")
        told = f"the {more} of the distribution gains, its {less} does not"
    return f" On average {told} (LTail F1 {signed(tail)}, Freq F1 {signed(head)})."


def _gain(contrast: Contrast, *, with_p: bool = False) -> str:
    text = f"{signed(contrast.difference.mean)} {contrast.score}{_span(contrast.bounds)}"
    if contrast.test is None:
        return f"{text} (one seed: no test across seeds)"
    told = f"p = {contrast.test.p:.2g}, " if with_p else ""
    return f"{text} ({told}{'significant' if contrast.significant else 'not significant'})"


def _span(bounds: tuple[float, float] | None) -> str:
    return f" [{signed(bounds[0])}, {signed(bounds[1])}]" if bounds else ""
