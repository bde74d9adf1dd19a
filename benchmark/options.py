"""Checks of the options of augmenters, backbones and encoders.

A constructor with a few options checks each with `checked`: it returns the value, or raises
ConfigError that names the option and what is allowed. Or a class declares them as the fields of a
nested class `Options`; the constructors of Augmenter and Backbone check them::

    class Mine(Augmenter):
        class Options(OptionModel):
            epochs: Whole = 10
            norm: Literal["rmsnorm", "batchnorm"] = "rmsnorm"
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Self, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import SchemaError

from benchmark.errors import ConfigError

Whole = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Least = Annotated[float, Field(ge=0)]  # a number that is not negative
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
Probability = Annotated[float, Field(ge=0, le=1)]

STRICT = ConfigDict(strict=True, allow_inf_nan=False)


class OptionModel(BaseModel):
    """The options of a class, each with its type, its bounds and its default."""

    model_config = ConfigDict(**STRICT, extra="forbid", frozen=True)

    @classmethod
    def of(cls, options: dict[str, Any]) -> Self:
        """The checked options. Raises ConfigError that names the first wrong one."""
        try:
            return cls(**options)
        except ValidationError as error:
            raise _explained(error) from error

    def only(self, *names: str) -> dict[str, Any]:
        """Some of the options, as keyword arguments."""
        return self.model_dump(include=set(names))


def checked(option: str, value: Any, kind: Any) -> Any:
    """The value, if it is of this kind: `checked("rate", rate, Share)`. Raises ConfigError."""
    try:
        TypeAdapter(kind, config=STRICT).validate_python(value)
    except ValidationError as error:
        raise _explained(error, option) from error
    return value


# Values that only code can give: an experiment file may give a name for the class to look up.
OF_CODE = ("callable_type", "is_type", "is_subclass_of", "is_instance_of")


def require_annotated(target: type, options: dict[str, Any]) -> None:
    """Raise ConfigError naming the first option that is neither its default nor what its annotation
    in the constructor says. Ignored: annotations that cannot be evaluated or that no experiment
    file can hold, and bounds that cannot be applied to the value, such as a number's to a word.
    """
    try:
        kinds = get_type_hints(target.__init__, include_extras=True)
    except Exception:  # the author's text is evaluated, so anything may be raised
        return
    defaults = inspect.signature(target.__init__).parameters
    for option, value in options.items():
        if option in defaults and value is defaults[option].default:  # `rate: float = None`
            continue
        try:
            kind = TypeAdapter(kinds.get(option, Any), config=STRICT)
        except (PydanticUserError, SchemaError):
            continue
        try:
            kind.validate_json(json.dumps(value))  # a file gives a list for a tuple
        except TypeError:
            continue
        except ValidationError as error:
            if error.errors()[0]["type"] not in OF_CODE:
                raise _explained(error, option) from error


def in_words(fault: Mapping[str, Any]) -> str:
    """What one of pydantic's errors says, in this project's words."""
    if fault["type"] == "missing":
        return "missing"
    text = fault["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
    text = re.sub(r"^expected (?=greater|less)", "expected a number ", text)
    return re.sub(r"\w+ should have (.*) after validation.*", r"expected \1", text)


def _explained(error: ValidationError, option: str | None = None) -> ConfigError:
    fault = error.errors()[0]
    text, names = in_words(fault), [option, *fault["loc"]]
    if name := next(filter(None, names), None):
        text = f"option '{name}': {text}, got {fault['input']!r:.80}"
    return ConfigError(text)
