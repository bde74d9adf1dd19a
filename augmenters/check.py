"""One generator of checks that runs over every augmenter, the user's included: `run_benchmark.py
check NAME` and the tests.

    for name, check in checks(AUGMENTERS["mixup"]):
        check()  # raises CheckFailed, which tells what is wrong and how to mend it

The data are tiny and made up; `check_options` of the class (hyper-parameters such as `{"epochs":
2}`) keep a fit short.
"""

from __future__ import annotations

import functools
import inspect
import json
import math
import random
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from augmenters.base import Augmenter, Pairs
from benchmark.errors import UserError

WIDTH, CLASSES, PAIRS = 12, 7, 40


class CheckFailed(UserError):
    """An augmenter breaks the contract."""


def checks(
    augmenter_class: type, options: dict[str, Any] | None = None
) -> Iterator[tuple[str, Callable[[], None]]]:
    """Names and checks for a class; each check raises CheckFailed or returns.

    Args:
        options: hyper-parameters that go over the class's `check_options`.
    """
    case = Case(augmenter_class, options or {})
    for check in CHECKS:
        yield check.__name__.replace("_", " "), functools.partial(_run, check, case)


def _run(check: Callable[[Case], None], case: Case) -> None:
    try:
        check(case)
    except CheckFailed:
        raise
    except UserError as error:
        raise CheckFailed(str(error)) from error
    except Exception as error:  # whatever the augmenter's own code raises is a finding
        place = traceback.extract_tb(error.__traceback__)[-1]
        message = f"{case.name} raised {type(error).__name__}: {error} ({place.filename}, line {place.lineno})"
        raise CheckFailed(message) from error


class Case:
    """The augmenter under test and the pairs it is given."""

    def __init__(self, augmenter_class: type, options: dict[str, Any]):
        self.augmenter_class, self.name = (
            augmenter_class,
            getattr(augmenter_class, "__name__", str(augmenter_class)),
        )
        self.options = {**getattr(augmenter_class, "check_options", {}), **options}

    def make(self) -> Augmenter:
        return self.augmenter_class(**self.options)

    def fitted(self) -> Augmenter:
        """Fitted if it needs to be."""
        augmenter = self.make()
        if augmenter.needs_fitting:
            augmenter.fit(*pairs(), rng=generator(1))
        return augmenter

    def ready(self) -> Augmenter:
        """Fitted and prepared."""
        augmenter = self.fitted()
        augmenter.prepare(pairs()[1], rng=generator(2))
        return augmenter

    def expect(self, condition: Any, message: str) -> None:
        if not condition:
            raise CheckFailed(f"{self.name}: {message}")


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pairs(count: int = PAIRS, seed: int = 0) -> Pairs:
    """Made-up pairs [count,WIDTH], [count,CLASSES] with one or two relations each; none has the
    last relation.
    """
    rng = generator(seed)
    labels = torch.zeros(count, CLASSES)
    labels.scatter_(1, torch.randint(1, CLASSES - 1, (count, 2), generator=rng), 1.0)
    centres = torch.randn(CLASSES, WIDTH, generator=generator(99))
    return labels @ centres + 0.1 * torch.randn(count, WIDTH, generator=rng), labels


def same(first: Pairs, second: Pairs) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


# The checks. Each says in its messages what is wrong and how to mend it.


def is_an_augmenter(case: Case) -> None:
    kind = case.augmenter_class
    case.expect(
        inspect.isclass(kind) and issubclass(kind, Augmenter),
        "must be a class derived from augmenters.base.Augmenter",
    )
    for method in ("fit", "prepare", "augment", "diagnose"):
        kept = getattr(kind, method) is getattr(Augmenter, method)
        case.expect(
            kept,
            f"overrides {method}(), which checks what goes in and out; write _{method}() instead",
        )
    case.expect(kind.__doc__, "has no docstring; its first line stands in `list`")


def options_are_keywords_with_literal_defaults(case: Case) -> None:
    constructor = case.augmenter_class.__init__
    parameters = (
        []
        if constructor is object.__init__
        else list(inspect.signature(constructor).parameters.values())[1:]
    )
    for parameter in parameters:
        name, default = parameter.name, parameter.default
        named = parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        case.expect(
            named,
            f"the constructor takes *{name}: name every hyper-parameter, for the experiment files",
        )
        case.expect(
            parameter.kind is parameter.KEYWORD_ONLY,
            f"make '{name}' keyword-only in the constructor (behind a bare *)",
        )
        if default is parameter.empty:
            hint = f"give the class check_options = {{'{name}': ...}}"
            case.expect(
                name in case.options,
                f"'{name}' has no default, so there is nothing to check with; {hint}",
            )
        else:
            literal = isinstance(default, (bool, int, float, str, list, dict, type(None)))
            case.expect(
                literal,
                f"the default of '{name}' must be a literal that an experiment file can hold, got {default!r}",
            )
    case.make()


