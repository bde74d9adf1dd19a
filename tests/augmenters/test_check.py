"""Every registered augmenter passes every check, and each check fails on an augmenter that is
broken in its way.
"""

import copy
import random

import numpy as np
import pytest
import torch
from torch import nn

from augmenters.base import THINGS, Augmenter
from augmenters.check import CHECKS, check_augmenter
from augmenters.diagnosis import Diagnosed
from benchmark.checks import CheckFailed
from benchmark.data.batches import Encoded
from benchmark.registry import AUGMENTERS


@pytest.mark.parametrize("name", sorted(AUGMENTERS))
def test_registered_augmenters_pass(name):
    for what, check in check_augmenter(AUGMENTERS[name]):
        try:
            check()
        except CheckFailed as failure:
            pytest.fail(f"{what}: {failure}")


class Plain(Augmenter):
    """Pairs plus noise."""

    def _augment(self, representations, labels, *, rng):
        noise = torch.randn(representations.shape, generator=rng).to(representations)
        return representations + noise, labels.clone()


class Live(Plain):
    """Lets the gradient through."""

    differentiable = True


class Learner(Augmenter):
    """Learns the mean."""

    needs_fitting = True

    def _build(self, width, classes):
        self.mean = nn.Module()
        self.mean.register_buffer("row", torch.zeros(width))

    def _fit(self, representations, labels, *, rng, held_out, progress):
        self.mean.row = representations.mean(0)
        progress(1, 1, loss=1.0)
        return [{"epoch": 1, "loss": 1.0}]

    def _augment(self, representations, labels, *, rng):
        return self.mean.row.to(representations).expand(len(labels), -1).clone(), labels.clone()


class Masked(Augmenter):
    """Drops a tenth of the attention."""

    differentiable = True

    def _view(self, encoded, batch, *, rng):
        kept = torch.rand(encoded.rows.shape, generator=rng) > 0.1
        return Encoded(encoded.states.clone(), encoded.rows * kept)


class Adjusted(Augmenter):
    """Adds a constant to the threshold."""

    def _adjust(self, logits, labels):
        return torch.cat([logits[:, :1] + 1, logits[:, 1:]], 1)


class Perturbed(Augmenter):
    """Scales all pairs."""

    def _perturb(self, representations, labels, *, rng):
        return 2 * representations


class Weighted(Augmenter):
    """All pairs alike."""

    def _weigh(self, labels):
        return torch.ones(len(labels))


class Further(Augmenter):
    """The documents again."""

    def _documents(self, documents, *, rng):
        return copy.deepcopy(documents)


GOOD = (Plain, Live, Learner, Masked, Adjusted, Perturbed, Weighted, Further)


@pytest.mark.parametrize("good", GOOD)
def test_good_augmenters_pass(good):
    for _, check in check_augmenter(good):
        check()


# Broken ones. Each is a class with one method replaced; x are representations, y labels.


def broken(base=Plain, **members):
    return type("Broken", (base,), {"__doc__": "Broken.", **members})


def augments(make, base=Plain):
    return broken(base, _augment=lambda self, x, y, *, rng: make(x, y))


def fits(change=None, returns=None, base=Learner, **members):
    """Learns the mean, then `change(self, x)`; `returns` is the history."""

    def fit(self, x, y, **options):
        history = Learner._fit(self, x, y, **options)
        if change:
            change(self, x)
        return returns(history) if returns else history

    return broken(base, _fit=fit, **members)


def constructed(init):
    return broken(__init__=init)


def keep(self, x):
    self.row = x.mean(0)


class Undocumented(Plain):
    pass


class WrongProgress(Learner):
    """Reports more done than there is."""

    def _fit(self, *arguments, progress, **options):
        progress(3, 2)
        return super()._fit(*arguments, progress=progress, **options)


class CentresInPlace(Learner):
    """Centres the pairs that it is given."""

    def _fit(self, representations, labels, **options):
        representations -= representations.mean(0)
        return super()._fit(representations, labels, **options)


class SharedState(Learner):
    """A state whose tensors share memory."""

    def state_dict(self):
        state = super().state_dict()
        return {**state, "again": state["mean.row"]}


class RunningMean(Plain):
    """Depends on the calls before."""

    total = 0.0

    def _augment(self, representations, labels, *, rng):
        self.total = 0.9 * self.total + 0.1 * len(labels)
        return representations + (len(labels) > 20) * self.total, labels.clone()


class CarriesGradient(Learner):
    """Pairs with a gradient to a parameter."""

    def _augment(self, representations, labels, *, rng):
        with torch.enable_grad():
            return representations * torch.ones(1, requires_grad=True), labels.clone()


