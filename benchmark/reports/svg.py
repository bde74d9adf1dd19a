"""Figures as inline SVG, made of numbers alone; the page's classes and variables colour them.

Each has a title and a description for those who cannot see it, and none tells by colour alone:
gains go up or right of a line, losses down or left.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmark.reports.tables import Cell, signed
from benchmark.scoring.counts import BUCKETS
from benchmark.texts import escape


@dataclass(frozen=True)
class RelationChange:
    """F1 of one relation with an augmenter minus that without, in points.

    frequency: training facts. change: None where either F1 is undefined. f1: with the augmenter.
    """

    name: str
    frequency: int
    change: float | None
    f1: float | None = None


def relation_changes(changes: Iterable[RelationChange], title: str) -> str:
    """Bars of the change of F1 per relation, from the most frequent relation to the rarest.

    A bar's tooltip names its relation. Those without a defined change are left out and counted.
    """
    changes = sorted(changes, key=lambda change: (-change.frequency, change.name))
    drawn = [change for change in changes if change.change is not None]
    left, right, top, bottom = 44, 716, 14, 202
    scale = _Scale([0, *(change.change for change in drawn)], bottom, top)
    step = (right - left) / max(len(drawn), 1)
    parts = []
    for tick in scale.ticks():
        y, kind = scale(tick), "grid" if tick else "zero"
        parts.append(f'<path class="{kind}" d="M{left} {y:.1f}H{right}"/>')
        parts.append(_text(left - 6, y + 4, _tick(tick), "axis", "end"))
    for index, change in enumerate(drawn):
        x, height = left + (index + 0.1) * step, scale(change.change) - scale(0)
        bar = f"M{x:.1f} {scale(0):.1f}h{step * 0.8:.1f}v{height:.1f}h-{step * 0.8:.1f}z"
        kind, name = "gain" if change.change > 0 else "loss", escape(_said(change))
        parts.append(f'<path class="{kind}" d="{bar}"><title>{name}</title></path>')
    begin = 0
    for label, (least, _) in reversed(BUCKETS.items()):  # by training facts
        end = sum(change.frequency >= least for change in drawn)
        if end > begin > 0:
            parts.append(f'<path class="step" d="M{left + begin * step:.1f} {top}V{bottom + 6}"/>')
        if (end - begin) * step > 7 * len(label):
            parts.append(_text(left + (begin + end) / 2 * step, bottom + 16, label, "axis"))
        begin = end
    label = "relations, by number of training facts"
    parts.append(_text((left + right) / 2, bottom + 34, label, "axis"))
    gains, losses = sum(c.change > 0 for c in drawn), sum(c.change < 0 for c in drawn)
    said = f"{gains} of {len(drawn)} relations gain, {losses} lose, "
    said += f"{len(drawn) - gains - losses} stay the same."
    if undefined := len(changes) - len(drawn):
        said += f" {undefined} without a defined F1 are left out."
    if gains and losses:
        ends = (of(drawn, key=lambda change: change.change) for of in (max, min))
        said += " Greatest gain: {}. Greatest loss: {}.".format(*map(_said, ends))
    return _svg(720, bottom + 42, title, said, parts, wide=True)


def differences(rows: Sequence[tuple[str, Cell, tuple[float, float] | None]], title: str) -> str:
    """Each difference to `none` as a point with its interval, over a line at zero.

    A point without an interval is hollow, and its label says so.

    rows: label, difference and interval, in points.
    """
    width, line, top = 360, 42, 22
    bottom = top + line * max(len(rows), 1)
    every = [n for _, cell, ends in rows for n in (*cell.values.values(), *(ends or ()))]
    scale = _Scale([0, *every], 8, width - 8)
    parts = [
        _text(0, top - 9, "◂ worse than none", "axis", "start"),
        _text(width, top - 9, "better than none ▸", "axis", "end"),
    ]
    for tick in scale.ticks():
        x, kind = scale(tick), "grid" if tick else "zero"
        parts.append(f'<path class="{kind}" d="M{x:.1f} {top}V{bottom}"/>')
        parts.append(_text(x, bottom + 16, _tick(tick), "axis"))
    said = []
    for index, (label, cell, ends) in enumerate(rows):
        y, kind, text = top + line * index + 30, "hollow", points(cell.mean)
        if ends is None:
            text += " (one seed: no interval)" if cell.n == 1 else " (no interval)"
        else:
            low, high = ends
            kind = "gain" if low > 0 else "loss" if high < 0 else "open"
            text += f" [{points(low)}, {points(high)}]"
            bar = f"M{scale(low):.1f} {y}H{scale(high):.1f}"
            parts.append(f'<path class="interval {kind}" d="{bar}"/>')
        parts.append(_text(0, y - 13, _shortened(label, 26), "label", "start"))
        parts.append(_text(width, y - 13, text, "label", "end"))
        seeds = cell.values.values() if cell.n > 1 else ()
        parts += [f'<path class="tick" d="M{scale(value):.1f} {y + 5}v5"/>' for value in seeds]
        parts.append(f'<circle class="{kind}" cx="{scale(cell.mean):.1f}" cy="{y}" r="4"/>')
        said.append(f"{label}: {text}")
    return _svg(width, bottom + 22, title, "; ".join(said) + ".", parts)


def paired_dots(groups: Mapping[str, Mapping[int, tuple[float, float]]], title: str) -> str:
    """A panel per augmenter; each seed is a line from its score with `none` to that with it.

    groups: augmenter -> seed -> both scores, in percent.
    """
    groups = {label: pairs for label, pairs in groups.items() if pairs}
    panel, left, top, bottom = 78, 40, 12, 214
    width = left + panel * max(len(groups), 3)
    every = [value for pairs in groups.values() for pair in pairs.values() for value in pair]
    scale, parts, said = _Scale(every or [0, 1], bottom, top), [], []
    for tick in scale.ticks():
        parts.append(f'<path class="grid" d="M{left} {scale(tick):.1f}H{width}"/>')
        parts.append(_text(left - 6, scale(tick) + 4, f"{tick:g}", "axis", "end"))
    for index, (label, pairs) in enumerate(groups.items()):
        a, b = (left + panel * (index + place) for place in (0.27, 0.73))
        for seed, (none, value) in sorted(pairs.items()):
            kind = "gain" if value > none else "loss" if value < none else "same"
            ends = (scale(none), scale(value))
            parts.append(
                f'<g class="pair {kind}"><title>seed {seed}: {none:.2f} to {value:.2f}</title>'
                f'<path d="M{a:.1f} {ends[0]:.1f}L{b:.1f} {ends[1]:.1f}"/>'
                f'<circle class="hollow" cx="{a:.1f}" cy="{ends[0]:.1f}" r="3.2"/>'
                f'<circle cx="{b:.1f}" cy="{ends[1]:.1f}" r="3.2"/></g>'
            )
        middle, better = (a + b) / 2, sum(value > none for none, value in pairs.values())
        parts.append(_text(middle, bottom + 18, _shortened(label, 12), "label"))
        parts.append(_text(middle, bottom + 33, f"{better} of {len(pairs)} up", "axis"))
        said.append(f"{label}: higher than none for {better} of {len(pairs)} seeds")
    return _svg(width, bottom + 42, title, "; ".join(said) + ".", parts, wide=len(groups) > 5)


class _Scale:
    """Numbers to coordinates between `start` and `end`, with some room at both ends."""

    def __init__(self, values: Sequence[float], start: float, end: float):
        low, high = min(values), max(values)
        pad = 0.06 * (high - low) or 1
        self.low, self.high, self.start, self.end = low - pad, high + pad, start, end

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """About five round numbers in the range: multiples of 1, 2 or 5 times a power of ten."""
        raw = (self.high - self.low) / 5
        power = 10 ** math.floor(math.log10(raw))
        step = next(power * k for k in (1, 2, 5, 10) if power * k >= raw)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [k * step for k in range(first, last + 1)]


def _text(x: float, y: float, text: str, kind: str, anchor: str = "middle") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'


def _said(change: RelationChange) -> str:
    return f"{change.name}, {points(change.change, 1)} points"


def points(value: float, decimals: int = 2) -> str:
    """A difference with its sign; a minus sign is as wide as a plus."""
    return signed(value, decimals).replace("-", "\N{MINUS SIGN}")


def _shortened(label: str, most: int) -> str:
    return escape(label if len(label) <= most else label[: most - 1].rstrip() + "…")


def _tick(value: float) -> str:
    return f"{value:+g}".replace("-", "\N{MINUS SIGN}") if value else "0"


def _svg(
    width: float, height: float, title: str, said: str, parts: Iterable[str], *, wide: bool = False
) -> str:
    """The figure. wide: never shrunk to a narrow screen, where text would be too small."""
    return (
        f'<svg class="figure{" wide" if wide else ""}" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" role="img"><title>{escape(title)}</title>'
        f"<desc>{escape(said)}</desc>{''.join(parts)}</svg>"
    )
