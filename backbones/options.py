"""Checks of the backbones' hyper-parameters: each returns the value, or raises ConfigError that names what is allowed."""

from __future__ import annotations

from typing import Any

from benchmark.errors import ConfigError


def one_of(option: str, value: Any, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ConfigError(f"{option} must be one of {', '.join(allowed)}, not {value!r}")
    return value


def switch(option: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{option} must be true or false, not {value!r}")
    return value
