"""Checks that run over every augmenter, the user's included: `run_benchmark.py check NAME`.

The data are tiny and made up. Each message says what is wrong and how to mend it.
"""

from __future__ import annotations

import inspect
import json
import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from augmenters.base import THINGS, Augmenter, Tensors
from augmenters.diagnosis import Diagnosed
from augmenters.documents import EXAMPLE
from benchmark.checks import (
    Case,
    CheckFailed,
    Checks,
    has_a_docstring,
    options_are_keywords_with_literal_defaults,
    run_each,
)
from benchmark.data.batches import Encoded
from benchmark.data.docred import read_documents
from benchmark.data.further import require_faultless
from benchmark.data.made_up import made_up_batch, made_up_document, made_up_encoding
from benchmark.errors import UserError

WIDTH, CLASSES, PAIRS = 12, 7, 40
KEEP = "keep what is learned in nn.Modules (buffers for tensors) that _build() creates"
SHIFTED = 0.8  # labels belong to other pairs if those fit them so much better

FORMS = ("every", "fit", *THINGS, "diagnose")
CHECKS: dict[str, list[Callable[[AugmenterCase], None]]] = {form: [] for form in FORMS}


def applies_to(*forms: str) -> Callable:
    """Decorator: the check belongs to what every augmenter does, to fitting, to one of THINGS, or
    to the diagnosis.
    """

    def decorate(check: Callable) -> Callable:
        for form in forms:
            CHECKS[form].append(check)
        return check

    return decorate


def check_augmenter(kind: type, options: dict[str, Any] | None = None) -> Checks:
    """Names and checks for a class: those of the one thing that it does, of what it learns, and of
    its diagnosis. Each check raises CheckFailed or returns.
    """
    case = AugmenterCase(kind, options)
    yield from run_each(case, CHECKS["every"])
    if not inspect.isclass(kind) or not issubclass(kind, Augmenter):
        return
    if kind.needs_fitting:
        yield from run_each(case, CHECKS["fit"])
    yield from run_each(case, CHECKS[kind.does()])
    if issubclass(kind, Diagnosed):
        yield from run_each(case, CHECKS["diagnose"])


class AugmenterCase(Case):
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


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pairs(count: int = PAIRS, seed: int = 0) -> Tensors:
    """Made-up pairs [count,WIDTH], [count,CLASSES] near the sum of the centres of their one or two
    relations; none has the last relation.
    """
    rng = generator(seed)
    labels = torch.zeros(count, CLASSES)
    labels.scatter_(1, torch.randint(1, CLASSES - 1, (count, 2), generator=rng), 1.0)
    return labels @ _centres() + 0.1 * torch.randn(count, WIDTH, generator=rng), labels


def documents() -> list[dict[str, Any]]:
    """Canonical documents."""
    return list(read_documents(EXAMPLE))


