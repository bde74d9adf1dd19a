"""Values and gradients of the official losses (float64)."""

from pathlib import Path

import numpy as np
import pytest
import torch

from backbones.parts.losses import (
    adaptive_focal,
    adaptive_threshold,
    pairwise_moving_threshold,
    supervised_contrastive,
)

DATA = Path(__file__).parent / "data"

OFFICIAL = dict(
    loss_atl=lambda a, x, y: adaptive_threshold(x, y).mean(),
    loss_afl=lambda a, x, y: adaptive_focal(x, y).mean(),
    loss_pmtem=lambda a, x, y: pairwise_moving_threshold(x, y, entropy="broadcast").mean(),
    loss_scl=lambda a, x, y: supervised_contrastive(
        x, y, temperature=float(a["tau"]), base_temperature=float(a["tau_base"])
    ),
)


@pytest.mark.parametrize("name", OFFICIAL)
def test_value_and_gradient(name):
    arrays = np.load(DATA / f"{name}.npz")
    inputs = torch.from_numpy(
        arrays["features" if name == "loss_scl" else "logits"]
    ).requires_grad_()
    loss = OFFICIAL[name](arrays, inputs, torch.from_numpy(arrays["labels"]).double())
    loss.backward()
    assert loss.item() == pytest.approx(float(arrays["loss"]), rel=1e-9)
    np.testing.assert_allclose(inputs.grad.numpy(), arrays["grad"], rtol=1e-9, atol=1e-14)
