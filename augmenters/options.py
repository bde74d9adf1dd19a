"""Checks of hyper-parameters: each returns the value, or raises ConfigError that names the option
and the allowed values.
"""

from __future__ import annotations

from typing import Any

from benchmark.errors import ConfigError


def one_of(option: str, value: Any, *allowed: str) -> str:
    if value not in allowed:
        raise ConfigError(f"option '{option}': {value!r} is not one of {', '.join(allowed)}")
    return value


def whole(option: str, value: Any, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(
            f"option '{option}' must be a whole number of at least {least}, got {value!r}"
        )
    return value


def number(
    option: str,
    value: Any,
    *,
    above: float | None = None,
    least: float | None = None,
    below: float | None = None,
) -> float:
    """A finite number `> above`, `>= least` and `< below`."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigError(f"option '{option}' must be a number, got {value!r}" + _hint(value))
    bounds = [
        (above, "above", lambda v, b: v > b),
        (least, "at least", lambda v, b: v >= b),
        (below, "below", lambda v, b: v < b),
    ]
    if (
        value != value
        or abs(value) == float("inf")
        or any(b is not None and not ok(value, b) for b, _, ok in bounds)
    ):
        allowed = " and ".join(f"{word} {b:g}" for b, word, _ in bounds if b is not None)
        raise ConfigError(
            f"option '{option}' must be a finite number{' ' + allowed if allowed else ''}, got "
            f"{value!r}"
        )
    return value


def switch(option: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"option '{option}' must be true or false, got {value!r}")
    return value


def probability(option: str, value: Any) -> float:
    number(option, value, least=0)
    if value > 1:
        raise ConfigError(f"option '{option}' must lie between 0 and 1, got {value!r}")
    return value


def _hint(value: Any) -> str:
    try:
        float(value)
    except (TypeError, ValueError):
        return ""
    return " (YAML reads 2e-4 as text: write 2.0e-4)"
