"""Every registered class keeps the contract of its kind; the checks that all kinds share."""

import importlib

import pytest
import torch
from contracts import assert_fails, assert_passes, broken

from augmenters.base import Augmenter
from augmenters.check import check_augmenter
from augmenters.none import NoAugmentation
from backbones.base import Backbone
from backbones.check import check_backbone
from benchmark.commands.inspect import CONTRACTS


def check_of(kind):
    _, module, function = CONTRACTS[kind]
    return getattr(importlib.import_module(module), function)


REGISTERED = [(kind, name) for kind, (registry, *_) in CONTRACTS.items() for name in registry]


@pytest.mark.parametrize(("kind", "name"), REGISTERED)
def test_registered_classes_pass(kind, name, one_thread):
    registry, *_ = CONTRACTS[kind]
    assert_passes(check_of(kind)(registry[name]))


@pytest.mark.parametrize("kind", CONTRACTS)
def test_a_class_needs_the_base_of_its_kind(kind):
    checks = check_of(kind)(type("NotDerived", (), {}))
    assert_fails(checks, "has the base of its kind", f"must be a class derived .*{kind.title()}")


def test_a_method_that_is_missing_is_named():
    checks = check_backbone(broken(Backbone, represent=lambda self, encoded, batch: None))
    assert_fails(checks, "has the base of its kind", r"has no pair_loss\(\)")


class Undocumented(Augmenter):
    pass


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Undocumented, "no docstring"),
        (broken(NoAugmentation, __init__=lambda self, scale=1.0: None), "'scale' has none"),
        (broken(NoAugmentation, __init__=lambda self, **options: None), "'options' has none"),
        (
            broken(NoAugmentation, __init__=lambda self, *, dtype=torch.half: None),
            "the default of 'dtype'",
        ),
        (broken(NoAugmentation, __init__=lambda self, *, scale: None), "check_options = {'scale'"),
    ],
)
def test_docstring_and_options(kind, message):
    options = "options are keywords with literal defaults"
    name = "has a docstring" if kind is Undocumented else options
    assert_fails(check_augmenter(kind), name, message)


def test_options_go_over_the_classes_own():
    seen = {}

    class Records(NoAugmentation):
        """Keeps its options."""

        check_options = {"scale": 1.0, "copies": 2}

        def __init__(self, *, scale: float = 0.0, copies: int = 1):
            seen.update(scale=scale, copies=copies)

    dict(check_augmenter(Records, {"scale": 5.0}))["takes few pairs"]()
    assert seen == {"scale": 5.0, "copies": 2}
