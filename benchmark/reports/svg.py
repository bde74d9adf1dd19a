"""Figures as inline SVG, made of numbers alone; the page's classes and variables colour them.

Each has a title and a description for those who cannot see it, and none tells by colour alone:
gains go up or right of a line, losses down or left.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmark.texts import escape


@dataclass(frozen=True)
class RelationChange:
    """F1 of one relation with an augmenter minus that without, in points.

    frequency: training facts. change: None where either F1 is undefined.
    """

    name: str
    frequency: int
    change: float | None


@dataclass(frozen=True)
class SeedPairs:
    """One augmenter: seed -> (score of `none`, score with the augmenter), in percent."""

    label: str
    values: Mapping[int, tuple[float, float]]


@dataclass(frozen=True)
class Difference:
    """A difference to `none` in points.

    low, high: its interval, None where there is none. values: the seeds' own differences.
    """

    label: str
    point: float
    low: float | None = None
    high: float | None = None
    values: tuple[float, ...] = ()


NAMED = 3  # of the greatest gains and losses of relations
FREQUENCY_STEPS = {201: "more than 200", 51: "51–200", 11: "11–50", 1: "1–10", 0: "0"}


def relation_changes(changes: Iterable[RelationChange], title: str) -> str:
    """Bars of the change of F1 per relation, from the most frequent relation to the rarest.

    Relations without a defined change are left out and counted.
    """
    changes = sorted(changes, key=lambda change: (-change.frequency, change.name))
    drawn = [change for change in changes if change.change is not None]
    left, right, top, bottom, width = 44, 716, 26, 214, 720
    scale = _Scale([0, *(change.change for change in drawn)], 0.06, bottom, top)
    step = (right - left) / max(len(drawn), 1)
    paths = {"gain": "", "loss": ""}
    for index, change in enumerate(drawn):
        x, height = left + index * step, scale(change.change) - scale(0)
        paths["gain" if change.change > 0 else "loss"] += (
            f"M{x + step * 0.1:.1f} {scale(0):.1f}h{step * 0.8:.1f}v{height:.1f}h-{step * 0.8:.1f}z"
        )
    parts = [_y_axis(scale, left, right, signed=True)]
    parts += [f'<path class="{name}" d="{path}"/>' for name, path in paths.items() if path]
    parts += _frequency_marks(drawn, left, step, bottom)
    extreme = sorted((c for c in drawn if c.change), key=lambda c: c.change)
    notable = {c.name for c in [*extreme[:NAMED], *extreme[-NAMED:]]}
    points = [(left + (i + 0.5) * step, c) for i, c in enumerate(drawn) if c.name in notable]
    parts += _names(points, scale, left, right)
    label = "relations, by number of training facts"
    parts.append(_text((left + right) / 2, bottom + 34, label, "axis"))
    gains, losses = sum(c.change > 0 for c in drawn), sum(c.change < 0 for c in drawn)
    said = f"{gains} of {len(drawn)} relations gain, {losses} lose, "
    said += f"{len(drawn) - gains - losses} stay the same."
    if undefined := len(changes) - len(drawn):
        said += f" {undefined} without a defined F1 are left out."
    if extreme and extreme[0].change < 0 < extreme[-1].change:
        name = lambda change: f"{change.name}, {_signed(change.change, 1)} points"
        said += f" Greatest gain: {name(extreme[-1])}. Greatest loss: {name(extreme[0])}."
    return _svg(width, bottom + 42, title, said, parts, wide=True)


def paired_dots(groups: Sequence[SeedPairs], title: str) -> str:
    """A panel per augmenter; each seed is a line from its score with `none` to that with it."""
    groups = [group for group in groups if group.values]
    panel, left, top, bottom = 78, 40, 12, 214
    width = left + panel * max(len(groups), 3)
    every = [value for group in groups for pair in group.values.values() for value in pair]
    scale = _Scale(every or [0, 1], 0.08, bottom, top)
    parts, said = [_y_axis(scale, left, width)], []
    for index, group in enumerate(groups):
        a, b = left + panel * (index + 0.27), left + panel * (index + 0.73)
        for seed, (none, value) in sorted(group.values.items()):
            parts.append(
                f'<g class="pair {"gain" if value > none else "loss"}">'
                f"<title>seed {seed}: {none:.2f} to {value:.2f}</title>"
                f'<path d="M{a:.1f} {scale(none):.1f}L{b:.1f} {scale(value):.1f}"/>'
                f'<circle class="hollow" cx="{a:.1f}" cy="{scale(none):.1f}" r="3.2"/>'
                f'<circle cx="{b:.1f}" cy="{scale(value):.1f}" r="3.2"/></g>'
            )
        middle = left + panel * (index + 0.5)
        better = sum(value > none for none, value in group.values.values())
        parts.append(_text(middle, bottom + 18, escape(_short(group.label, 12))))
        up = f"{better} of {len(group.values)} up"
        parts.append(_text(middle, bottom + 33, up, "axis"))
        said.append(f"{group.label}: higher than none for {better} of {len(group.values)} seeds")
    return _svg(width, bottom + 42, title, "; ".join(said) + ".", parts, wide=len(groups) > 5)


def differences(rows: Sequence[Difference], title: str) -> str:
    """Each difference as a point with its interval, over a line at zero.

    A point without an interval is hollow, and its label says so.
    """
    width, line, top = 360, 42, 22
    bottom = top + line * max(len(rows), 1)
    every = [n for row in rows for n in (row.point, row.low, row.high, *row.values)]
    scale = _Scale([0, *(n for n in every if n is not None)], 0.06, 8, width - 8)
    ticks = scale.ticks()
    parts = [
        *(f'<path class="grid" d="M{scale(t):.1f} {top}V{bottom}"/>' for t in ticks if t),
        *(_text(scale(t), bottom + 16, _signed(t), "axis") for t in ticks),
        f'<path class="zero" d="M{scale(0):.1f} {top}V{bottom}"/>',
        _text(0, top - 9, "◂ worse than none", "axis", "start"),
        _text(width, top - 9, "better than none ▸", "axis", "end"),
    ]
    said = []
    for index, row in enumerate(rows):
        y, interval = top + line * index + 30, row.low is not None
        kind, text = "hollow", _signed(row.point, 2)
        if interval:
            kind = "gain" if row.low > 0 else "loss" if row.high < 0 else "open"
            text += f" [{_signed(row.low, 2)}, {_signed(row.high, 2)}]"
        else:
            text += " (one seed: no interval)" if len(row.values) == 1 else " (no interval)"
        parts.append(_text(0, y - 13, escape(_short(row.label, 26)), "label", "start"))
        parts.append(_text(width, y - 13, text, "label", "end"))
        seeds = row.values if len(row.values) > 1 else ()
        parts += [f'<path class="tick" d="M{scale(value):.1f} {y + 5}v5"/>' for value in seeds]
        if interval:
            ends = f"M{scale(row.low):.1f} {y}H{scale(row.high):.1f}"
            parts.append(f'<path class="interval {kind}" d="{ends}"/>')
        parts.append(f'<circle class="{kind}" cx="{scale(row.point):.1f}" cy="{y}" r="4"/>')
        said.append(f"{row.label}: {text}")
    return _svg(width, bottom + 22, title, "; ".join(said) + ".", parts)


def change_bar(value: float, most: float) -> str:
    """A bar beside a number in a table, full at ±`most`: right for a gain, left for a loss.

    Screen readers read the number and skip the bar.
    """
    length = 20 * min(abs(value) / most, 1) if most else 0
    kind, x = ("gain", 22) if value > 0 else ("loss", 22 - length)
    return (
        '<svg class="bar" viewBox="0 0 44 12" width="44" height="12" aria-hidden="true">'
        f'<rect class="{kind}" x="{x:.1f}" y="3" width="{length:.1f}" height="6"/>'
        '<path class="zero" d="M22 0V12"/></svg>'
    )


class _Scale:
    """Numbers to coordinates between `start` and `end`, with a share of room at both ends."""

    def __init__(self, values: Sequence[float], room: float, start: float, end: float):
        low, high = min(values), max(values)
        pad = room * (high - low) or 1
        self.low, self.high, self.start, self.end = low - pad, high + pad, start, end

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, about: int = 5) -> list[float]:
        """Round numbers within the range: multiples of 1, 2 or 5 times a power of ten."""
        raw = (self.high - self.low) / about
        power = 10 ** math.floor(math.log10(raw))
        step = next(power * k for k in (1, 2, 5, 10) if power * k >= raw)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [k * step for k in range(first, last + 1)]


def _y_axis(scale: _Scale, left: float, right: float, *, signed: bool = False) -> str:
    out = []
    for tick in scale.ticks():
        kind, text = "zero" if signed and tick == 0 else "grid", f"{tick:g}"
        out.append(f'<path class="{kind}" d="M{left} {scale(tick):.1f}H{right:.1f}"/>')
        text = _signed(tick) if signed else text
        out.append(_text(left - 6, scale(tick) + 4, text, "axis", "end"))
    return "".join(out)


def _frequency_marks(
    drawn: Sequence[RelationChange], left: float, step: float, bottom: float
) -> list[str]:
    """A dotted line where the number of training facts falls below 201, 51, 11, 1, with labels."""
    out, begin = [], 0
    for least, label in FREQUENCY_STEPS.items():
        end = sum(change.frequency >= least for change in drawn)
        if end == begin:
            continue
        if begin:
            out.append(f'<path class="step" d="M{left + begin * step:.1f} 20V{bottom + 6}"/>')
        if (end - begin) * step > 7 * len(label) * 0.85:
            out.append(_text(left + (begin + end) / 2 * step, bottom + 16, label, "axis"))
        begin = end
    return out


def _names(
    points: Sequence[tuple[float, RelationChange]], scale: _Scale, left: float, right: float
) -> list[str]:
    """Names at the ends of bars; one that would lie on another is left out."""
    out: list[str] = []
    taken: list[tuple[float, float, float]] = []  # x from, x to, y
    for x, change in sorted(points, key=lambda point: -abs(point[1].change)):
        text = _short(change.name, 30)
        half = 3.1 * len(text)
        x = min(max(x, left + half), right - half)
        y = scale(change.change) + (-5 if change.change > 0 else 13)
        if any(x - half < b and x + half > a and abs(y - other) < 12 for a, b, other in taken):
            continue
        taken.append((x - half, x + half, y))
        out.append(_text(x, y, escape(text), "name"))
    return out


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "middle") -> str:
    style = f' class="{kind}"' if kind else ""
    return f'<text{style} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def _signed(value: float, decimals: int | None = None) -> str:
    text = f"{value:+.{decimals}f}" if decimals is not None else f"{value:+g}"
    return "0" if value == 0 and decimals is None else text.replace("-", "\N{MINUS SIGN}")


def _svg(
    width: float, height: float, title: str, said: str, parts: Iterable[str], *, wide: bool = False
) -> str:
    """wide: not to be shrunk to a narrow screen, where its text would be too small."""
    return (
        f'<svg class="figure{" wide" if wide else ""}" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" role="img"><title>{escape(title)}</title>'
        f"<desc>{escape(said)}</desc>{''.join(parts)}</svg>"
    )
