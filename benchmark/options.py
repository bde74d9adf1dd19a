"""Checks of the options of augmenters, backbones and encoders.

A constructor with a few options checks each with a function: it returns the value, or raises
ConfigError that names the option and what is allowed. A class with many options declares them as
the fields of a nested class `Options` and takes them as `**options`::

    class Mine(Augmenter):
        class Options(OptionModel):
            epochs: Whole = 10
            norm: Literal["rmsnorm", "batchnorm"] = "rmsnorm"

        def __init__(self, **options):
            self.options = self.Options.of(options)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmark.errors import ConfigError

Whole = Annotated[int, Field(ge=1)]
Least = Annotated[float, Field(ge=0)]  # a number that is not negative
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
Probability = Annotated[float, Field(ge=0, le=1)]


class OptionModel(BaseModel):
    """The options of a class, each with its type, its bounds and its default."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def of(cls, options: dict[str, Any]) -> Self:
        """The checked options. Raises ConfigError that names the first wrong one."""
        try:
            return cls(**options)
        except ValidationError as error:
            fault = error.errors()[0]
            text = fault["msg"].removeprefix("Value error, ")
            if fault["loc"]:
                text = f"option '{fault['loc'][0]}': {text}, got {fault['input']!r:.80}"
            raise ConfigError(text) from error

    def only(self, *names: str) -> dict[str, Any]:
        """Some of the options, as keyword arguments."""
        return self.model_dump(include=set(names))


def one_of(option: str, value: Any, allowed: Sequence[str]) -> str:
    if value not in allowed:
        raise ConfigError(f"option '{option}' must be one of {', '.join(allowed)}, got {value!r}")
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
    least: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> float:
    """A finite number `>= least`, `> above` and `< below`."""
    sound = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if (
        not sound
        or (least is not None and value < least)
        or (above is not None and value <= above)
        or (below is not None and value >= below)
    ):
        bounds = {"of at least": least, "above": above, "below": below}
        allowed = [f" {word} {bound:g}" for word, bound in bounds.items() if bound is not None]
        raise ConfigError(
            f"option '{option}' must be a finite number{' and'.join(allowed)}, got {value!r}"
        )
    return value


def switch(option: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"option '{option}' must be true or false, got {value!r}")
    return value
