"""Checks of the backbones' hyper-parameters: each returns the value, or raises ConfigError that
names what is allowed.
"""

from __future__ import annotations

import math
from typing import Any

from benchmark.errors import ConfigError


def one_of(option: str, value: Any, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ConfigError(f"{option} must be one of {', '.join(allowed)}, not {value!r}")
    return value


def whole(option: str, value: Any, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{option} must be a whole number of at least {least}, not {value!r}")
    return value


def number(
    option: str, value: Any, *, least: float | None = None, above: float | None = None
) -> float:
    sound = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not sound or (least is not None and value < least) or (above is not None and value <= above):
        allowed = f"of at least {least:g}" if least is not None else f"above {above:g}"
        raise ConfigError(
            f"{option} must be a finite number {allowed}, not {value!r} (YAML reads 2e-4 as text: "
            "write 2.0e-4)"
        )
    return value


def switch(option: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{option} must be true or false, not {value!r}")
    return value