def fitting_is_declared(case: Case) -> None:
    augmenter = case.make()
    learns = type(augmenter)._fit is not Augmenter._fit
    case.expect(
        augmenter.needs_fitting or not learns,
        "has a _fit() that is never called; set needs_fitting = True",
    )
    case.expect(learns or not augmenter.needs_fitting, "has needs_fitting = True but no _fit()")


def fit_returns_a_history(case: Case) -> None:
    calls = []
    progress = lambda *done, **numbers: calls.append(done)
    history = case.make().fit(
        *pairs(), rng=generator(1), held_out=pairs(10, seed=5), progress=progress
    )
    good = isinstance(history, list) and all(isinstance(epoch, dict) for epoch in history)
    case.expect(
        good,
        f"_fit() must return a list, one dict of numbers per epoch (an empty one is fine), got {type(history)}",
    )
    try:
        json.dumps(history)
    except TypeError as error:
        raise CheckFailed(
            f"{case.name}: the history of _fit() must hold plain numbers, use float(tensor): {error}"
        ) from error
    numbers = [value for epoch in history for value in epoch.values() if isinstance(value, float)]
    case.expect(
        all(map(math.isfinite, numbers)),
        "the history of _fit() holds NaN or infinity; does the training diverge?",
    )
    good = all(len(done) == 2 and 0 <= done[0] <= done[1] for done in calls)
    case.expect(good, f"progress is called as progress(done, total, **numbers), got {calls[:3]}")


def fit_is_reproducible(case: Case) -> None:
    first, second = case.fitted().state_dict(), case.fitted().state_dict()
    for key in first:
        equal = torch.equal(first[key], second[key])
        case.expect(
            equal,
            f"two fits with the same rng differ in '{key}'; draw from rng or torch, not from numpy, random or the clock",
        )


def fit_leaves_its_input_alone(case: Case) -> None:
    given = pairs()
    case.make().fit(*given, rng=generator(1))
    case.expect(
        same(given, pairs()),
        "_fit() changes the representations or labels it is given; work on a clone",
    )


def fit_takes_a_single_pair(case: Case) -> None:
    augmenter = case.make()
    rows, labels = pairs(1)
    augmenter.fit(rows, labels, rng=generator(1))
    augmenter.prepare(labels, rng=generator(2))
    augmenter.augment(rows, labels, rng=generator(3))


def state_survives_safetensors(case: Case) -> None:
    augmenter, restored = case.fitted(), case.make()
    try:
        stored = load(save(augmenter.state_dict()))
    except (SafetensorError, AttributeError, TypeError, ValueError, RuntimeError) as error:
        message = f"{case.name}: state_dict() must be a flat dict of contiguous tensors that share no memory"
        raise CheckFailed(f"{message}: {type(error).__name__}: {error}") from error
    restored.load_state_dict(stored)
    results = []
    for one in (augmenter, restored):
        one.prepare(pairs()[1], rng=generator(2))
        results.append(one.augment(*pairs(), rng=generator(3)))
    advice = "keep what is learned in nn.Modules (buffers for tensors) that _build() creates"
    case.expect(
        same(*results), f"a restored augmenter generates other rows than the stored one; {advice}"
    )


def works_without_prepare(case: Case) -> None:
    case.fitted().augment(*pairs(), rng=generator(3))


def generates_positive_pairs(case: Case) -> None:
    case.ready().augment(
        *pairs(), rng=generator(3)
    )  # the base class raises when shapes, label sets or values are wrong


def keeps_dtype_and_device(case: Case) -> None:
    augmenter = case.ready()
    for device in ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]:
        for dtype in (torch.float32, torch.bfloat16):
            rows, labels = pairs()
            generated, wanted = augmenter.augment(
                rows.to(device, dtype), labels.to(device), rng=generator(3)
            )
            got = (generated.dtype, generated.device.type, wanted.dtype, wanted.device.type)
            case.expect(
                got == (dtype, device, torch.float32, device),
                f"{dtype} rows on {device} came back as {got}",
            )


def depends_on_the_rng_alone(case: Case) -> None:
    """Not on numpy's or Python's generators, nor on earlier calls."""
    augmenter = case.ready()
    first = augmenter.augment(*pairs(), rng=generator(3))
    again = same(first, augmenter.augment(*pairs(), rng=generator(3)))
    case.expect(
        again,
        "two calls with the same rows and rng differ; draw from rng or torch only and keep no state in _augment()",
    )
    augmenter.augment(*pairs(9, seed=8), rng=generator(4))
    again = same(first, augmenter.augment(*pairs(), rng=generator(3)))
    case.expect(
        again,
        "what a call returns depends on the calls before it, which breaks resuming; keep no state in _augment()",
    )
    case.expect(
        same(first, case.ready().augment(*pairs(), rng=generator(3))),
        "two augmenters made alike differ; draw from rng only",
    )


