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


class Masked(Augmenter):
    """Drops a tenth of the attention: passes everything."""

    differentiable = True

    def _view(self, encoded, batch, *, rng):
        kept = torch.rand(encoded.rows.shape, generator=rng) > 0.1
        return Encoded(encoded.states.clone(), encoded.rows * kept)


class Adjusted(Augmenter):
    """Adds a constant to the threshold: passes everything."""

    def _adjust(self, logits, labels):
        return torch.cat([logits[:, :1] + 1, logits[:, 1:]], 1)


class Live(Plain):
    """Lets the gradient through: passes everything."""

    differentiable = True


@pytest.mark.parametrize("good", [Plain, Live, Learner, Masked, Adjusted])
def test_good_augmenters_pass(good):
    for _, check in check_augmenter(good):
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


class LacksState(Learner):
    """What it learned is nowhere when it is restored."""

    def _fit(self, representations, labels, **options):
        self.row = representations.mean(0)
        return super()._fit(representations, labels, **options)

    def _augment(self, representations, labels, *, rng):
        return representations + self.row, labels.clone()


class RandomLearner(Learner):
    """What it stores is in order; its noise is not."""

    def _augment(self, representations, labels, *, rng):
        return representations + random.random(), labels.clone()


class SharedState(Learner):
    """A state whose tensors share memory."""

    def state_dict(self):
        state = super().state_dict()
        return {**state, "again": state["mean.row"]}


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


class ShiftedLabels(Plain):
    """Returns the labels of the pair before."""

    def _augment(self, representations, labels, *, rng):
        return representations.clone(), labels.roll(1, 0)


class ShiftedPairs(Plain):
    """Returns the pairs after."""

    def _augment(self, representations, labels, *, rng):
        return representations.roll(1, 0), labels.clone()


class NoGradient(Live):
    """Says that it lets the gradient through, and detaches."""

    def _augment(self, representations, labels, *, rng):
        return representations.detach().clone(), labels.clone()


class InfiniteGradient(Live):
    """The square root has no gradient at 0."""

    def _augment(self, representations, labels, *, rng):
        return representations + (representations * 0).abs().sqrt(), labels.clone()


class TwoThings(Masked):
    """A view and an adjustment."""

    _adjust = Adjusted._adjust


class Cropped(Masked):
    """A view of fewer tokens."""

    def _view(self, encoded, batch, *, rng):
        return Encoded(encoded.states[:, 1:], encoded.rows[..., 1:])


class MaskedInPlace(Masked):
    """Masks in place."""

    differentiable = False

    def _view(self, encoded, batch, *, rng):
        encoded.states[:, 0] = 0
        return Encoded(encoded.states.clone(), encoded.rows.clone())


class SameView(Masked):
    """Returns the encoding itself."""

    def _view(self, encoded, batch, *, rng):
        return Encoded(encoded.states, encoded.rows)


class DetachedView(Masked):
    """Says that it lets the gradient through, and detaches."""

    def _view(self, encoded, batch, *, rng):
        return Encoded(encoded.states.detach().clone(), encoded.rows.detach().clone())


class AdjustedInPlace(Adjusted):
    """Adjusts in place."""

    def _adjust(self, logits, labels):
        return logits.add_(1)


class Rounded(Adjusted):
    """Loses the gradient."""

    def _adjust(self, logits, labels):
        return logits.detach().clone().requires_grad_(True)


class Perturbed(Augmenter):
    """Scales all pairs."""

    def _perturb(self, representations, labels, *, rng):
        return 2 * representations


class PerturbedInPlace(Perturbed):
    """Scales them in place."""

    def _perturb(self, representations, labels, *, rng):
        return representations.data.mul_(2) + 0 * representations


class PerturbedWithoutGradient(Perturbed):
    """Loses the gradient."""

    def _perturb(self, representations, labels, *, rng):
        return representations.detach().clone()


class NegativeWeights(Augmenter):
    """Weighs pairs below 0."""

    def _weigh(self, labels):
        return -torch.ones(len(labels))


class NoWeight(Augmenter):
    """Weighs nothing."""

    def _weigh(self, labels):
        return torch.zeros(len(labels))


class TensorDiagnosis(Diagnosed, Plain):
    """A tensor where a number should be."""

    def _diagnose(self, representations, labels, *, rng):
        return {"error": representations.mean()}


class NumpyDiagnosis(Diagnosed, Plain):
    """Numbers from numpy's global generator."""

    def _diagnose(self, representations, labels, *, rng):
        return {"error": float(np.random.rand())}


class Unchecked(Plain):
    """Switches the checks of its input off."""

    def _check_pairs(self, representations, labels, **options):
        pass


class Further(Augmenter):
    """The documents again."""

    def _documents(self, documents, *, rng):
        return copy.deepcopy(documents)


class FaultyDocument(Further):
    """A mention outside its sentence."""

    def _documents(self, documents, *, rng):
        documents = copy.deepcopy(documents)
        documents[0]["entities"][0]["mentions"][0]["end"] = 99
        return documents


class NoDocument(Further):
    """Nothing."""

    def _documents(self, documents, *, rng):
        return []


