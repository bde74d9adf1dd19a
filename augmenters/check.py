"""Checks that run over every augmenter, the user's included: `run_benchmark.py check NAME`.

The data are tiny and made up. Each message says what is wrong and how to mend it. The public
methods of `Augmenter` raise when shapes or label sets are wrong, so calling them is half the check.
"""

import json
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
from benchmark.checks import Case, Checks, run_each
from benchmark.data.batches import Batch, Encoded
from benchmark.data.docred import faultless, read_documents
from benchmark.data.made_up import made_up_batch, made_up_document, made_up_encoding
from benchmark.data.pairs import Pairs

WIDTH, CLASSES, PAIRS = 12, 7, 40
KEEP = "keep what is learned in nn.Modules (buffers for tensors) that _build() creates"
SHIFTED = 0.8  # labels belong to other pairs or relations if those fit them so much better
DRAWS = 50  # enough for noise of a few times the distance between classes

Check = Callable[["AugmenterCase"], str | None]
CHECKS: list[tuple[Check, tuple[str, ...]]] = []  # each with what it is for


def applies_to(*forms: str) -> Callable[[Check], Check]:
    """Decorator: the check is for "every" augmenter, for "fit", "diagnose" or some of THINGS."""
    return lambda check: CHECKS.append((check, forms)) or check


def check_augmenter(kind: type, options: dict[str, Any] | None = None) -> Checks:
    """Names and checks for a class: those of the one thing that it does, of what it learns, and of
    its diagnosis. Each check raises CheckFailed or returns.
    """
    case, forms = AugmenterCase(kind, options), {"every"}
    if case.derived:
        learns, diagnosed = kind.needs_fitting, issubclass(kind, Diagnosed)
        forms |= {kind.does(), "fit" if learns else "", "diagnose" if diagnosed else ""}
    return run_each(case, [check for check, of in CHECKS if forms.intersection(of)])


class AugmenterCase(Case):
    base = Augmenter

    def fitted(self) -> Augmenter:
        """The augmenter, fitted if needed."""
        augmenter = self.make()
        if augmenter.needs_fitting:
            augmenter.fit(*pairs(), rng=generator(1))
        return augmenter

    def ready(self) -> Augmenter:
        """The augmenter, fitted and prepared."""
        augmenter = self.fitted()
        augmenter.prepare(pairs()[1], rng=generator(2))
        return augmenter


# The made-up data.


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pairs(count: int = PAIRS, seed: int = 0) -> Tensors:
    """Pairs [count,WIDTH], [count,CLASSES] near the sum of the centres of their one or two
    relations; none has the last relation.
    """
    rng = generator(seed)
    labels = torch.zeros(count, CLASSES)
    labels.scatter_(1, torch.randint(1, CLASSES - 1, (count, 2), generator=rng), 1.0)
    return labels @ _centres() + 0.1 * torch.randn(count, WIDTH, generator=rng), labels


def encoding() -> tuple[Encoded, Batch]:
    batch = made_up_batch([made_up_document(number, n) for number, n in enumerate((3, 4, 1))])
    return made_up_encoding(batch, WIDTH, dtype=torch.float32), batch


