"""What the official values in tests/parity leave open of NCRL's and PEMSCL's losses."""

import math

import pytest
import torch
from tensors import multi_hot, rng
from torch.nn.functional import cosine_similarity

from backbones.parts.losses import grouped_similarities, none_class_ranking
from backbones.pemscl import Pemscl
from benchmark.data.pairs import Pairs

SETS = multi_hot([0], [1], [1, 2], [3], [0], [2], classes=4).double()


def test_a_negative_beyond_the_margin_has_no_gradient():
    """It is the relation against the threshold; the threshold against the mean relation goes on."""
    logits = torch.tensor([[0.0, -2.9, -3.0, 5.0]], requires_grad=True)
    loss = none_class_ranking(logits, multi_hot([3], classes=4), margin=0.05)[0]
    of_mean = 0.05 + torch.sigmoid(logits[0, 1:].mean() - logits[0, 0])
    (gradient,) = torch.autograd.grad(loss + of_mean.clamp(max=1).log(), logits)
    assert gradient[0, 2] == 0 and gradient[0, 1] > 0


def test_similarities_are_those_of_the_products():
    pairs = torch.randn(5, 12, generator=rng(), dtype=torch.float64)
    groups = pairs.view(5, 2, 2, 3)  # head and tail, two groups of three
    products = torch.einsum("pgi,pgj->pgij", groups[:, 0], groups[:, 1]).flatten(1)
    expected = cosine_similarity(products[:3, None], products[None], dim=-1)
    torch.testing.assert_close(grouped_similarities(pairs[:3], pairs, 3), expected)


def test_pemscl_contrasts_pair_by_pair():
    backbone = Pemscl(8, 4, emb=4, block=2, temperature=0.5, base_temperature=2.0)
    x = torch.randn(6, 8, generator=rng(), dtype=torch.float64).tanh()
    similar = (grouped_similarities(x, x, 2) / 0.5).tolist()
    total = 0.0
    for i in range(6):
        if SETS[i, 0]:
            continue
        others = [j for j in range(6) if j != i]
        lse = math.log(sum(math.exp(similar[i][j]) for j in others))
        same = [j for j in others if (SETS[i, 1:] * SETS[j, 1:]).sum() > 0]
        if same:
            total -= sum(similar[i][j] - lse for j in same) / len(same)
        else:
            total += lse - max(similar[i])
    expected = 0.5 / 2.0 * total / 6
    for known in (None, torch.tensor([1, 2, 3, 5])):
        found = backbone.auxiliary_loss(Pairs(x, SETS, known), None, None)
        assert found.item() == pytest.approx(expected, abs=1e-10)


def test_one_pair_has_nothing_to_contrast_with():
    backbone = Pemscl(8, 4, emb=4, block=2)
    x = torch.randn(1, 8, generator=rng(), dtype=torch.float64).requires_grad_(True)
    loss = backbone.auxiliary_loss(Pairs(x, SETS[1:2]), None, None)
    loss.backward()
    assert loss.item() == 0 and torch.equal(x.grad, torch.zeros_like(x))