class MaskedInPlace(Masked):
    """Masks in place."""

    differentiable = False

    def _view(self, encoded, batch, *, rng):
        encoded.states[:, 0] = 0
        return Encoded(encoded.states.clone(), encoded.rows.clone())


def views(make):
    return broken(Masked, _view=lambda self, e, batch, *, rng: Encoded(*map(make, e)))


def float32_only(self, x, y, **options):
    assert x.dtype == torch.float32
    Augmenter._check_pairs(self, x, y, **options)


def known_labels_only(x, y):
    assert y.sum(1).le(2).all(), "a label set that no training pair has"
    return x.clone(), y.clone()


def documents(change):
    """`change` of a deep copy of the documents."""
    return broken(Further, _documents=lambda self, d, *, rng: change(copy.deepcopy(d)))


def faulty(documents):
    documents[0]["entities"][0]["mentions"][0]["end"] = 99
    return documents


def renamed_in_place(self, documents, *, rng):
    documents[0]["title"] += "!"
    return documents


def diagnoses(make):
    return type(
        "Broken",
        (Diagnosed, Plain),
        {"__doc__": "Broken.", "_diagnose": lambda self, x, y, *, rng: {"error": make(x)}},
    )


numpy_noise = augments(lambda x, y: (x + torch.from_numpy(np.random.randn(*x.shape)), y.clone()))
of_threshold = lambda y: torch.zeros_like(y).index_fill_(1, torch.tensor([0]), 1.0)