def some_negative() -> Tensors:
    """Pairs of which the second half holds no relation."""
    representations, labels = pairs()
    labels[PAIRS // 2 :] = torch.eye(CLASSES)[0]
    return representations, labels


def encoding() -> tuple[Encoded, Any]:
    batch = made_up_batch([made_up_document(number, n) for number, n in enumerate((3, 4, 1))])
    return made_up_encoding(batch, WIDTH, dtype=torch.float32), batch


def same(first: Any, second: Any) -> bool:
    if isinstance(first, list):
        return first == second
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def _centres() -> Tensor:
    return torch.randn(CLASSES, WIDTH, generator=generator(99))


# Every augmenter.


@applies_to("every")
def is_an_augmenter(case: AugmenterCase) -> None:
    if not (inspect.isclass(case.kind) and issubclass(case.kind, Augmenter)):
        case.fail("must be a class derived from augmenters.base.Augmenter")
    for method in ("fit", "prepare", *THINGS):
        if getattr(case.kind, method) is not getattr(Augmenter, method):
            case.fail(
                f"overrides {method}(), which checks what goes in and out: "
                f"write _{method}() instead"
            )


CHECKS["every"] += [has_a_docstring, options_are_keywords_with_literal_defaults]


@applies_to("every")
def it_does_one_thing(case: AugmenterCase) -> None:
    methods = [f"_{name}" for name in THINGS]
    written = [name for name in methods if getattr(case.kind, name) is not getattr(Augmenter, name)]
    if len(written) != 1:
        case.fail(f"must write one of {', '.join(methods)}, found {written or 'none of them'}")
    if case.make().pairs_of_view not in ("positive", "all"):
        case.fail("pairs_of_view must be 'positive' or 'all'")


@applies_to("every")
def fitting_is_declared(case: AugmenterCase) -> None:
    augmenter = case.make()
    learns = type(augmenter)._fit is not Augmenter._fit
    if not (augmenter.needs_fitting or not learns):
        case.fail("has a _fit() that is never called; set needs_fitting = True")
    case.expect(learns or not augmenter.needs_fitting, "has needs_fitting = True but no _fit()")


# What it learns.


@applies_to("fit")
def fit_returns_a_history(case: AugmenterCase) -> None:
    calls = []
    progress = lambda *done, **numbers: calls.append(done)
    held_out = pairs(10, seed=5)
    history = case.make().fit(*pairs(), rng=generator(1), held_out=held_out, progress=progress)
    if not (isinstance(history, list) and all(isinstance(epoch, dict) for epoch in history)):
        case.fail(
            "_fit() must return a list, one dict of numbers per epoch (an empty one is fine), "
            f"got {type(history)}"
        )
    try:
        json.dumps(history)
    except TypeError as error:
        raise CheckFailed(
            f"{case.name}: the history of _fit() must hold plain numbers, "
            f"use float(tensor): {error}"
        ) from error
    numbers = [value for epoch in history for value in epoch.values() if isinstance(value, float)]
    if not all(map(math.isfinite, numbers)):
        case.fail("the history of _fit() holds NaN or infinity; does the training diverge?")
    if not all(len(done) == 2 and 0 <= done[0] <= done[1] for done in calls):
        case.fail(f"progress is called as progress(done, total, **numbers), got {calls[:3]}")


@applies_to("fit")
def fit_is_reproducible(case: AugmenterCase) -> None:
    first, second = case.fitted().state_dict(), case.fitted().state_dict()
    for key in first:
        if not torch.equal(first[key], second[key]):
            case.fail(
                f"two fits with the same rng differ in '{key}'; "
                "draw from rng or torch, not from numpy, random or the clock"
            )


@applies_to("fit")
def fit_leaves_its_input_alone(case: AugmenterCase) -> None:
    given = pairs()
    case.make().fit(*given, rng=generator(1))
    if not same(given, pairs()):
        case.fail("_fit() changes the pairs or labels it is given; work on a clone")


@applies_to("fit")
def fit_takes_a_single_pair(case: AugmenterCase) -> None:
    augmenter = case.make()
    one, labels = pairs(1)
    augmenter.fit(one, labels, rng=generator(1))
    augmenter.prepare(labels, rng=generator(2))
    if augmenter.does() == "augment":
        augmenter.augment(one, labels, rng=generator(3))


@applies_to("fit")
def state_survives_safetensors(case: AugmenterCase) -> None:
    augmenter, restored = case.fitted(), case.make()
    try:
        stored = load(save(augmenter.state_dict()))
    except (SafetensorError, AttributeError, TypeError, ValueError, RuntimeError) as error:
        raise CheckFailed(
            f"{case.name}: state_dict() must be a flat dict of contiguous tensors that share no "
            f"memory: {type(error).__name__}: {error}"
        ) from error
    restored.load_state_dict(stored)
    augmenter.prepare(pairs()[1], rng=generator(2))
    first = _result(augmenter)
    if not same(first, _result(augmenter)):
        case.fail(
            "two calls with the same rng differ, so nothing can be said of what is stored; "
            "draw from rng or torch only"
        )
    try:
        restored.prepare(pairs()[1], rng=generator(2))
        again = _result(restored)
    except (AttributeError, TypeError) as error:  # what _fit() set is None or not there
        raise CheckFailed(
            f"{case.name}: a restored augmenter lacks something that _fit() set ({error}); {KEEP}"
        ) from error
    case.expect(same(first, again), f"a restored augmenter differs from the stored one; {KEEP}")


def _result(augmenter: Augmenter, seed: int = 3) -> Any:
    """What it makes of the made-up data."""
    match augmenter.does():
        case "view":
            return augmenter.view(*encoding(), rng=generator(seed))
        case "adjust":
            return (augmenter.adjust(_logits(), pairs()[1]),)
        case "weigh":
            return (augmenter.weigh(pairs()[1]),)
        case "documents":
            return augmenter.documents(documents(), rng=generator(seed))
        case "perturb":
            return (augmenter.perturb(*some_negative(), rng=generator(seed)),)
        case _:
            return augmenter.augment(*pairs(), rng=generator(seed))


# _augment.


@applies_to("augment")
def generates_positive_pairs(case: AugmenterCase) -> None:
    """The base class raises when shapes, label sets or values are wrong."""
    case.ready().augment(*pairs(), rng=generator(3))


@applies_to("augment")
def labels_stay_with_their_pairs(case: AugmenterCase) -> None:
    """A pair lies nearer to the centres of its own labels than to those of the pair before or after
    it, if it lies near anything.
    """
    generated, labels = case.ready().augment(*pairs(), rng=generator(3))
    if len(labels) < PAIRS:
        return
    generated, labels = generated.detach(), labels.detach()
    distance = lambda of: (generated - of @ _centres()).norm(dim=1).mean()
    for by in (1, -1):
        if not (distance(labels.roll(by, 0)) > SHIFTED * distance(labels)):
            case.fail(
                f"the labels are those of the pair {'after' if by == 1 else 'before'}: "
                "return the labels in the order of the representations"
            )


@applies_to("augment")
def keeps_dtype_and_device(case: AugmenterCase) -> None:
    augmenter = case.ready()
    for device in ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]:
        for dtype in (torch.float32, torch.bfloat16):
            given, labels = pairs()
            generated, wanted = augmenter.augment(
                given.to(device, dtype), labels.to(device), rng=generator(3)
            )
            got = (generated.dtype, generated.device.type, wanted.dtype, wanted.device.type)
            if got != (dtype, device, torch.float32, device):
                case.fail(f"{dtype} pairs on {device} came back as {got}")


