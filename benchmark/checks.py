"""What the contract checks of augmenters, backbones and encoders share.

A kind's `check_…` function yields names and checks::

    for name, check in check_augmenter(AUGMENTERS["mixup"]):
        check()  # raises CheckFailed, which tells what is wrong and how to mend it

A check that cannot decide returns a text that says so.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, NoReturn

import torch
from torch import Tensor, nn

from benchmark.errors import UserError
from benchmark.registry import options_of, parameters_of, place_of

Checks = Iterator[tuple[str, Callable[[], str | None]]]

CALL_SUPER = "call super().__init__() at the start of __init__()"
ROUNDING = {"rtol": 1e-5, "atol": 1e-6}  # of float32
CASTS = "checks run in float64 and something casts, e.g. `.float()`; use `.to(logits)` or the like"


class CheckFailed(UserError):
    """A class breaks its contract."""

    @property
    def cause(self) -> str:
        """The same text for failures that one fix ends: "NaN", since NaN spreads, else the message
        with every number 0, since sizes of the data differ; line numbers of code stay.
        """
        return "NaN" if "NaN" in str(self) else re.sub(r"(?<!line )(?<!\d)\d+", "0", str(self))


class Case:
    """The class under test, and the options to make it with: its own `check_options`, overridden
    by those given.

    base: what the class must derive from. required: the methods of the base that it must write.
    optional: the fields of a batch that it gets only if its `needs` name them.
    """

    base: ClassVar[type]
    required: ClassVar[tuple[str, ...]] = ()
    optional: ClassVar[frozenset[str]] = frozenset()
    tolerance: ClassVar[dict[str, float]] = {"rtol": 1e-8, "atol": 1e-10}

    def __init__(self, kind: type, options: dict[str, Any] | None = None):
        self.kind, self.name = kind, getattr(kind, "__name__", str(kind))
        self.derived = inspect.isclass(kind) and issubclass(kind, self.base)
        inherited = getattr(kind, "check_options", {})
        if "check_options" not in getattr(kind, "__dict__", {}):
            # another constructor may not know all of them
            known = parameters_of(kind) if inspect.isclass(kind) else ()
            inherited = {key: value for key, value in inherited.items() if key in known}
        self.options = {**inherited, **(options or {})}

    def make(self) -> Any:
        return self.kind(**self.options)

    def made(self, module: nn.Module, *needed: str) -> nn.Module:
        """The backbone or encoder, if its constructor has set the attributes that it must."""
        self.expect("_modules" in vars(module), CALL_SUPER)
        missing = [f"self.{name}" for name in needed if not hasattr(module, name)]
        self.expect(not missing, f"its constructor must set {', '.join(missing)}")
        return module

    def fail(self, message: str) -> NoReturn:
        raise CheckFailed(f"{self.name}: {message}")

    def expect(self, condition: Any, message: str) -> None:
        if not condition:
            self.fail(message)

    def expect_same(self, found: Any, expected: Any, message: str, **tolerance: float) -> None:
        """Fail unless tensors, or mappings or sequences of them, are equal within the tolerance.
        NaN equals NaN here: other checks look for it.
        """
        close = functools.partial(torch.testing.assert_close, found, expected, equal_nan=True)
        try:
            close(**(tolerance or self.tolerance))
        except AssertionError as error:
            told = f"{message} ({' '.join(str(error).split())})"
            with contextlib.suppress(AssertionError):
                close(**(tolerance or ROUNDING))
                told += f"; the difference is one of float32 rounding: {CASTS}"
            self.fail(told)

    @contextlib.contextmanager
    def without_attention(self) -> Iterator[None]:
        """Where attention rows are None."""
        try:
            yield
        except (AttributeError, TypeError) as error:
            message = "reads attention, which not every encoder gives: set reads_attention = True"
            raise CheckFailed(f"{self.name}: {message} ({error})") from error

    def expect_gradients(
        self, loss: Tensor, module: nn.Module, *, everywhere: bool = False
    ) -> None:
        """Fail unless gradients are finite and, with `everywhere`, reach every parameter."""
        loss.backward()
        trained = [(name, p.grad) for name, p in module.named_parameters() if p.requires_grad]
        idle = [name for name, gradient in trained if gradient is None]
        if everywhere:
            self.expect(not idle, f"no gradient reaches {', '.join(idle[:3])}; is it used?")
        for name, gradient in trained:
            finite = gradient is None or gradient.isfinite().all()
            self.expect(finite, f"the gradient of {name} is NaN or infinite")


def checks_of(module: str) -> list[Callable[[Any], None]]:
    """The checks that a module defines: its functions of a `case`, in their order."""
    functions = filter(inspect.isfunction, vars(sys.modules[module]).values())
    return [f for f in functions if list(inspect.signature(f).parameters) == ["case"]]


def run_each(case: Case, checks: Iterable[Callable[[Any], str | None]]) -> Checks:
    """The name of each check and a function that runs it on the case: those of every kind, then,
    if the class derives from the base of its kind, the given ones.
    """
    of_all = (has_the_base_of_its_kind, has_a_docstring, options_are_keywords_with_literal_defaults)
    for check in (*of_all, *(checks if case.derived else ())):
        yield check.__name__.replace("_", " "), functools.partial(_run, check, case)


def _run(check: Callable[[Case], str | None], case: Case) -> str | None:
    try:
        return check(case)
    except CheckFailed:
        raise
    except UserError as error:
        raise CheckFailed(str(error)) from error
    except Exception as error:  # whatever the class's own code raises is a finding
        reason = (
            f"{case.name} raised {type(error).__name__}: {error} ({place_of(error, case.kind)})"
        )
        raise CheckFailed(reason + _advice(case, error)) from error


def _advice(case: Case, error: Exception) -> str:
    """What to do about a common mistake."""
    if "Module.__init__() call" in str(error):
        return f": {CALL_SUPER}"
    if "same dtype" in str(error):
        return f": {CASTS}"
    if "index out of range in self" in str(error):  # of an embedding
        return ": an embedding has fewer rows than there may be, such as types of entities"
    read = {n for f, _ in traceback.walk_tb(error.__traceback__) for n in f.f_code.co_names}
    unasked = sorted(read & case.optional - set(getattr(case.kind, "needs", ())))
    if "NoneType" in str(error) and unasked:
        return f": reads {', '.join(f'batch.{name}' for name in unasked)}: add it to `needs`"
    return ""


def has_the_base_of_its_kind(case: Case) -> None:
    base = f"{case.base.__module__}.{case.base.__qualname__}"
    case.expect(case.derived, f"must be a class derived from {base}")
    for method in case.required:
        written = getattr(case.kind, method) is not getattr(case.base, method)
        case.expect(written, f"has no {method}()")


def has_a_docstring(case: Case) -> None:
    case.expect(case.kind.__doc__, "has no docstring; `list` shows its first paragraph")


def options_are_keywords_with_literal_defaults(case: Case) -> None:
    """Every parameter after a bare `*` is an option of the experiment file."""
    given = ("self", "encoder_width", "classes", "sentences")  # by the benchmark
    if options_of(case.kind) or case.kind.__init__ is case.base.__init__:
        return
    for name, parameter in inspect.signature(case.kind.__init__).parameters.items():
        if name in given:
            continue
        if parameter.kind is not parameter.KEYWORD_ONLY:
            case.fail(f"every option must be keyword-only, behind a bare *; '{name}' is not")
        default = parameter.default
        if default is parameter.empty and name not in case.options:
            case.fail(f"'{name}' has no default: give one in check_options = {{'{name}': ...}}")
        if default not in (None, parameter.empty) and not isinstance(
            default, (bool, int, float, str, list, dict)
        ):
            case.fail(f"the default of '{name}' is of a type that an experiment file cannot hold")
