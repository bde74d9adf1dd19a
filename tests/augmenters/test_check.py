"""Each check of augmenters fails on one that is broken in its way."""

import copy
import random

import numpy as np
import pytest
import torch
from contracts import assert_fails, assert_passes, broken, cases
from torch import nn

from augmenters.base import Augmenter
from augmenters.check import CHECKS, check_augmenter
from augmenters.diagnosis import Diagnosed
from augmenters.era import Era
from benchmark.data.batches import Encoded


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


def test_a_good_augmenter_passes():
    assert_passes(check_augmenter(Learner))


# Augmenters of one method each; x are representations, y labels, d documents.


def augments(make, **members):
    return broken(Augmenter, _augment=lambda self, x, y, *, rng: make(x, y), **members)


def views(make):
    return broken(Era, _view=lambda self, e, batch, *, rng: Encoded(*map(make, e[:2])))


def adjusts(make):
    return broken(Augmenter, _adjust=lambda self, x, y: make(x))


def perturbs(make):
    return broken(Augmenter, _perturb=lambda self, x, y, *, rng: make(x))


def weighs(make):
    return broken(Augmenter, _weigh=lambda self, y: make(y))


def documents(make, **members):
    return broken(Augmenter, _documents=lambda self, d, *, rng: make(d), **members)


def diagnoses(make):
    return broken(
        Diagnosed,
        _augment=lambda self, x, y, *, rng: (x.clone(), y.clone()),
        _diagnose=lambda self, x, y, *, rng: {"error": make(x)},
    )


def fits(change=None, returns=None, **members):
    """Learns the mean, then `change(self, x)`; `returns` is the history."""

    def fit(self, x, y, **options):
        history = Learner._fit(self, x, y, **options)
        if change:
            change(self, x)
        return returns if returns is not None else history

    return broken(Learner, _fit=fit, **members)


class WrongProgress(Learner):
    """Reports more done than there is."""

    def _fit(self, *arguments, progress, **options):
        progress(3, 2)
        return super()._fit(*arguments, progress=progress, **options)


class SharedState(Learner):
    """A state whose tensors share memory."""

    def state_dict(self):
        state = super().state_dict()
        return {**state, "again": state["mean.row"]}


class RunningMean(Augmenter):
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


def keep(self, x):
    self.row = x.mean(0)


def kept_if_there(self, x, y, *, rng):
    return getattr(self, "row", 0 * x[0]) + 0 * x, y.clone()


def known_labels_only(x, y):
    assert y.sum(1).le(2).all(), "a label set that no training pair has"
    return x.clone(), y.clone()


def one_more(x, y):
    return torch.cat([x, x.new_zeros(1, x.shape[1])]), torch.cat([y, torch.eye(y.shape[1])[1:2]])


def next_relation(y, by):
    return torch.cat([y[:, :1], y[:, 1:].roll(by, 1)], 1)


def noisy(roll):
    """Noise of a few times the distance between classes."""

    def augment(self, x, y, *, rng):
        return x + 10 * torch.randn(x.shape, generator=rng), y.roll(roll, 0)

    return broken(Augmenter, _augment=augment)


def faulty(documents):
    documents = copy.deepcopy(documents)
    documents[0]["entities"][0]["mentions"][0]["end"] = 99
    return documents


def renamed(documents):
    documents[0]["title"] += "!"
    return documents


clone = lambda x: x.detach().clone()
root = lambda x, y: (x + (x * 0).abs().sqrt(), y.clone())
numpy_noise = augments(lambda x, y: (x + torch.from_numpy(np.random.randn(*x.shape)), y.clone()))
random_mean = fits(lambda self, x: self.mean.row.add_(float(np.random.rand())))
whitened = lambda x, y: (x / x.std(0, correction=0), y.clone())
threshold = lambda x, y: (x.clone(), torch.eye(y.shape[1])[:1].repeat(len(y), 1))
no_gradient = "no gradient reaches its input"