@applies_to("augment", "view", "perturb", "adjust", "documents")
def depends_on_the_rng_alone(case: AugmenterCase) -> None:
    """Not on numpy's or Python's generators, nor on earlier calls."""
    augmenter = case.ready()
    first = _result(augmenter)
    if not same(first, _result(augmenter)):
        case.fail(
            "two calls with the same input and rng differ; "
            "draw from rng or torch only and keep no state between calls"
        )
    _result(augmenter, seed=4)
    if augmenter.does() == "augment":
        augmenter.augment(*pairs(9, seed=8), rng=generator(4))
    if not same(first, _result(augmenter)):
        case.fail(
            "what a call returns depends on the calls before it, which breaks resuming; "
            "keep no state between calls"
        )
    if not same(first, _result(case.ready())):
        case.fail("two augmenters made alike differ; draw from rng only")


@applies_to(*THINGS)
def leaves_global_generators_alone(case: AugmenterCase) -> None:
    def states() -> list[Any]:
        _, numpys, place, *_ = np.random.get_state()
        return [torch.random.get_rng_state().tolist(), [*numpys, place], random.getstate()]

    before = states()
    _result(case.ready())
    for owner, old, new in zip(("torch's", "numpy's", "Python's"), before, states(), strict=True):
        if old != new:
            case.fail(
                f"moves {owner} global generator, "
                "which shifts the dropout or data order of the run; draw from rng"
            )


