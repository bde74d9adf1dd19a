"""Objectives against loops over pairs and relations. The official values stand in tests/parity."""

from functools import partial
from math import exp, log

import pytest
import torch
from tensors import multi_hot, rng

from backbones.parts.losses import (
    adaptive_focal,
    adaptive_threshold,
    balanced,
    none_class_ranking,
    pairwise_moving_threshold,
    supervised_contrastive,
)

FIRST_TWO = torch.tensor([[0.0, 1, 1, 0]])
# pairs without a relation, with one, with two, with all three
SETS = [(), (1,), (1, 2), (3,), (), (1, 2, 3)]
LABELS = multi_hot(*(held or (0,) for held in SETS), classes=4).double()
LOGITS = 2 * torch.randn(6, 4, generator=rng(), dtype=torch.float64)


def softplus(x):
    return log(1 + exp(x))


def sigmoid(x):
    return 1 / (1 + exp(-x))


def entropy(margin):
    p = sigmoid(margin)
    return -p * log(p) - (1 - p) * log(1 - p)


def logsumexp(*values):
    return log(sum(map(exp, values)))


def threshold(f, held):
    return logsumexp(f[0], *(f[r] for r in (1, 2, 3) if r not in held)) - f[0]


def by_atl(f, held):
    return sum(logsumexp(f[0], *(f[p] for p in held)) - f[r] for r in held) + threshold(f, held)


def by_afl(f, held):
    margins = [f[r] - f[0] for r in held]
    return sum((1 + sigmoid(-m) ** 2) * softplus(-m) for m in margins) + threshold(f, held)


def by_balanced(f, held):
    held = held or (0,)
    negative, positive = ([r for r in range(4) if (r in held) == which] for which in (False, True))
    return logsumexp(0, *(f[r] for r in negative)) + logsumexp(0, *(-f[r] for r in positive))


def by_ncrl(f, held):
    margins = [f[0] - sum(f[1:]) / 3, *(f[r] - f[0] for r in (1, 2, 3))]
    of_negative = lambda m: -log(min(1, sigmoid(-m) + 0.05))
    held = held or (0,)
    return sum(softplus(-m) if r in held else of_negative(m) for r, m in enumerate(margins))


@pytest.mark.parametrize(
    ("loss", "of_pair"),
    [
        (adaptive_threshold, by_atl),
        (partial(adaptive_focal, gamma=2), by_afl),
        (balanced, by_balanced),
        (partial(none_class_ranking, margin=0.05), by_ncrl),
    ],
)
def test_pair_by_pair(loss, of_pair):
    expected = [of_pair(f, held) for f, held in zip(LOGITS.tolist(), SETS, strict=True)]
    assert loss(LOGITS, LABELS).tolist() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("weighting", ["vectorised", "per_pair", "broadcast", "none"])
def test_moving_threshold_pair_by_pair(weighting):
    sizes = [(max(len(held), 1), max(3 - len(held), 1)) for held in SETS]
    shares = [sum(1 / size[side] for size in sizes) / 6 for side in (0, 1)]
    expected = []
    for f, held, size in zip(LOGITS.tolist(), SETS, sizes, strict=True):
        margins = {r: f[r] - f[0] for r in (1, 2, 3)}
        total = sum(softplus(-m if r in held else m) for r, m in margins.items())
        of_held = sum(entropy(m) for r, m in margins.items() if r in held)
        of_others = sum(entropy(m) for r, m in margins.items() if r not in held)
        expected.append(
            {
                "vectorised": total + of_held + of_others / size[1],
                "per_pair": total + of_held / size[0] + of_others / size[1],
                "broadcast": total + of_held * shares[0] + of_others * shares[1],
                "none": total,  # Eq. (24) alone
            }[weighting]
        )
    found = pairwise_moving_threshold(LOGITS, LABELS, entropy=weighting)
    assert found.tolist() == pytest.approx(expected, rel=1e-10)


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


LOSSES = [adaptive_threshold, adaptive_focal, pairwise_moving_threshold, balanced]
OF_OPTIONS = [partial(adaptive_focal, gamma=0.5), partial(none_class_ranking, margin=0.05)]


@pytest.mark.parametrize("loss", [*LOSSES, *OF_OPTIONS])
def test_extreme_logits_stay_finite(loss):
    logits = torch.tensor([[1e4, -1e4, 1e4, 0], [-1e4, 1e4, -1e4, 1e4]], requires_grad=True)
    loss(logits, torch.cat([FIRST_TWO, torch.eye(4)[:1]])).sum().backward()
    assert logits.grad.isfinite().all()
