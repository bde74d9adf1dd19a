"""Figures as inline SVG, made of numbers alone. Colours are the page's (classes and CSS variables),
so that they follow its theme.

Each has a title and a description for those who cannot see it, and none tells by colour alone:
gains go up or right of a line, losses down or left.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmark.texts import escape


@dataclass(frozen=True)
class RelationChange:
    """F1 of one relation with an augmenter minus that without, in points; None where either is
    undefined.
    """

    name: str
    frequency: int  # training facts
    change: float | None


@dataclass(frozen=True)
class Pairs:
    """One augmenter: seed -> (score of `none`, score with the augmenter), in percent."""

    label: str
    values: Mapping[int, tuple[float, float]]


@dataclass(frozen=True)
class Difference:
    """A difference to `none` in points. low, high: its interval; None where there is none. values:
    the seeds' own differences.
    """

    label: str
    point: float
    low: float | None = None
    high: float | None = None
    values: tuple[float, ...] = field(default=())


FREQUENCY_STEPS = (
    (201, "more than 200"),
    (51, "51–200"),
    (11, "11–50"),
    (1, "1–10"),
    (0, "0"),
)  # as scoring's buckets


def relation_changes(changes: Iterable[RelationChange], title: str, *, named: int = 3) -> str:
    """Bars of the change of F1 per relation, the relation with most training facts at the left.

    named: how many of the greatest gains and losses are named. Relations without a defined change
        are left out and counted.
    """
    changes = sorted(changes, key=lambda change: (-change.frequency, change.name))
    drawn = [change for change in changes if change.change is not None]
    undefined = len(changes) - len(drawn)
    left, right, top, bottom, width = 44, 716, 26, 214, 720
    scale = _Scale(*_around_zero([change.change for change in drawn]), bottom, top)
    step = (right - left) / max(len(drawn), 1)
    parts = [_y_axis(scale, left, right, signed=True)]
    paths = {"gain": [], "loss": []}
    for index, change in enumerate(drawn):
        x, height = left + index * step, scale(change.change) - scale(0)
        paths["gain" if change.change > 0 else "loss"].append(
            f"M{x + step * 0.1:.1f} {scale(0):.1f}h{step * 0.8:.1f}v{height:.1f}h-{step * 0.8:.1f}z"
        )
    parts += [f'<path class="{name}" d="{"".join(path)}"/>' for name, path in paths.items() if path]
    parts += _frequency_marks(drawn, left, step, bottom)
    extreme = sorted((c for c in drawn if c.change), key=lambda c: c.change)
    notable = {c.name: c for c in [*extreme[:named], *extreme[-named:]] if named}
    parts += _names(
        [(left + (i + 0.5) * step, c) for i, c in enumerate(drawn) if c.name in notable],
        scale,
        left,
        right,
    )
    parts.append(
        _axis_text((left + right) / 2, bottom + 34, "relations, by number of training facts")
    )
    gains, losses = sum(c.change > 0 for c in drawn), sum(c.change < 0 for c in drawn)
    said = (
        f"{gains} of {len(drawn)} relations gain, {losses} lose, {len(drawn) - gains - losses} "
        "stay the same."
    )
    said += f" {undefined} without a defined F1 are left out." if undefined else ""
    if extreme:
        said += (
            f" Greatest gain: {_said(extreme[-1])}. Greatest loss: {_said(extreme[0])}."
            if extreme[0].change < 0 < extreme[-1].change
            else ""
        )
    return _svg(width, bottom + 42, title, said, parts, wide=True)


def paired_dots(groups: Sequence[Pairs], title: str) -> str:
    """A panel per augmenter: each seed a line from its score with `none` (left) to that with the
    augmenter (right).
    """
    groups = [group for group in groups if group.values]
    panel, left, top, bottom = 78, 40, 12, 214
    width = left + panel * max(len(groups), 3)
    scale = _Scale(
        *_padded([value for group in groups for pair in group.values.values() for value in pair]),
        bottom,
        top,
    )
    parts, said = [_y_axis(scale, left, width)], []
    for index, group in enumerate(groups):
        a, b = left + panel * (index + 0.27), left + panel * (index + 0.73)
        for seed, (none, value) in sorted(group.values.items()):
            kind = "gain" if value > none else "loss"
            before, after = (
                f'cx="{a:.1f}" cy="{scale(none):.1f}" r="3.2"',
                f'cx="{b:.1f}" cy="{scale(value):.1f}" r="3.2"',
            )
            parts.append(
                f'<g class="pair {kind}"><title>seed {seed}: {none:.2f} to {value:.2f}</title>'
                f'<path d="M{a:.1f} {scale(none):.1f}L{b:.1f} {scale(value):.1f}"/>'
                f'<circle class="hollow" {before}/><circle {after}/></g>'
            )
        middle = left + panel * (index + 0.5)
        better = sum(value > none for none, value in group.values.values())
        parts.append(
            f'<text x="{middle:.1f}" y="{bottom + 18}" '
            f'text-anchor="middle">{escape(_short(group.label, 12))}</text>'
        )
        parts.append(
            f'<text class="axis" x="{middle:.1f}" y="{bottom + 33}" text-anchor="middle">{better} '
            f"of {len(group.values)} up</text>"
        )
        said.append(f"{group.label}: higher than none for {better} of {len(group.values)} seeds")
    return _svg(width, bottom + 42, title, "; ".join(said) + ".", parts, wide=len(groups) > 5)


def differences(rows: Sequence[Difference], title: str) -> str:
    """Each difference as a point with its interval, over a line at zero; a point without an
    interval is hollow, and says so.
    """
    width, line, top = 360, 42, 22
    bottom = top + line * max(len(rows), 1)
    numbers = [
        n for row in rows for n in (row.point, row.low, row.high, *row.values) if n is not None
    ]
    scale = _Scale(*_around_zero(numbers), 8, width - 8)
    parts = [
        *(f'<path class="grid" d="M{scale(t):.1f} {top}V{bottom}"/>' for t in scale.ticks() if t),
        *(
            f'<text class="axis" x="{scale(t):.1f}" y="{bottom + 16}" '
            f'text-anchor="middle">{_signed(t)}</text>'
            for t in scale.ticks()
        ),
        f'<path class="zero" d="M{scale(0):.1f} {top}V{bottom}"/>',
        f'<text class="axis" x="0" y="{top - 9}">◂ worse than none</text>',
        f'<text class="axis" x="{width}" y="{top - 9}" text-anchor="end">better than none ▸</text>',
    ]
    said = []
    for index, row in enumerate(rows):
        y, interval, seeds = (
            top + line * index + 30,
            row.low is not None and row.high is not None,
            len(row.values),
        )
        kind = (
            "hollow"
            if not interval
            else "gain"
            if row.low > 0
            else "loss"
            if row.high < 0
            else "open"
        )
        text = (
            f"{_signed(row.point, 2)} [{_signed(row.low, 2)}, {_signed(row.high, 2)}]"
            if interval
            else _signed(row.point, 2)
        )
        text += "" if interval else " (one seed: no interval)" if seeds == 1 else " (no interval)"
        parts.append(
            f'<text class="label" x="0" y="{y - 13}">{escape(_short(row.label, 26))}</text>'
        )
        parts.append(
            f'<text class="label" x="{width}" y="{y - 13}" text-anchor="end">{text}</text>'
        )
        parts += [
            f'<path class="tick" d="M{scale(value):.1f} {y + 5}v5"/>'
            for value in row.values
            if seeds > 1
        ]
        if interval:
            parts.append(
                f'<path class="interval {kind}" d="M{scale(row.low):.1f} '
                f'{y}H{scale(row.high):.1f}"/>'
            )
        parts.append(f'<circle class="{kind}" cx="{scale(row.point):.1f}" cy="{y}" r="4"/>')
        said.append(f"{row.label}: {text}")
    return _svg(width, bottom + 22, title, "; ".join(said) + ".", parts)


def change_bar(value: float, most: float) -> str:
    """A bar beside a number in a table: right of the middle for a gain, left of it for a loss, full
    at ±`most`.

    Screen readers, which read the number, do not meet it.
    """
    length = 20 * min(abs(value) / most, 1) if most else 0
    x = 22 if value > 0 else 22 - length
    bar = (
        f'<rect class="{"gain" if value > 0 else "loss"}" x="{x:.1f}" y="3" width="{length:.1f}" '
        'height="6"/>'
    )
    middle = '<path class="zero" d="M22 0V12"/>'
    return (
        '<svg class="bar" viewBox="0 0 44 12" width="44" height="12" '
        f'aria-hidden="true">{bar}{middle}</svg>'
    )


class _Scale:
    """Numbers between `low` and `high` to coordinates between `start` and `end`."""

    def __init__(self, low: float, high: float, start: float, end: float):
        self.low, self.high, self.start, self.end = low, high, start, end

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, about: int = 5) -> list[float]:
        """Round numbers within the range: multiples of 1, 2 or 5 times a power of ten."""
        raw = (self.high - self.low) / about
        power = 10 ** math.floor(math.log10(raw))
        step = next(power * k for k in (1, 2, 5, 10) if power * k >= raw)
        return [
            k * step
            for k in range(
                math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9) + 1
            )
        ]


def _around_zero(values: Sequence[float]) -> tuple[float, float]:
    low, high = min([0, *values]), max([0, *values])
    pad = 0.06 * (high - low) or 1
    return (low - pad, high + pad)


def _padded(values: Sequence[float]) -> tuple[float, float]:
    low, high = (min(values), max(values)) if values else (0, 1)
    pad = 0.08 * (high - low) or 1
    return (low - pad, high + pad)


def _y_axis(scale: _Scale, left: float, right: float, *, signed: bool = False) -> str:
    out = []
    for tick in scale.ticks():
        zero = ' class="zero"' if signed and tick == 0 else ' class="grid"'
        out.append(f'<path{zero} d="M{left} {scale(tick):.1f}H{right:.1f}"/>')
        text = _signed(tick) if signed else f"{tick:g}"
        out.append(
            f'<text class="axis" x="{left - 6}" y="{scale(tick) + 4:.1f}" '
            f'text-anchor="end">{text}</text>'
        )
    return "".join(out)


def _frequency_marks(
    drawn: Sequence[RelationChange], left: float, step: float, bottom: float
) -> list[str]:
    """Where the number of training facts falls below 201, 51, 11, 1: a dotted line; between the
    lines what lies there.
    """
    out, begin = [], 0
    for least, label in FREQUENCY_STEPS:
        end = sum(change.frequency >= least for change in drawn)
        if end == begin:
            continue
        if begin:
            out.append(f'<path class="step" d="M{left + begin * step:.1f} 20V{bottom + 6}"/>')
        if (end - begin) * step > 7 * len(label) * 0.85:
            out.append(_axis_text(left + (begin + end) / 2 * step, bottom + 16, label))
        begin = end
    return out


def _axis_text(x: float, y: float, text: str) -> str:
    return f'<text class="axis" x="{x:.1f}" y="{y:g}" text-anchor="middle">{text}</text>'


def _names(
    points: Sequence[tuple[float, RelationChange]], scale: _Scale, left: float, right: float
) -> list[str]:
    """Names at the ends of bars, moved aside where they would lie on one another."""
    out: list[str] = []
    taken: list[tuple[float, float, float]] = []  # x from, x to, y
    for x, change in sorted(points, key=lambda point: -abs(point[1].change)):
        text = _short(change.name, 30)
        half = 3.1 * len(text)
        x = min(max(x, left + half), right - half)
        up = change.change > 0
        y = scale(change.change) + (-5 if up else 13)
        if any(x - half < b and x + half > a and abs(y - other) < 12 for a, b, other in taken):
            continue
        taken.append((x - half, x + half, y))
        out.append(
            f'<text class="name" x="{x:.1f}" y="{y:.1f}" text-anchor="middle">{escape(text)}</text>'
        )
    return out


def _said(change: RelationChange) -> str:
    return f"{change.name}, {_signed(change.change, 1)} points"


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def _signed(value: float, decimals: int | None = None) -> str:
    text = f"{value:+.{decimals}f}" if decimals is not None else f"{value:+g}"
    return "0" if value == 0 and decimals is None else text.replace("-", "\N{MINUS SIGN}")


def _svg(
    width: float,
    height: float,
    title: str,
    description: str,
    parts: Iterable[str],
    *,
    wide: bool = False,
) -> str:
    """wide: not to be shrunk to a narrow screen, for its text would be illegible."""
    return (
        f'<svg class="figure{" wide" if wide else ""}" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" '
        f'role="img"><title>{escape(title)}</title><desc>{escape(description)}</desc>{"".join(parts)}</svg>'
    )