def leaves_global_generators_alone(case: Case) -> None:
    def states() -> list[Any]:
        return [
            torch.random.get_rng_state().tolist(),
            np.random.get_state()[1].tolist() + [np.random.get_state()[2]],
            random.getstate(),
        ]

    before = states()
    case.ready().augment(*pairs(), rng=generator(3))
    for owner, old, new in zip(("torch's", "numpy's", "Python's"), before, states(), strict=True):
        advice = "which shifts the dropout or data order of the run; draw from rng"
        case.expect(old == new, f"moves {owner} global generator, {advice}")


def sends_no_gradient_into_the_rows(case: Case) -> None:
    rows, labels = pairs()
    generated, _ = case.ready().augment(rows.requires_grad_(True), labels, rng=generator(3))
    case.expect(
        not generated.requires_grad, "generated rows carry a gradient; return detached rows"
    )
    case.expect(
        torch.is_grad_enabled(),
        "leaves gradients switched off for the rest of the run; use `with torch.no_grad():`",
    )


def leaves_the_rows_alone(case: Case) -> None:
    given = pairs()
    generated, wanted = case.ready().augment(*given, rng=generator(3))
    case.expect(same(given, pairs()), "changes the real rows or labels in place; work on a clone")
    generated.add_(1.0)
    wanted.add_(1.0)
    case.expect(
        same(given, pairs()),
        "returns rows or labels that share memory with the real ones; return a clone",
    )


def takes_an_empty_batch(case: Case) -> None:
    generated, _ = case.ready().augment(
        torch.zeros(0, WIDTH), torch.zeros(0, CLASSES), rng=generator(3)
    )
    case.expect(
        len(generated) == 0,
        f"a batch without positive pairs must yield no row, got {len(generated)}",
    )


def takes_one_pair(case: Case) -> None:
    augmenter = case.ready()
    augmenter.augment(*pairs(1), rng=generator(3))
    augmenter.augment(*(part.repeat(4, 1) for part in pairs(1)), rng=generator(3))


def takes_unseen_label_sets(case: Case) -> None:
    """Every label at once, and a relation that no training pair has."""
    augmenter = case.ready()
    rows, labels = pairs(3)
    everything = torch.ones_like(labels).index_fill_(1, torch.tensor([0]), 0.0)
    augmenter.augment(rows, everything, rng=generator(3))
    unseen = torch.zeros_like(labels).index_fill_(1, torch.tensor([CLASSES - 1]), 1.0)
    augmenter.augment(rows, torch.cat([labels[:1], everything[:1], unseen[:1]]), rng=generator(3))


def diagnoses_in_plain_numbers(case: Case) -> None:
    augmenter, given = case.fitted(), pairs()
    found = augmenter.diagnose(
        *given, rng=generator(4)
    )  # the base class raises unless these are finite plain numbers
    case.expect(
        same(given, pairs()), "_diagnose() changes the rows or labels it is given; work on a clone"
    )
    again = augmenter.diagnose(*given, rng=generator(4))
    case.expect(
        found == again, "two diagnoses with the same rng differ; draw from rng or torch only"
    )


def refuses_wrong_input(case: Case) -> None:
    augmenter = case.ready()
    rows, labels = pairs()
    negative = torch.zeros_like(labels).index_fill_(1, torch.tensor([0]), 1.0)
    wrong = {
        "NaN in the rows": (rows * math.nan, labels),
        "one label row too few": (rows, labels[1:]),
        "pairs of the threshold class": (rows, negative),
        "integer rows": (rows.long(), labels),
    }
    if augmenter.fitted_shape is not None:
        wrong["rows of another width than the fitted one"] = (rows[:, 1:], labels)
    for what, batch in wrong.items():
        try:
            augmenter.augment(*batch, rng=generator(3))
        except UserError:
            continue
        raise CheckFailed(
            f"{case.name}: augment() accepts {what}; leave the checks of the base class in place"
        )


CHECKS: tuple[Callable[[Case], None], ...] = (
    is_an_augmenter,
    options_are_keywords_with_literal_defaults,
    fitting_is_declared,
    fit_returns_a_history,
    fit_is_reproducible,
    fit_leaves_its_input_alone,
    fit_takes_a_single_pair,
    state_survives_safetensors,
    works_without_prepare,
    generates_positive_pairs,
    keeps_dtype_and_device,
    depends_on_the_rng_alone,
    leaves_global_generators_alone,
    sends_no_gradient_into_the_rows,
    leaves_the_rows_alone,
    takes_an_empty_batch,
    takes_one_pair,
    takes_unseen_label_sets,
    diagnoses_in_plain_numbers,
    refuses_wrong_input,
)
