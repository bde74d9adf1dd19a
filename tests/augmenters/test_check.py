"""Every registered augmenter passes every check, and each check fails on an augmenter that is
broken in its way.
"""

import random

import numpy as np
import pytest
import torch
from torch import nn

from augmenters.base import Augmenter
from augmenters.check import CHECKS, CheckFailed, checks
from benchmark.registry import AUGMENTERS

OURS = ("none", "bank", "copies", "gaussian", "vae", "vaediff")


@pytest.mark.parametrize("name", OURS)
def test_registered_augmenters_pass(name):
    for what, check in checks(AUGMENTERS[name]):
        try:
            check()
        except CheckFailed as failure:
            pytest.fail(f"{what}: {failure}")


def test_all_built_in_augmenters_are_covered():
    assert {
        name
        for name, entry in AUGMENTERS.entries().items()
        if entry.module.startswith("augmenters.")
    } == set(OURS)


class Plain(Augmenter):
    """Rows plus noise: passes everything; the broken ones derive from it."""

    def _augment(self, representations, labels, *, rng):
        return representations + torch.randn(representations.shape, generator=rng).to(
            representations
        ), labels.clone()


class Learner(Augmenter):
    """Learns the mean: passes everything."""

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


@pytest.mark.parametrize("good", [Plain, Learner])
def test_good_augmenters_pass(good):
    for _, check in checks(good):
        check()


class NotDerived:
    """No augmenter."""


class OwnAugment(Plain):
    """Overrides the public method."""

    def augment(self, representations, labels, *, rng):
        return representations, labels


class Undocumented(Plain):
    pass


class Positional(Plain):
    """A hyper-parameter that is not keyword-only."""

    def __init__(self, scale=1.0):
        pass


class Anything(Plain):
    """Hyper-parameters without names."""

    def __init__(self, **options):
        pass


class NoLiteral(Plain):
    """A default that no experiment file can hold."""

    def __init__(self, *, dtype=torch.float32):
        pass


class NoDefault(Plain):
    """A required hyper-parameter and nothing to check with."""

    def __init__(self, *, scale: float):
        pass


class NeverFitted(Learner):
    """Forgets to declare that it learns."""

    needs_fitting = False


class NothingToFit(Plain):
    """Declares that it learns and does not."""

    needs_fitting = True


class NoHistory(Learner):
    """Returns no history."""

    def _fit(self, *arguments, **options):
        super()._fit(*arguments, **options)


class TensorHistory(Learner):
    """A tensor in the history."""

    def _fit(self, *arguments, **options):
        return [{"epoch": 1, "loss": super()._fit(*arguments, **options) and torch.tensor(1.0)}]


class Diverging(Learner):
    """NaN in the history."""

    def _fit(self, *arguments, **options):
        return [{"epoch": 1, "loss": super()._fit(*arguments, **options) and float("nan")}]


class WrongProgress(Learner):
    """Reports more done than there is."""

    def _fit(self, *arguments, progress, **options):
        progress(3, 2)
        return super()._fit(*arguments, progress=progress, **options)


class NumpyFit(Learner):
    """Fits with numpy's generator."""

    def _fit(self, *arguments, **options):
        history = super()._fit(*arguments, **options)
        self.mean.row += float(np.random.rand())
        return history


class CentresInPlace(Learner):
    """Centres the rows it is given, in place."""

    def _fit(self, representations, labels, **options):
        representations -= representations.mean(0)
        return super()._fit(representations, labels, **options)


class NeedsTwoPairs(Learner):
    """Cannot be fitted on a single pair."""

    def _fit(self, representations, labels, **options):
        history = super()._fit(representations, labels, **options)
        self.mean.row = 1 / representations.std(0, correction=0)
        return history


class ForgetsState(Learner):
    """Keeps what it learned outside the modules."""

    def _fit(self, representations, labels, **options):
        self.row = representations.mean(0)
        return super()._fit(representations, labels, **options)

    def _augment(self, representations, labels, *, rng):
        return getattr(self, "row", torch.zeros(representations.shape[1])).expand(
            len(labels), -1
        ).clone(), labels.clone()


class SharedState(Learner):
    """A state whose tensors share memory."""

    def state_dict(self):
        state = super().state_dict()
        return {**state, "again": state["mean.row"]}


class NeedsPrepare(Plain):
    """Fails unless prepared."""

    def _prepare(self, label_sets, *, rng, progress):
        self.ready = True

    def _augment(self, representations, labels, *, rng):
        assert self.ready
        return super()._augment(representations, labels, rng=rng)


class ThresholdClass(Plain):
    """Labels its rows as pairs without a relation."""

    def _augment(self, representations, labels, *, rng):
        return representations.clone(), torch.zeros_like(labels).index_fill_(
            1, torch.tensor([0]), 1.0
        )


class TooNarrow(Plain):
    """Drops a dimension."""

    def _augment(self, representations, labels, *, rng):
        return representations[:, 1:].clone(), labels.clone()


class Float32Only(Plain):
    """Refuses half precision."""

    def _check_pairs(self, representations, labels, **options):
        assert representations.dtype == torch.float32
        super()._check_pairs(representations, labels, **options)


class NumpyNoise(Plain):
    """Noise from numpy."""

    def _augment(self, representations, labels, *, rng):
        return representations + torch.from_numpy(
            np.random.randn(*representations.shape)
        ).float(), labels.clone()


class RunningMean(Plain):
    """Depends on the calls before."""

    total = 0.0

    def _augment(self, representations, labels, *, rng):
        self.total = 0.9 * self.total + 0.1 * len(labels)
        return representations + (len(labels) > 20) * self.total, labels.clone()