def given_to(does: str) -> tuple:
    """What an augmenter is given and may change by mistake, made anew."""
    representations, labels = pairs()
    with_negatives = labels.clone()
    with_negatives[PAIRS // 2 :] = torch.eye(CLASSES)[0]
    return {
        "augment": (representations, labels),
        "view": encoding()[0][:2],
        "perturb": (representations, with_negatives),
        "adjust": (torch.randn(PAIRS, CLASSES, generator=generator(7)), with_negatives),
        "weigh": (with_negatives,),
        "documents": (list(read_documents(EXAMPLE)),),
    }[does]


def result_of(augmenter: Augmenter, given: tuple | None = None, seed: int = 3) -> tuple | list:
    """What it makes of made-up data; of a view, the states, the rows and the tokens kept if any."""
    does = augmenter.does()
    given = given_to(does) if given is None else given
    arguments = (Encoded(*given), encoding()[1]) if does == "view" else given
    rng = {} if does in ("adjust", "weigh") else {"rng": generator(seed)}
    found = getattr(augmenter, does)(*arguments, **rng)
    if isinstance(found, Encoded):
        return found if found.kept is not None else found[:2]
    return (found,) if isinstance(found, Tensor) else found


def same(first: Any, second: Any) -> bool:
    """Exact equality. NaN equals NaN: `returns_finite_numbers` looks for it."""
    if isinstance(first, Tensor):
        return first.shape == second.shape and torch.allclose(
            first, second, rtol=0, atol=0, equal_nan=True
        )
    if isinstance(first, tuple):
        return all(map(same, first, second))
    return first == second


def _centres() -> Tensor:
    return torch.randn(CLASSES, WIDTH, generator=generator(99))


def _moved(labels: Tensor, by: int) -> Tensor:
    """Labels moved `by` relations; the threshold class stays in place."""
    return torch.cat([labels[:, :1], labels[:, 1:].roll(by, 1)], 1)


COLUMNS = "as in the labels given, column 0 is the threshold class and column r is relation r"
MISTAKES: dict[str, Callable[[Tensor], Tensor]] = {  # whose labels they are -> the right ones
    "the next pair: return them in the order of the pairs": lambda labels: labels.roll(1, 0),
    "the previous pair: return them in the order of the pairs": lambda labels: labels.roll(-1, 0),
    f"the next relation: {COLUMNS}": lambda labels: _moved(labels, -1),
    f"the previous relation: {COLUMNS}": lambda labels: _moved(labels, 1),
}


# Every augmenter.


@applies_to("every")
def leaves_the_public_methods_alone(case: AugmenterCase) -> None:
    for method in ("fit", "prepare", *THINGS):
        if getattr(case.kind, method) is not getattr(Augmenter, method):
            case.fail(f"overrides {method}(), which does the checks: write _{method}() instead")


@applies_to("every")
def it_does_one_thing(case: AugmenterCase) -> None:
    written = case.kind.written()
    case.expect(len(written) == 1, f"must do one of {', '.join(THINGS)}, not {written or 'none'}")
    known = case.make().pairs_of_view in ("positive", "all")
    case.expect(known, "pairs_of_view must be 'positive' or 'all'")


@applies_to("every")
def fitting_is_declared(case: AugmenterCase) -> None:
    learns = case.kind._fit is not Augmenter._fit
    if learns != case.make().needs_fitting:
        case.fail("needs_fitting must be True if and only if there is a _fit()")


# What it learns.


@applies_to("fit")
def fit_returns_a_history(case: AugmenterCase) -> None:
    calls = []
    progress = lambda *done, **numbers: calls.append(done)
    held_out = Pairs(*pairs(10, seed=5))
    augmenter = case.make()
    history = augmenter.fit(*pairs(), rng=generator(1), held_out=held_out, progress=progress)
    nan = [name for name, tensor in augmenter.state_dict().items() if tensor.isnan().any()]
    case.expect(not nan, f"_fit() leaves NaN in {', '.join(nan[:3])}")
    is_list = isinstance(history, list) and all(isinstance(epoch, dict) for epoch in history)
    case.expect(is_list, "_fit() must return a list, one dict of numbers per epoch")
    try:
        json.dumps(history, allow_nan=False)
    except ValueError:
        case.fail("the history of _fit() holds NaN or infinity")
    except TypeError as error:
        case.fail(f"the history of _fit() must hold plain numbers, float(tensor): {error}")
    sound = all(len(done) == 2 and 0 <= done[0] <= done[1] for done in calls)
    case.expect(sound, f"call progress as progress(done, total, **numbers); got {calls[:3]}")


@applies_to("fit")
def fit_is_reproducible(case: AugmenterCase) -> None:
    first, second = case.fitted().state_dict(), case.fitted().state_dict()
    differ = [key for key in first if not same(first[key], second[key])]
    case.expect(not differ, f"two fits with the same rng differ: {differ}; draw from rng or torch")


@applies_to("fit")
def fit_leaves_its_input_alone(case: AugmenterCase) -> None:
    given = pairs()
    case.make().fit(*given, rng=generator(1))
    case.expect(same(given, pairs()), "_fit() changes the pairs it is given; work on a clone")


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
        case.fail(f"state_dict() must hold tensors that share no memory: {error}")
    restored.load_state_dict(stored)
    augmenter.prepare(pairs()[1], rng=generator(2))
    try:
        restored.prepare(pairs()[1], rng=generator(2))
        again = result_of(restored)
    except (AttributeError, TypeError) as error:  # what _fit() set is None or not there
        case.fail(f"a restored augmenter lacks something that _fit() set ({error}); {KEEP}")
    restores = same(result_of(augmenter), again)
    case.expect(restores, f"a restored augmenter differs from the stored one; {KEEP}")


# Whatever it does.


@applies_to("augment", "view", "perturb", "adjust", "weigh")
def returns_finite_numbers(case: AugmenterCase) -> None:
    finite = all(part.isfinite().all() for part in result_of(case.ready()))
    case.expect(finite, "returns NaN or infinity")


@applies_to("view")
def takes_encoders_without_attention(case: AugmenterCase) -> None:
    """Unless it says that it reads attention."""
    if not case.kind.reads_attention:
        augmenter, (states, _) = case.ready(), given_to("view")
        with case.without_attention():
            result_of(augmenter, (states, None))


@applies_to(*THINGS)
def leaves_its_input_alone(case: AugmenterCase) -> None:
    augmenter = case.ready()
    does = augmenter.does()
    given = given_to(does)
    found = result_of(augmenter, given)
    case.expect(same(given, given_to(does)), "changes its input in place; work on a copy")
    if does in ("augment", "view"):
        for part in found:
            part.detach().add_(True)
        shared = not same(given, given_to(does))
        case.expect(not shared, "returns tensors that share memory with its input; return a clone")


@applies_to(*THINGS)
def depends_on_the_rng_alone(case: AugmenterCase) -> None:
    """Not on numpy's or Python's generators, nor on earlier calls."""
    augmenter = case.ready()
    first = result_of(augmenter)
    result_of(augmenter, seed=4)
    if augmenter.does() == "augment":
        result_of(augmenter, pairs(9, seed=8))
    for other in (augmenter, case.ready()):
        if not same(first, result_of(other)):
            case.fail(
                "two calls with the same rng differ, which breaks resuming; draw from rng or torch "
                "and keep no state between calls"
            )


@applies_to(*THINGS)
def leaves_global_generators_alone(case: AugmenterCase) -> None:
    def states() -> list[Any]:
        _, numpys, place, *_ = np.random.get_state()
        return [torch.random.get_rng_state().tolist(), [*numpys, place], random.getstate()]

    # else a class that always sets the same seed would pass
    torch.rand(()), np.random.rand(), random.random()
    before = states()
    result_of(case.ready())
    for owner, old, new in zip(("torch's", "numpy's", "Python's"), before, states(), strict=True):
        case.expect(old == new, f"moves {owner} global generator, which others use; draw from rng")


@applies_to("augment", "view", "perturb", "adjust")
def gradient_is_as_declared(case: AugmenterCase) -> None:
    """What `_perturb` and `_adjust` return always has one."""
    augmenter = case.ready()
    does = augmenter.does()
    flows = augmenter.differentiable or does in ("perturb", "adjust")
    given = given_to(does)
    live = [part.requires_grad_(True) for part in (given if does == "view" else given[:1])]
    found = result_of(augmenter, given)[: len(live)]
    case.expect(torch.is_grad_enabled(), "leaves gradients off; use `with torch.no_grad():`")
    if not flows:
        still = not any(part.requires_grad for part in found)
        case.expect(still, "what it returns has a gradient: detach it, or set differentiable")
        return
    if any(part.requires_grad for part in found):
        sum(part.square().sum() for part in found).backward()
    gradients = [part.grad for part in live if part.grad is not None]
    why = "must, if differentiable, and always through _perturb or _adjust"
    case.expect(gradients, f"no gradient reaches its input: it {why}")
    finite = all(gradient.isfinite().all() for gradient in gradients)
    case.expect(finite, "the gradient of its input is NaN or infinite")


@applies_to("weigh")
def weights_are_sound(case: AugmenterCase) -> None:
    (weights,) = result_of(case.ready())
    sound = (weights >= 0).all() and weights.sum() > 0
    case.expect(sound, "weights must be 0 or more, and not all of them 0")


@applies_to("documents")
def returns_documents_to_train_on(case: AugmenterCase) -> None:
    list(faultless(result_of(case.ready()), f"{case.name}._documents"))


# _augment.


@applies_to("augment")
def labels_stay_with_their_pairs(case: AugmenterCase) -> str | None:
    """A pair lies nearer to the centres of its own labels than to those of the pair after or before
    it, or of the relations one column on or back. Draws are added, so that noise averages out,
    until that is clear.
    """
    augmenter = case.ready()
    # from the centres of the labels, and of what they would be without each mistake
    offsets = torch.zeros(1 + len(MISTAKES), PAIRS, WIDTH)
    for seed in range(DRAWS):
        generated, labels = result_of(augmenter, seed=seed)
        if len(labels) < PAIRS:
            return None
        meant = [labels, *(undone(labels) for undone in MISTAKES.values())]
        for offset, of in zip(offsets, meant, strict=True):
            offset += (generated.detach() - of @ _centres())[:PAIRS]
        own, *others = offsets.norm(dim=2).mean(1).tolist()
        for mistake, other in zip(MISTAKES, others, strict=True):
            case.expect(other >= SHIFTED * own, f"the labels are those of {mistake}")
        if own < SHIFTED * min(others):
            return None
    return "not decided: generated pairs lie no nearer to the class of their labels than to others"


@applies_to("augment")
def takes_few_pairs(case: AugmenterCase) -> None:
    """One, the same four times, none; on the GPU too, where there is one."""
    augmenter, (one, labels) = case.fitted(), pairs(1)
    for device in ("cpu", "cuda")[: 1 + torch.cuda.is_available()]:
        augmenter.prepare(pairs()[1].to(device), rng=generator(2))
        for count in (1, 4, 0):
            given = (one.repeat(count, 1).to(device), labels.repeat(count, 1).to(device))
            generated, _ = result_of(augmenter, given)
        case.expect(not len(generated), "a batch without positive pairs must yield no pair")


@applies_to("augment")
def takes_unseen_label_sets(case: AugmenterCase) -> None:
    """Every label at once, and a relation that no training pair has."""
    augmenter = case.ready()
    given, labels = pairs(3)
    unseen, everything = torch.eye(CLASSES)[-1:], 1 - torch.eye(CLASSES)[:1]
    result_of(augmenter, (given, everything.repeat(3, 1)))
    result_of(augmenter, (given, torch.cat([labels[:1], everything, unseen])))


# The diagnosis.


@applies_to("diagnose")
def diagnoses_in_plain_numbers(case: AugmenterCase) -> None:
    augmenter, given = case.fitted(), pairs()
    found = augmenter.diagnose(*given, rng=generator(4))
    case.expect(same(given, pairs()), "_diagnose() changes what it is given; work on a clone")
    again = augmenter.diagnose(*given, rng=generator(4))
    case.expect(found == again, "two diagnoses with the same rng differ; draw from rng or torch")
