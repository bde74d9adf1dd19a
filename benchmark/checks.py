"""What the contract checks of augmenters, backbones and encoders share.

A kind's `check_…` function yields names and checks::

    for name, check in check_augmenter(AUGMENTERS["mixup"]):
        check()  # raises CheckFailed, which tells what is wrong and how to mend it
"""

from __future__ import annotations

import functools
import inspect
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn

from benchmark.errors import UserError

Checks = Iterator[tuple[str, Callable[[], None]]]


class CheckFailed(UserError):
    """A class breaks its contract."""


class Case:
    """The class under test, with the options to make it with.

    Args:
        options: go over the class's own `check_options`.
    """

    def __init__(self, kind: type, options: dict[str, Any] | None = None):
        self.kind, self.name = kind, getattr(kind, "__name__", str(kind))
        inherited = getattr(kind, "check_options", {})
        if "check_options" not in getattr(kind, "__dict__", {}):
            # another constructor may not know all of them
            known = inspect.signature(kind).parameters if inspect.isclass(kind) else ()
            inherited = {key: value for key, value in inherited.items() if key in known}
        self.options = {**inherited, **(options or {})}

    def make(self) -> Any:
        return self.kind(**self.options)

    def fail(self, message: str) -> NoReturn:
        raise CheckFailed(f"{self.name}: {message}")

    def expect(self, condition: Any, message: str) -> None:
        if not condition:
            self.fail(message)


def run_each(case: Case, checks: Iterable[Callable[[Any], None]]) -> Checks:
    """The name of each check and a function that runs it on the case."""
    for check in checks:
        yield check.__name__.replace("_", " "), functools.partial(_run, check, case)


def _run(check: Callable[[Case], None], case: Case) -> None:
    try:
        check(case)
    except CheckFailed:
        raise
    except UserError as error:
        raise CheckFailed(str(error)) from error
    except Exception as error:  # whatever the class's own code raises is a finding
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise CheckFailed(
            f"{case.name} raised {type(error).__name__}: {error} "
            f"({place.filename}, line {place.lineno})"
        ) from error


def has_a_docstring(case: Case) -> None:
    case.expect(case.kind.__doc__, "has no docstring; its first paragraph stands in `list`")


def options_are_keywords_with_literal_defaults(case: Case) -> None:
    """Every parameter behind a bare `*` is an option of the experiment file."""
    positional = ("self", "encoder_width", "classes", "sentences")  # given by the benchmark
    if hasattr(case.kind, "Options") or case.kind.__init__ is object.__init__:
        return
    for name, parameter in inspect.signature(case.kind.__init__).parameters.items():
        if name in positional:
            continue
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            case.fail(f"the constructor takes *{name}: name every option, for the experiment files")
        if parameter.kind is not parameter.KEYWORD_ONLY:
            case.fail(f"make '{name}' keyword-only in the constructor (behind a bare *)")
        default = parameter.default
        if not (default is not parameter.empty or name in case.options):
            case.fail(
                f"'{name}' has no default, so there is nothing to check with; "
                f"give the class check_options = {{'{name}': ...}}"
            )
        if not (
            default in (None, parameter.empty)
            or isinstance(default, (bool, int, float, str, list, dict))
        ):
            case.fail(
                f"the default of '{name}' must be a value that an experiment file can hold, "
                f"got {default!r}"
            )