class PythonNoise(Plain):
    """Moves Python's generator, to no effect."""

    def _augment(self, representations, labels, *, rng):
        random.random()
        return super()._augment(representations, labels, rng=rng)


class MovesTorch(Plain):
    """Leaves the fork of the global generator."""

    def _check_fitted(self, method):
        torch.rand(1)


class CarriesGradient(Learner):
    """Rows with a gradient to a parameter."""

    def _augment(self, representations, labels, *, rng):
        with torch.enable_grad():
            weight = torch.ones(1, requires_grad=True)
            return representations * weight, labels.clone()


class InPlace(Plain):
    """Noise added in place."""

    def _augment(self, representations, labels, *, rng):
        return representations.add_(1.0).clone(), labels.clone()


class Alias(Plain):
    """Returns the very rows."""

    def _augment(self, representations, labels, *, rng):
        return representations, labels


class AlwaysSome(Plain):
    """Generates a row when none is asked for."""

    def _augment(self, representations, labels, *, rng):
        width, classes = representations.shape[1], labels.shape[1]
        return torch.cat([representations, torch.zeros(1, width)]), torch.cat(
            [labels, torch.eye(classes)[1:2]]
        )


class Standardises(Plain):
    """Divides by a deviation that a single row does not have."""

    def _augment(self, representations, labels, *, rng):
        return representations / representations.std(0, correction=0), labels.clone()


class KnownLabelsOnly(Plain):
    """Looks label sets up in a table."""

    def _augment(self, representations, labels, *, rng):
        assert labels.sum(1).le(2).all(), "a label set that no training pair has"
        return super()._augment(representations, labels, rng=rng)


class TensorDiagnosis(Plain):
    """A tensor where a number should be."""

    def _diagnose(self, representations, labels, *, rng):
        return {"error": representations.mean()}


class NumpyDiagnosis(Plain):
    """Numbers from numpy's global generator."""

    def _diagnose(self, representations, labels, *, rng):
        return {"error": float(np.random.rand())}


class Unchecked(Plain):
    """Switches the checks of its input off."""

    def _check_pairs(self, representations, labels, **options):
        pass


BROKEN = {
    "is an augmenter": [
        (NotDerived, "derived from"),
        (OwnAugment, r"write _augment\(\) instead"),
        (Undocumented, "no docstring"),
    ],
    "options are keywords with literal defaults": [
        (Positional, "make 'scale' keyword-only"),
        (Anything, "name every hyper-parameter"),
        (NoLiteral, "'dtype' must be a literal"),
        (NoDefault, "check_options = {'scale'"),
    ],
    "fitting is declared": [
        (NeverFitted, "set needs_fitting = True"),
        (NothingToFit, r"no _fit\(\)"),
    ],
    "fit returns a history": [
        (NoHistory, "must return a list"),
        (TensorHistory, r"use float\(tensor\)"),
        (Diverging, "NaN or infinity"),
        (WrongProgress, r"progress\(done, total"),
    ],
    "fit is reproducible": [(NumpyFit, "two fits with the same rng differ in 'mean.row'")],
    "fit leaves its input alone": [(CentresInPlace, "work on a clone")],
    "fit takes a single pair": [(NeedsTwoPairs, "NaN or infinity")],
    "state survives safetensors": [
        (ForgetsState, "keep what is learned in nn.Modules"),
        (SharedState, "share no memory"),
    ],
    "works without prepare": [(NeedsPrepare, "raised AttributeError")],
    "generates positive pairs": [
        (ThresholdClass, "threshold class"),
        (TooNarrow, "11 wide, expected 12"),
    ],
    "keeps dtype and device": [(Float32Only, "raised AssertionError")],
    "depends on the rng alone": [(NumpyNoise, "draw from rng"), (RunningMean, "keep no state")],
    "leaves global generators alone": [
        (NumpyNoise, "numpy's"),
        (PythonNoise, "Python's"),
        (MovesTorch, "torch's"),
    ],
    "sends no gradient into the rows": [(CarriesGradient, "return detached rows")],
    "leaves the rows alone": [(InPlace, "in place"), (Alias, "share memory")],
    "takes an empty batch": [(AlwaysSome, "must yield no row, got 1")],
    "takes one pair": [(Standardises, "NaN or infinity")],
    "takes unseen label sets": [(KnownLabelsOnly, "a label set that no training pair has")],
    "diagnoses in plain numbers": [
        (TensorDiagnosis, "finite plain numbers"),
        (NumpyDiagnosis, "draw from rng"),
    ],
    "refuses wrong input": [(Unchecked, "accepts")],
}


def test_every_check_has_a_way_to_fail():
    assert list(BROKEN) == [check.__name__.replace("_", " ") for check in CHECKS]


@pytest.mark.parametrize(
    ("name", "broken", "message"),
    [(name, *case) for name, cases in BROKEN.items() for case in cases],
)
def test_a_broken_augmenter_fails_with_advice(name, broken, message):
    check = dict(checks(broken))[name]
    with pytest.raises(CheckFailed, match=message):
        check()


def test_options_go_over_the_classes_own():
    seen = {}

    class Records(Plain):
        """Keeps its options."""

        check_options = {"scale": 1.0, "copies": 2}

        def __init__(self, *, scale: float = 0.0, copies: int = 1):
            seen.update(scale=scale, copies=copies)

    dict(checks(Records, {"scale": 5.0}))["takes one pair"]()
    assert seen == {"scale": 5.0, "copies": 2}