@applies_to("augment")
def gradient_is_as_declared(case: AugmenterCase) -> None:
    augmenter = case.ready()
    given, labels = pairs()
    given.requires_grad_(True)
    generated, _ = augmenter.augment(given, labels, rng=generator(3))
    if not torch.is_grad_enabled():
        case.fail(
            "leaves gradients switched off for the rest of the run; use `with torch.no_grad():`"
        )
    if not augmenter.differentiable:
        if generated.requires_grad:
            case.fail(
                "generated pairs carry a gradient: return detached ones, or set differentiable"
            )
        return
    if not generated.requires_grad:
        case.fail("differentiable = True, but the pairs returned have no gradient")
    generated.square().sum().backward()
    if not (given.grad is not None and given.grad.isfinite().all()):
        case.fail("the gradient of the pairs given is missing, NaN or infinite")


@applies_to("augment")
def leaves_the_pairs_alone(case: AugmenterCase) -> None:
    given = pairs()
    generated, wanted = case.ready().augment(*given, rng=generator(3))
    case.expect(same(given, pairs()), "changes the real pairs or labels in place; work on a clone")
    generated.detach().add_(1.0)
    wanted.detach().add_(1.0)
    if not same(given, pairs()):
        case.fail("returns pairs or labels that share memory with the real ones; return a clone")


@applies_to("augment")
def takes_an_empty_batch(case: AugmenterCase) -> None:
    nothing = torch.zeros(0, WIDTH), torch.zeros(0, CLASSES)
    generated, _ = case.ready().augment(*nothing, rng=generator(3))
    if len(generated) != 0:
        case.fail(f"a batch without positive pairs must yield no pair, got {len(generated)}")


@applies_to("augment")
def takes_one_pair(case: AugmenterCase) -> None:
    augmenter = case.ready()
    augmenter.augment(*pairs(1), rng=generator(3))
    augmenter.augment(*(part.repeat(4, 1) for part in pairs(1)), rng=generator(3))


@applies_to("augment")
def takes_unseen_label_sets(case: AugmenterCase) -> None:
    """Every label at once, and a relation that no training pair has."""
    augmenter = case.ready()
    given, labels = pairs(3)
    unseen = torch.eye(CLASSES)[-1:]
    everything = 1 - torch.eye(CLASSES)[:1]
    augmenter.augment(given, everything.repeat(3, 1), rng=generator(3))
    augmenter.augment(given, torch.cat([labels[:1], everything, unseen]), rng=generator(3))


@applies_to("augment")
def refuses_wrong_input(case: AugmenterCase) -> None:
    augmenter = case.ready()
    given, labels = pairs()
    negative = torch.eye(CLASSES)[:1].expand_as(labels)
    wrong = {
        "NaN in the pairs": (given * math.nan, labels),
        "one label set too few": (given, labels[1:]),
        "pairs of the threshold class": (given, negative),
        "integer pairs": (given.long(), labels),
    }
    if augmenter.fitted_shape is not None:
        wrong["pairs of another width than the fitted one"] = (given[:, 1:], labels)
    for what, batch in wrong.items():
        try:
            augmenter.augment(*batch, rng=generator(3))
        except UserError:
            continue
        raise CheckFailed(
            f"{case.name}: augment() accepts {what}; leave the checks of the base class in place"
        )


# _view.


@applies_to("view")
def view_keeps_shapes(case: AugmenterCase) -> None:
    """The base class raises when shapes or values are wrong."""
    case.ready().view(*encoding(), rng=generator(3))


