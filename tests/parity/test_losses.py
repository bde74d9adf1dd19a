"""Values and gradients of the official losses (float64)."""

import numpy as np
import pytest
import torch
from parity_files import read

from backbones.parts.losses import (
    adaptive_focal,
    adaptive_threshold,
    balanced,
    none_class_ranking,
    pairwise_moving_threshold,
    supervised_contrastive,
)
from backbones.pemscl import Pemscl
from benchmark.data.pairs import Pairs


def scales(arrays):
    return {"temperature": float(arrays["tau"]), "base_temperature": float(arrays["tau_base"])}


def pemscl(arrays, features, labels):
    """Every anchor of the file has a positive: without them the official code takes the mean of
    another shape.
    """
    emb, block = features.shape[1] // 2, int(arrays["block"])
    backbone = Pemscl(4, labels.shape[1], emb=emb, block=block, **scales(arrays))
    return backbone.auxiliary_loss(Pairs(features, labels), None, None)


DOUBLE = {"rtol": 1e-9, "atol": 1e-14}
SINGLE = {"rtol": 1e-6, "atol": 1e-6}  # the official code computes in float32
OFFICIAL = {
    "loss_atl": (lambda a, x, y: adaptive_threshold(x, y), DOUBLE),
    "loss_afl": (lambda a, x, y: adaptive_focal(x, y), DOUBLE),
    "loss_pmtem": (lambda a, x, y: pairwise_moving_threshold(x, y, entropy="broadcast"), DOUBLE),
    "loss_scl": (lambda a, x, y: supervised_contrastive(x, y, **scales(a)), DOUBLE),
    "loss_balanced": (lambda a, x, y: balanced(x, y), {"rtol": 1e-9, "atol": 1e-9}),
    "loss_ncrl_0": (lambda a, x, y: none_class_ranking(x, y, margin=0), SINGLE),
    "loss_ncrl_5": (lambda a, x, y: none_class_ranking(x, y, margin=0.05), SINGLE),
    "loss_pemscl": (pemscl, {"rtol": 1e-9, "atol": 1e-12}),
}


@pytest.mark.parametrize("name", OFFICIAL)
def test_value_and_gradient(name):
    (loss, tolerance), arrays = OFFICIAL[name], read(name)
    inputs = torch.from_numpy(arrays["features" if "features" in arrays else "logits"])
    found = loss(arrays, inputs.requires_grad_(), torch.from_numpy(arrays["labels"]).double())
    found.mean().backward()
    np.testing.assert_allclose(found.mean().item(), arrays["loss"], **tolerance)
    np.testing.assert_allclose(inputs.grad.numpy(), arrays["grad"], **tolerance)
