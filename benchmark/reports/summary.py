"""What the numbers of an experiment say, in a few sentences: the first lines of every report."""

from __future__ import annotations

from functools import reduce
from math import fsum
from operator import getitem

from benchmark.reports.significance import Contrast, Significance, against
from benchmark.reports.study import Pairs, Study, augment_of, is_control
from benchmark.reports.tables import BASELINE, signed
from benchmark.statistics.advice import counted, named_seeds

LEFT = {"calibrated.f1": "F1", "calibrated.ltail_f1": "LTail F1"}  # with a tuned threshold
RANKED = "ap.tail"

_ENDS = ("ltail_f1", "freq_f1")


def summary(plain: Significance, further: Significance | None) -> list[str]:
    """One paragraph for each backbone that has run an augmenter beside `none`, or whose `none` has
    learnt nothing.

    plain, further: comparisons with `none`, see PLAIN and FURTHER of `significance`.
    """
    found = []
    for backbone in plain.study.backbones:
        if plain.study.learnt_nothing((backbone, BASELINE)):
            found.append(_nothing_learnt(backbone, plain.study))
            continue
        seeds = {
            cell: contrast.difference.n
            for cell, contrast in plain.first.items()
            if cell[0] == backbone and contrast.difference.values and not is_control(cell[1])
        }
        most = max(seeds.values(), default=0)  # fewer may be lucky ones
        rivals = {
            cell: _mean_gain(plain.study.pairs(cell), "dev", "f1")
            for cell, n in seeds.items()
            if n == most
        }
        if rivals:
            best = max(rivals, key=rivals.get)
            among = f" with {most} seeds" if len(rivals) < len(seeds) else ""
            does = "gains most" if rivals[best] > 0 else "does best"
            told = f"of {len(rivals)} augmenters{among} `{best[1]}` {does} on dev"
            if len(rivals) == 1:
                told = f"`{best[1]}` is the only augmenter that has run{among}"
            found.append(_paragraph(best, told, plain, further))
    return found


def _nothing_learnt(backbone: str, study: Study) -> str:
    """The paragraph for a backbone whose `none` gets no fact of dev right: no gain is stated."""
    ran = [cell for cell, runs in study.cells.items() if cell[0] == backbone and runs]
    who, follows = f"`{BASELINE}` predicts no", ""
    if len(ran) > 1:
        follows = ", so differences to it mean nothing"
        if all(map(study.learnt_nothing, ran)):
            who, follows = "no run predicts a", ", so there is nothing to compare"
    return (
        f"{_setting(backbone, study, len(study.cells[backbone, BASELINE]))}: {who} correct fact on "
        f"dev in any epoch{follows}: train longer, or with other learning rates."
    )


def _setting(backbone: str, study: Study, seeds: int) -> str:
    """The backbone, its dataset and protocol, and how many seeds a sentence is about."""
    run = next(iter(study.cells[backbone, BASELINE].values()))
    head = augment_of(run.config).get("stage3") == "head"
    protocol = "only the head trained anew" if head else "the whole model trained anew"
    return f"`{backbone}` on {run.dataset} ({protocol}, {counted(seeds, 'seed')})"


def _paragraph(
    cell: tuple[str, str], chosen: str, plain: Significance, further: Significance | None
) -> str:
    (backbone, best), study = cell, plain.study
    gains = [
        _gain(family[cell]) for family in plain.families.values() if family[cell].difference.values
    ]
    seeds = plain.first[cell].difference.values
    text = (
        f"{_setting(backbone, study, len(seeds))}: {chosen}. On test it differs from "
        f"`{BASELINE}` by {' and by '.join(gains)}."
    )
    if early := [run.seed for run in study.chosen_early(cell) if run.seed in seeds]:
        which = "every seed" if 1 < len(early) == len(seeds) else named_seeds(early)
        text += f" With {which} the best epoch on dev came before augmentation began, so "
        text += f"`{best}` had no part in what is scored there."
    if silent := study.silent((backbone, BASELINE)):
        text += f" With {named_seeds(silent)} `{BASELINE}` predicts no correct fact on dev in any "
        text += "epoch, so differences to it mean nothing there."
    if further is not None:
        of = {measure: further.families[measure][cell].difference for measure in (*LEFT, RANKED)}
        parts = [f"{signed(of[m].mean)} {name}" for m, name in LEFT.items() if of[m].values]
        if parts:
            fewer = _fewer(further.study.pairs(cell), study.pairs(cell))
            text += f" With one threshold tuned on dev for both{fewer}, what is left is "
            text += ", ".join(parts)
            if of[RANKED].values:
                told = "average precision of the tail, which has no threshold"
                text += f"; {told}: {signed(of[RANKED].mean)}"
            text += "."
    text += _where(study.pairs(cell))
    control = study.best_controls.get(backbone)
    if control is None:
        return text + " No control has run, so nothing is known beyond `none`."
    pairs = study.pairs(cell, control)
    if not pairs:
        return f"{text} It has no seed in common with the best control, `{control}`."
    gain = _gain(against(study, cell, control, plain.evidence), with_p=True)
    text += f" Against the best control on dev, `{control}`: {gain}"
    if further is not None and (held := further.study.pairs(cell, control)):
        left = 100 * _mean_gain(held, "test", "calibrated", "f1")
        text += f"; with one tuned threshold{_fewer(held, pairs)} {signed(left)} F1"
    return f"{text}."


def _fewer(held: Pairs, pairs: Pairs) -> str:
    """The seeds that a sentence is about, if some older runs lack its scores."""
    return f" ({named_seeds([a.seed for a, _ in held])} alone)" if len(held) < len(pairs) else ""


def _mean_gain(pairs: Pairs, *path: str) -> float:
    """Mean difference in the score at this path of the metrics of paired runs, a fraction."""
    of = lambda run: reduce(getitem, path, run.metrics) or 0.0
    return fsum(of(a) - of(b) for a, b in pairs) / len(pairs)


def _where(pairs: Pairs) -> str:
    """Whether the tail or the head of the distribution gains; nothing where neither is defined."""
    if any(None in (run.metrics["test"][s] for s in _ENDS) for pair in pairs for run in pair):
        return ""
    tail, head = (round(100 * _mean_gain(pairs, "test", score), 2) for score in _ENDS)
    more, less = ("tail", "head") if tail > head else ("head", "tail")
    told = "neither the tail nor the head of the distribution gains"
    if min(tail, head) > 0:
        told = f"the {more} of the distribution gains more than its {less}"
        if abs(tail - head) < 0.1:
            told = "the tail and the head of the distribution gain alike"
    elif max(tail, head) > 0:
        told = f"the {more} of the distribution gains, its {less} does not"
    return f" On average {told} (LTail F1 {signed(tail)}, Freq F1 {signed(head)})."


def _gain(contrast: Contrast, *, with_p: bool = False) -> str:
    text = f"{signed(contrast.difference.mean)} {contrast.score}"
    if contrast.bounds:
        text += " [{}, {}]".format(*map(signed, contrast.bounds))
    if contrast.test is None:
        return f"{text} (one seed: no test across seeds)"
    told = f"p = {contrast.test.p:.2g}, uncorrected, " if with_p else ""
    return f"{text} ({told}{'significant' if contrast.significant else 'not significant'})"