class HalfRewritten(Further):
    """One version too many."""

    rewrites = True

    def _documents(self, documents, *, rng):
        return [*documents, *documents]


class NotADocument(Further):
    """Titles alone."""

    def _documents(self, documents, *, rng):
        return [document["title"] for document in documents]


class RenamedInPlace(Further):
    """Changes what it is given."""

    def _documents(self, documents, *, rng):
        documents[0]["title"] += "!"
        return documents


BROKEN = {
    "every": {
        "is an augmenter": [
            (NotDerived, "derived from"),
            (OwnAugment, r"write _augment\(\) instead"),
        ],
        "has a docstring": [(Undocumented, "no docstring")],
        "options are keywords with literal defaults": [
            (Positional, "make 'scale' keyword-only"),
            (Anything, "name every option"),
            (NoLiteral, "'dtype' must be a value"),
            (NoDefault, "check_options = {'scale'"),
        ],
        "it does one thing": [(TwoThings, "_view', '_adjust")],
        "fitting is declared": [
            (NeverFitted, "set needs_fitting = True"),
            (NothingToFit, r"no _fit\(\)"),
        ],
    },
    "fit": {
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
            (LacksState, "lacks something that _fit.. set .*'row'.*keep what is learned"),
            (RandomLearner, "two calls with the same rng differ, so nothing"),
            (SharedState, "share no memory"),
        ],
    },
    "augment": {
        "generates positive pairs": [
            (ThresholdClass, "threshold class"),
            (TooNarrow, "11 wide, expected 12"),
        ],
        "labels stay with their pairs": [
            (ShiftedLabels, "those of the pair before"),
            (ShiftedPairs, "those of the pair after"),
        ],
        "keeps dtype and device": [(Float32Only, "raised AssertionError")],
        "depends on the rng alone": [(NumpyNoise, "draw from rng"), (RunningMean, "keep no state")],
        "leaves global generators alone": [
            (NumpyNoise, "numpy's"),
            (PythonNoise, "Python's"),
            (MovesTorch, "torch's"),
        ],
        "gradient is as declared": [
            (CarriesGradient, "return detached ones"),
            (NoGradient, "have no gradient"),
            (InfiniteGradient, "NaN or infinite"),
        ],
        "leaves the pairs alone": [(InPlace, "in place"), (Alias, "share memory")],
        "takes an empty batch": [(AlwaysSome, "must yield no pair, got 1")],
        "takes one pair": [(Standardises, "NaN or infinity")],
        "takes unseen label sets": [(KnownLabelsOnly, "a label set that no training pair has")],
        "refuses wrong input": [(Unchecked, "accepts")],
    },
    "view": {
        "view keeps shapes": [(Cropped, "returned states")],
        "view leaves the encoding alone": [(MaskedInPlace, "in place"), (SameView, "share memory")],
        "view gradient is as declared": [(DetachedView, "has no gradient")],
    },
    "adjust": {
        "adjusts logits": [(AdjustedInPlace, "in place")],
        "passes the gradient on": [(Rounded, "does not reach the logits")],
    },
    "perturb": {
        "perturbs representations": [
            (PerturbedInPlace, "in place"),
            (PerturbedWithoutGradient, "gradient does not reach"),
        ]
    },
    "weigh": {"weighs pairs": [(NegativeWeights, "0 or more"), (NoWeight, "every pair")]},
    "documents": {
        "returns documents to train on": [
            (FaultyDocument, r"vertexSet\[0\]\[0\].pos"),
            (NoDocument, "at least one document"),
            (HalfRewritten, "one document for each"),
            (NotADocument, "expected documents as"),
        ],
        "leaves the documents alone": [(RenamedInPlace, "in place")],
    },
    "diagnose": {
        "diagnoses in plain numbers": [
            (TensorDiagnosis, "finite plain numbers"),
            (NumpyDiagnosis, "draw from rng"),
        ]
    },
}


def test_every_check_has_a_way_to_fail():
    assert BROKEN.keys() == CHECKS.keys()
    for form, broken in BROKEN.items():
        names = [check.__name__.replace("_", " ") for check in CHECKS[form]]
        shared = BROKEN["augment"] if form in THINGS[1:] else {}
        assert [name for name in names if name not in shared] == list(broken)


@pytest.mark.parametrize(
    ("name", "broken", "message"),
    [(name, *case) for form in BROKEN.values() for name, cases in form.items() for case in cases],
)
def test_a_broken_augmenter_fails_with_advice(name, broken, message):
    check = dict(check_augmenter(broken))[name]
    with pytest.raises(CheckFailed, match=message):
        check()


def test_options_go_over_the_classes_own():
    seen = {}

    class Records(Plain):
        """Keeps its options."""

        check_options = {"scale": 1.0, "copies": 2}

        def __init__(self, *, scale: float = 0.0, copies: int = 1):
            seen.update(scale=scale, copies=copies)

    dict(check_augmenter(Records, {"scale": 5.0}))["takes one pair"]()
    assert seen == {"scale": 5.0, "copies": 2}
