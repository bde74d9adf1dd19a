"""Every registered class keeps the contract of its kind; the checks that all kinds share."""

import pytest
import torch
from contracts import assert_fails, assert_passes, broken

from augmenters.base import Augmenter
from augmenters.check import check_augmenter
from augmenters.none import NoAugmentation
from backbones.base import Backbone
from backbones.check import check_backbone
from backbones.encoders.check import check_encoder
from benchmark.registry import AUGMENTERS, BACKBONES, ENCODERS

CHECKED = {
    "Augmenter": (AUGMENTERS, check_augmenter),
    "Backbone": (BACKBONES, check_backbone),
    "Encoder": (ENCODERS, check_encoder),
}


@pytest.mark.parametrize(
    ("base", "name"), [(base, name) for base, (registry, _) in CHECKED.items() for name in registry]
)
def test_registered_classes_pass(base, name, one_thread):
    registry, check = CHECKED[base]
    assert_passes(check(registry[name]))


@pytest.mark.parametrize("base", CHECKED)
def test_a_class_needs_the_base_of_its_kind(base):
    checks = CHECKED[base][1](type("NotDerived", (), {}))
    assert_fails(checks, "has the base of its kind", f"must be a class derived .*{base}")


def test_a_method_that_is_missing_is_named():
    checks = check_backbone(broken(Backbone, represent=lambda self, encoded, batch: None))
    assert_fails(checks, "has the base of its kind", r"has no pair_loss\(\)")


class Undocumented(Augmenter):
    pass


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Undocumented, "no docstring"),
        (broken(NoAugmentation, __init__=lambda self, scale=1.0: None), "'scale' is not"),
        (broken(NoAugmentation, __init__=lambda self, **options: None), "'options' is not"),
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