@applies_to("view")
def view_leaves_the_encoding_alone(case: AugmenterCase) -> None:
    given, batch = encoding()
    seen = case.ready().view(given, batch, rng=generator(3))
    case.expect(same(given, encoding()[0]), "changes the encoding in place; work on a clone")
    for part in seen:
        part.detach().add_(1.0)
    if not same(given, encoding()[0]):
        case.fail("returns states or rows that share memory with the real ones; return a clone")


@applies_to("view")
def view_gradient_is_as_declared(case: AugmenterCase) -> None:
    given, batch = encoding()
    augmenter = case.ready()
    seen = augmenter.view(
        Encoded(*(part.requires_grad_(True) for part in given)), batch, rng=generator(3)
    )
    carries = any(part.requires_grad for part in seen)
    if carries != augmenter.differentiable:
        case.fail(
            "the view carries a gradient; return a detached one, or set differentiable = True"
            if carries
            else "differentiable = True, but the view has no gradient"
        )


# _adjust.


def _logits() -> Tensor:
    return torch.randn(PAIRS, CLASSES, generator=generator(7))


@applies_to("adjust")
def adjusts_logits(case: AugmenterCase) -> None:
    """The base class raises when the shape is wrong."""
    logits = _logits()
    adjusted = case.ready().adjust(logits, some_negative()[1])
    case.expect(adjusted.isfinite().all(), "_adjust() returns NaN or infinity")
    if not torch.equal(logits, _logits()):
        case.fail("changes the logits in place; return another tensor")


@applies_to("adjust")
def passes_the_gradient_on(case: AugmenterCase) -> None:
    logits = _logits().requires_grad_(True)
    case.ready().adjust(logits, pairs()[1]).sum().backward()
    if not (logits.grad is not None and logits.grad.isfinite().all()):
        case.fail(
            "the gradient does not reach the logits; change them with differentiable operations"
        )


# _perturb and _weigh.


@applies_to("perturb")
def perturbs_representations(case: AugmenterCase) -> None:
    """The base class raises when the shape is wrong."""
    given, labels = some_negative()
    given.requires_grad_(True)
    changed = case.ready().perturb(given, labels, rng=generator(3))
    case.expect(changed.isfinite().all(), "_perturb() returns NaN or infinity")
    case.expect(torch.equal(given, pairs()[0]), "changes the pairs in place; return another tensor")
    case.expect(changed.requires_grad, "the gradient does not reach the pairs")
    changed.sum().backward()
    case.expect(given.grad is not None, "the gradient does not reach the pairs")


@applies_to("weigh")
def weighs_pairs(case: AugmenterCase) -> None:
    """The base class raises when the shape is wrong."""
    labels = some_negative()[1]
    weights = case.ready().weigh(labels)
    case.expect(weights.isfinite().all() and (weights >= 0).all(), "weights must be 0 or more")
    case.expect(weights.sum() > 0, "every pair weighs 0")
    case.expect(torch.equal(labels, some_negative()[1]), "changes the labels in place")


# _documents.


@applies_to("documents")
def returns_documents_to_train_on(case: AugmenterCase) -> None:
    """The base class raises when their number is wrong, this when one of them is faulty."""
    found = case.ready().documents(documents(), rng=generator(3))
    require_faultless(found, f"{case.name}._documents")


@applies_to("documents")
def leaves_the_documents_alone(case: AugmenterCase) -> None:
    given = documents()
    case.ready().documents(given, rng=generator(3))
    case.expect(given == documents(), "changes the documents in place; work on a deep copy")


# The diagnosis.


@applies_to("diagnose")
def diagnoses_in_plain_numbers(case: AugmenterCase) -> None:
    """The base class raises unless these are finite plain numbers."""
    augmenter, given = case.fitted(), pairs()
    found = augmenter.diagnose(*given, rng=generator(4))
    if not same(given, pairs()):
        case.fail("_diagnose() changes the pairs or labels it is given; work on a clone")
    if found != augmenter.diagnose(*given, rng=generator(4)):
        case.fail("two diagnoses with the same rng differ; draw from rng or torch only")