BROKEN = {
    "leaves the public methods alone": [
        (broken(Learner, augment=lambda self, x, y, *, rng: (x, y)), r"write _augment\(\) instead")
    ],
    "it does one thing": [
        (broken(Era, _adjust=lambda self, x, y: x + 1), r"not \['view', 'adjust'\]"),
        (broken(Learner, pairs_of_view="some"), "'positive' or 'all'"),
    ],
    "fitting is declared": [
        (broken(Learner, needs_fitting=False), "needs_fitting must be True if"),
        (broken(Era, needs_fitting=True), "needs_fitting must be True if"),
    ],
    "fit returns a history": [
        (fits(returns={}), "must return a list"),
        (fits(returns=[{"loss": torch.ones(1)}]), r"float\(tensor\)"),
        (fits(returns=[{"loss": float("nan")}]), "holds NaN or infinity"),
        (fits(lambda self, x: self.mean.row.mul_(torch.nan)), "_fit.. leaves NaN in mean.row$"),
        (WrongProgress, r"progress\(done, total"),
    ],
    "fit is reproducible": [(random_mean, r"two fits with the same rng differ: \['mean.row'\]")],
    "fit leaves its input alone": [
        (fits(lambda self, x: x.sub_(x.mean(0))), "changes the pairs it is given")
    ],
    "fit takes a single pair": [
        (fits(lambda self, x: self.mean.row.copy_(1 / x.std(0, correction=0))), "NaN or infinity")
    ],
    "state survives safetensors": [
        (fits(keep, _augment=kept_if_there), "keep what is learned in nn.Modules"),
        (
            fits(keep, _augment=lambda self, x, y, *, rng: (x + self.row, y.clone())),
            "lacks something that _fit.. set .*'row'.*keep what is learned",
        ),
        (SharedState, "share no memory"),
    ],
    "leaves its input alone": [
        (augments(lambda x, y: (x.add_(1.0).clone(), y.clone())), "in place"),
        (augments(lambda x, y: (x, y)), "share memory"),
        (views(lambda part: part[:, :1].zero_() + part), "in place"),
        (views(lambda part: part), "share memory"),
        (adjusts(lambda x: x.add_(1)), "in place"),
        (weighs(lambda y: y.add_(1).sum(1)), "in place"),
        (documents(renamed), "in place"),
    ],
    "depends on the rng alone": [(numpy_noise, "draw from rng"), (RunningMean, "keep no state")],
    "leaves global generators alone": [
        (numpy_noise, "numpy's"),
        (augments(lambda x, y: (x + 0 * random.random(), y.clone())), "Python's"),
        (augments(lambda x, y: (random.seed(0), clone(x), y.clone())[1:]), "Python's"),
        (broken(Learner, _require_fitted=lambda self, method: torch.rand(1)), "torch's"),
    ],
    "gradient is as declared": [
        (CarriesGradient, "detach it"),
        (augments(lambda x, y: (clone(x), y.clone()), differentiable=True), no_gradient),
        # the square root has no gradient at 0
        (augments(root, differentiable=True), "NaN or infinite"),
        (views(clone), no_gradient),
        (adjusts(lambda x: clone(x).requires_grad_()), no_gradient),
        (perturbs(clone), no_gradient),
    ],
    "labels stay with their pairs": [
        (augments(lambda x, y: x.clone()), r"must return \(representations, labels\)"),
        (augments(threshold), "threshold class"),
        (augments(lambda x, y: (x.clone(), y.roll(1, 0))), "those of the previous pair"),
        (augments(lambda x, y: (x.roll(1, 0), y.clone())), "those of the next pair"),
        (noisy(roll=1), "those of the previous pair"),
        (augments(lambda x, y: (x.clone(), next_relation(y, 1))), "of the next relation: as in"),
        (augments(lambda x, y: (x.clone(), next_relation(y, -1))), "of the previous relation"),
    ],
    "takes few pairs": [
        (augments(one_more), "must yield no pair"),
        (augments(whitened), "NaN or infinity"),
    ],
    "takes unseen label sets": [
        (augments(known_labels_only), "a label set that no training pair has")
    ],
    "returns finite numbers": [
        (views(lambda part: part[..., 1:]), "must return states"),
        (views(lambda part: part / 0), "NaN or infinity"),
        (adjusts(lambda x: x / 0), "NaN or infinity"),
    ],
    "takes encoders without attention": [
        (broken(views(lambda part: part * 2), reads_attention=False), "set reads_attention = True")
    ],
    "weights are sound": [
        (weighs(lambda y: -y.sum(1)), "0 or more"),
        (weighs(lambda y: 0 * y.sum(1)), "not all of them 0"),
    ],
    "returns documents to train on": [
        (documents(faulty), r"vertexSet\[0\]\[0\].pos"),
        (documents(lambda documents: []), "at least one document"),
        (documents(lambda d: [*d, *d], rewrites=True), "one document for each"),
        (documents(lambda d: [one["title"] for one in d]), "expected documents as"),
    ],
    "diagnoses in plain numbers": [
        (diagnoses(lambda x: x.mean()), "finite plain numbers"),
        (diagnoses(lambda x: float(np.random.rand())), "draw from rng"),
    ],
}


def test_it_says_where_labels_cannot_be_told_from_others():
    for kind, note in ((Learner, "not decided"), (noisy(roll=0), None)):
        found = dict(check_augmenter(kind))["labels stay with their pairs"]()
        assert (found or "").startswith(note or "") and bool(found) == bool(note)


def test_it_prepares_for_the_device_that_pairs_come_on(monkeypatch):
    """Where there is a GPU; here one is made up."""
    calls, move = [], torch.Tensor.to

    class Noting(Augmenter):
        def _prepare(self, label_sets, *, rng, progress):
            calls.append("prepare")

        def _augment(self, representations, labels, *, rng):
            calls.append(len(labels))
            return representations.clone(), labels.clone()

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        torch.Tensor, "to", lambda x, *to, **how: x if to == ("cuda",) else move(x, *to, **how)
    )
    dict(check_augmenter(Noting))["takes few pairs"]()
    assert calls == ["prepare", 1, 4, 0] * 2


def test_every_check_has_a_way_to_fail():
    assert {check.__name__.replace("_", " ") for check, _ in CHECKS} == BROKEN.keys()


@pytest.mark.parametrize(("name", "kind", "message"), cases(BROKEN))
def test_a_broken_augmenter_fails_with_advice(name, kind, message):
    assert_fails(check_augmenter(kind), name, message)
