"""Counted operations against those counted by hand."""

import torch
from torch.nn.functional import scaled_dot_product_attention

from backbones.parts.bilinear import GroupedBilinear
from benchmark.training.arithmetic import operations


def both_ways(function, *inputs):
    return operations(
        lambda: function(*(tensor.requires_grad_() for tensor in inputs)).sum().backward()
    )


def test_linear():
    layer = torch.nn.Linear(5, 7)
    assert both_ways(layer, torch.randn(3, 5)) == 3 * 2 * 3 * 5 * 7  # forward, weights, inputs
    assert operations(lambda: layer(torch.randn(3, 5))) == 2 * 3 * 5 * 7


def test_products_that_are_added_in_place():
    total = torch.zeros(3, 4)
    assert operations(lambda: total.addmm_(torch.randn(3, 5), torch.randn(5, 4))) == 2 * 3 * 5 * 4


def test_fused_attention():
    query, key, value = (torch.randn(2, 4, length, 8) for length in (6, 9, 9))
    product = 2 * 2 * 4 * 6 * 9 * 8
    assert operations(lambda: scaled_dot_product_attention(query, key, value)) == 2 * product
    # its backward pass makes the scores again: five products
    assert both_ways(scaled_dot_product_attention, query, key, value) == (2 + 5) * product


def test_the_grouped_bilinear_map():
    pairs, features, block, out = 11, 12, 4, 5
    wide = features * block  # products of a pair
    bilinear = GroupedBilinear(features, block, out, bias=False)
    gradients_of_features = 2 * 2 * pairs * wide  # of each product, into head and tail
    counted = both_ways(bilinear, torch.randn(pairs, features), torch.randn(pairs, features))
    assert counted == 3 * 2 * pairs * wide * out + gradients_of_features