BROKEN = {
    "every": {
        "is an augmenter": [
            (type("NotDerived", (), {}), "derived from"),
            (broken(augment=lambda self, x, y, *, rng: (x, y)), r"write _augment\(\) instead"),
        ],
        "has a docstring": [(Undocumented, "no docstring")],
        "options are keywords with literal defaults": [
            (constructed(lambda self, scale=1.0: None), "make 'scale' keyword-only"),
            (constructed(lambda self, **options: None), "name every option"),
            (constructed(lambda self, *, dtype=torch.half: None), "'dtype' must be a value"),
            (constructed(lambda self, *, scale: None), "check_options = {'scale'"),
        ],
        "it does one thing": [(broken(Masked, _adjust=Adjusted._adjust), "_view', '_adjust")],
        "fitting is declared": [
            (broken(Learner, needs_fitting=False), "set needs_fitting = True"),
            (broken(needs_fitting=True), r"no _fit\(\)"),
        ],
    },
    "fit": {
        "fit returns a history": [
            (fits(returns=lambda history: None), "must return a list"),
            (fits(returns=lambda history: [{"loss": torch.ones(1)}]), r"use float\(tensor\)"),
            (fits(returns=lambda history: [{"loss": float("nan")}]), "NaN or infinity"),
            (WrongProgress, r"progress\(done, total"),
        ],
        "fit is reproducible": [
            (
                fits(lambda self, x: self.mean.row.add_(float(np.random.rand()))),
                "two fits with the same rng differ in 'mean.row'",
            )
        ],
        "fit leaves its input alone": [(CentresInPlace, "work on a clone")],
        "fit takes a single pair": [
            (
                fits(lambda self, x: self.mean.row.copy_(1 / x.std(0, correction=0))),
                "NaN or infinity",
            )
        ],
        "state survives safetensors": [
            (
                fits(
                    keep,
                    _augment=lambda self, x, y, *, rng: (
                        getattr(self, "row", 0 * x[0]) + 0 * x,
                        y.clone(),
                    ),
                ),
                "keep what is learned in nn.Modules",
            ),
            (
                fits(keep, _augment=lambda self, x, y, *, rng: (x + self.row, y.clone())),
                "lacks something that _fit.. set .*'row'.*keep what is learned",
            ),
            (
                augments(lambda x, y: (x + random.random(), y.clone()), Learner),
                "two calls with the same rng differ, so nothing",
            ),
            (SharedState, "share no memory"),
        ],
    },
    "augment": {
        "generates positive pairs": [
            (augments(lambda x, y: (x.clone(), of_threshold(y))), "threshold class"),
            (augments(lambda x, y: (x[:, 1:].clone(), y.clone())), "11 wide, expected 12"),
        ],
        "labels stay with their pairs": [
            (augments(lambda x, y: (x.clone(), y.roll(1, 0))), "those of the pair before"),
            (augments(lambda x, y: (x.roll(1, 0), y.clone())), "those of the pair after"),
        ],
        "keeps dtype and device": [(broken(_check_pairs=float32_only), "raised AssertionError")],
        "depends on the rng alone": [
            (numpy_noise, "draw from rng"),
            (RunningMean, "keep no state"),
        ],
        "leaves global generators alone": [
            (numpy_noise, "numpy's"),
            (augments(lambda x, y: (x + 0 * random.random(), y.clone())), "Python's"),
            (broken(_check_fitted=lambda self, method: torch.rand(1)), "torch's"),
        ],
        "gradient is as declared": [
            (CarriesGradient, "return detached ones"),
            (augments(lambda x, y: (x.detach().clone(), y.clone()), Live), "have no gradient"),
            (
                augments(lambda x, y: (x + (x * 0).abs().sqrt(), y.clone()), Live),
                "NaN or infinite",  # the square root has no gradient at 0
            ),
        ],
        "leaves the pairs alone": [
            (augments(lambda x, y: (x.add_(1.0).clone(), y.clone())), "in place"),
            (augments(lambda x, y: (x, y)), "share memory"),
        ],
        "takes an empty batch": [
            (
                augments(
                    lambda x, y: (
                        torch.cat([x, torch.zeros(1, x.shape[1])]),
                        torch.cat([y, torch.eye(y.shape[1])[1:2]]),
                    )
                ),
                "must yield no pair, got 1",
            )
        ],
        "takes one pair": [
            (augments(lambda x, y: (x / x.std(0, correction=0), y.clone())), "NaN or infinity")
        ],
        "takes unseen label sets": [
            (augments(known_labels_only), "a label set that no training pair has")
        ],
        "refuses wrong input": [(broken(_check_pairs=lambda *_, **__: None), "accepts")],
    },
    "view": {
        "view keeps shapes": [(views(lambda part: part[..., 1:]), "must return states")],
        "view leaves the encoding alone": [
            (MaskedInPlace, "in place"),
            (views(lambda part: part), "share memory"),
        ],
        "view gradient is as declared": [
            (views(lambda part: part.detach().clone()), "has no gradient")
        ],
    },
    "adjust": {
        "adjusts logits": [(broken(Adjusted, _adjust=lambda self, x, y: x.add_(1)), "in place")],
        "passes the gradient on": [
            (
                broken(Adjusted, _adjust=lambda self, x, y: x.detach().clone().requires_grad_()),
                "does not reach the logits",
            )
        ],
    },
    "perturb": {
        "perturbs representations": [
            (
                broken(Perturbed, _perturb=lambda self, x, y, *, rng: x.data.mul_(2) + 0 * x),
                "place",
            ),
            (
                broken(Perturbed, _perturb=lambda self, x, y, *, rng: x.detach().clone()),
                "gradient does not reach",
            ),
        ]
    },
    "weigh": {
        "weighs pairs": [
            (broken(Weighted, _weigh=lambda self, labels: -labels.sum(1)), "0 or more"),
            (broken(Weighted, _weigh=lambda self, labels: 0 * labels.sum(1)), "every pair"),
        ]
    },
    "documents": {
        "returns documents to train on": [
            (documents(faulty), r"vertexSet\[0\]\[0\].pos"),
            (documents(lambda documents: []), "at least one document"),
            (broken(documents(lambda d: [*d, *d]), rewrites=True), "one document for each"),
            (documents(lambda d: [one["title"] for one in d]), "expected documents as"),
        ],
        "leaves the documents alone": [(broken(Further, _documents=renamed_in_place), "in place")],
    },
    "diagnose": {
        "diagnoses in plain numbers": [
            (diagnoses(lambda x: x.mean()), "finite plain numbers"),
            (diagnoses(lambda x: float(np.random.rand())), "draw from rng"),
        ]
    },
}


def test_every_check_has_a_way_to_fail():
    assert BROKEN.keys() == CHECKS.keys()
    for form, faults in BROKEN.items():
        names = [check.__name__.replace("_", " ") for check in CHECKS[form]]
        shared = BROKEN["augment"] if form in THINGS[1:] else {}
        assert [name for name in names if name not in shared] == list(faults)


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [(name, *case) for form in BROKEN.values() for name, cases in form.items() for case in cases],
)
def test_a_broken_augmenter_fails_with_advice(name, kind, message):
    with pytest.raises(CheckFailed, match=message):
        dict(check_augmenter(kind))[name]()


def test_options_go_over_the_classes_own():
    seen = {}

    class Records(Plain):
        """Keeps its options."""

        check_options = {"scale": 1.0, "copies": 2}

        def __init__(self, *, scale: float = 0.0, copies: int = 1):
            seen.update(scale=scale, copies=copies)

    dict(check_augmenter(Records, {"scale": 5.0}))["takes one pair"]()
    assert seen == {"scale": 5.0, "copies": 2}
