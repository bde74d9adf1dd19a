"""Objectives against closed forms and small cases by hand. The official values stand in
tests/parity.
"""

from functools import partial
from math import exp, log

import pytest
import torch

from backbones.parts.losses import (
    adaptive_focal,
    adaptive_threshold,
    pairwise_moving_threshold,
    supervised_contrastive,
)

FIRST_TWO = torch.tensor([[0.0, 1, 1, 0]])
X = torch.tensor([[0.5, 1.5, -0.5, 0.25]])  # margins 1, -1, -0.25


def softplus(x):
    return log(1 + exp(x))


def sigmoid(x):
    return 1 / (1 + exp(-x))


def entropy(margin):
    p = sigmoid(margin)
    return -p * log(p) - (1 - p) * log(1 - p)


def test_adaptive_focal_by_hand():
    positives = sum((1 + sigmoid(-m) ** 2) * softplus(-m) for m in (1, -1))
    expected = positives + log(1 + exp(-0.25))
    assert adaptive_focal(X, FIRST_TWO, gamma=2).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("weighting", "positive"), [("vectorised", 1), ("per_pair", 2), ("broadcast", 2), ("none", 0)]
)
def test_moving_threshold_by_hand(weighting, positive):
    expected = softplus(-1) + softplus(1) + softplus(-0.25)
    if positive:  # else only Eq. (24) is left
        expected += (entropy(1) + entropy(-1)) / positive + entropy(-0.25) / 1
    found = pairwise_moving_threshold(X, FIRST_TWO, entropy=weighting)
    assert found.item() == pytest.approx(expected, rel=1e-6)


# Anchors of the tests below: pairs 0, 1 and 2 share relation 1 or 2 in a chain (0-1, 1-2), pair 3
# shares none.
CHAIN = torch.tensor(
    [[0.0, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=torch.float64
)
ROWS = torch.tensor([[1.0, 2, 0], [2, 1, -1], [0, 1, 1], [-1, 0, 2]], dtype=torch.float64)
POSITIVES = {0: [1], 1: [0, 2], 2: [1]}
SCALE = {"temperature": 0.5, "base_temperature": 0.25}


NA = torch.tensor([[1.0, 1, 1], [0, -2, 1]], dtype=torch.float64)  # pairs without a relation


@pytest.mark.parametrize("form", ["cosine", "dot"])
@pytest.mark.parametrize("contrasts", [None, NA[:0], NA])
def test_eq_28_with_loops(form, contrasts):
    """As printed ("dot") the log of the mean share, with "cosine" the mean of the logs; contrasts
    stand in the denominator alone, and an anchor without positives counts 0.
    """
    rows, na = ROWS, NA[:0] if contrasts is None else contrasts
    if form == "cosine":
        rows, na = (torch.nn.functional.normalize(x, dim=-1) for x in (rows, na))
    total = 0.0
    for i, positives in POSITIVES.items():
        share = lambda d, i=i: exp(float(rows[i] @ d) / 0.5)
        others = sum(share(rows[d]) for d in range(4) if d != i) + sum(map(share, na))
        shares = [share(rows[p]) / others for p in positives]
        n = len(shares)
        total -= log(sum(shares) / n) if form == "dot" else sum(map(log, shares)) / n
    found = supervised_contrastive(ROWS, CHAIN, **SCALE, form=form, contrasts=contrasts)
    assert found.item() == pytest.approx(2 * total / 4, rel=1e-12)


@pytest.mark.parametrize("form", ["cosine", "dot"])
@pytest.mark.parametrize("labels", [CHAIN, CHAIN[:2], CHAIN[[0, 2, 3]]])
def test_contrastive_gradients(form, labels):
    """With an anchor that has no positives, with two anchors, and with none that has any."""
    rows, na = (
        ROWS[: len(labels)].clone().requires_grad_(),
        torch.ones(2, 3, dtype=torch.float64, requires_grad=True),
    )
    loss = lambda x, y: supervised_contrastive(x, labels, **SCALE, form=form, contrasts=y)
    assert torch.autograd.gradcheck(loss, (rows, na))


@pytest.mark.parametrize("form", ["cosine", "dot"])
def test_contrastive_of_large_rows_stays_finite(form):
    rows = (ROWS.float() * 1e4).requires_grad_()
    loss = supervised_contrastive(rows, CHAIN.float(), **SCALE, form=form, contrasts=-rows.detach())
    loss.backward()
    assert loss.isfinite() and rows.grad.isfinite().all()


@pytest.mark.parametrize("form", ["cosine", "dot"])
@pytest.mark.parametrize("N", [0, 1])
def test_contrastive_needs_two_pairs(N, form):
    x = torch.randn(N, 3, requires_grad=True)
    options = dict(temperature=1, base_temperature=0.5, form=form, contrasts=torch.randn(2, 3))
    loss = supervised_contrastive(x, torch.ones(N, 4), **options)
    loss.backward()
    assert loss == 0 and (x.grad == 0).all()


LOSSES = [adaptive_threshold, adaptive_focal, pairwise_moving_threshold]


@pytest.mark.parametrize("loss", [*LOSSES, partial(adaptive_focal, gamma=0.5)])
def test_extreme_logits_stay_finite(loss):
    logits = torch.tensor([[1e4, -1e4, 1e4, 0], [-1e4, 1e4, -1e4, 1e4]], requires_grad=True)
    loss(logits, torch.cat([FIRST_TWO, torch.eye(4)[:1]])).sum().backward()
    assert logits.grad.isfinite().all()
