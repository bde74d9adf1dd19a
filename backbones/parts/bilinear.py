"""The grouped bilinear map of ATLOP: products of every pair of features within a group, then one
linear map.

For 12 groups of 64 there are 49,152 products per entity pair: those of a batch would take hundreds
of megabytes, and moving them most of the head's time on CPU. Here they exist for as many groups of
as many pairs as fit a cache, in the forward as in the backward pass. Groups are divided first: each
part of the weight then meets all pairs in one product, and is read and written once.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from benchmark.errors import ConfigError

BLOCK_BYTES = 16 * 2**20  # products held at a time on CPU: about a cache's worth
BLOCK_BYTES_GPU = 256 * 2**20


class _GroupedProducts(torch.autograd.Function):
    """products(h, t) @ weight^T for h, t [P, groups, k] and weight [out, groups * k * k], block by
    block.
    """

    @staticmethod
    def forward(ctx, head: Tensor, tail: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(head, tail, weight)
        output = _zeros(len(head), len(weight), like=head)
        for pairs, groups, columns in _blocks(head):
            products = _products(head[pairs, groups], tail[pairs, groups])
            _add_product(output[pairs], products, weight[:, columns].t())
        return output.to(head.dtype)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        head, tail, weight = ctx.saved_tensors
        gradient = gradient.contiguous()
        d_head, d_tail = torch.empty_like(head), torch.empty_like(tail)
        d_weight = _zeros(*weight.shape, like=weight)
        for pairs, groups, columns in _blocks(head):
            h, t = head[pairs, groups], tail[pairs, groups]
            _add_product(d_weight[:, columns], gradient[pairs].t(), _products(h, t))
            # [p, g, k, k]
            d_products = (gradient[pairs] @ weight[:, columns]).view(*h.shape, h.shape[-1])
            d_head[pairs, groups] = (d_products @ t.unsqueeze(-1)).squeeze(-1)
            d_tail[pairs, groups] = (h.unsqueeze(-2) @ d_products).squeeze(-2)
        return d_head, d_tail, d_weight.to(weight.dtype)


def _products(head: Tensor, tail: Tensor) -> Tensor:
    return (head.unsqueeze(-1) * tail.unsqueeze(-2)).flatten(1)


def _blocks(head: Tensor) -> Iterator[tuple[slice, slice, slice]]:
    """(pairs, groups, the columns of the weight that meet these groups), each block's products
    within the limit.
    """
    pairs, groups, k = head.shape
    limit = BLOCK_BYTES if head.device.type == "cpu" else BLOCK_BYTES_GPU
    room = limit // (k * k * head.element_size())
    wide = min(groups, max(1, room // max(1, pairs)))  # groups of a block
    tall = max(1, room // wide)  # pairs of a block
    for group in range(0, groups, wide):
        columns = slice(group * k * k, (group + wide) * k * k)
        for pair in range(0, pairs, tall):
            yield slice(pair, pair + tall), slice(group, group + wide), columns


def _zeros(*shape: int, like: Tensor) -> Tensor:
    """For sums over blocks: never of less than single precision."""
    return like.new_zeros(shape, dtype=torch.promote_types(like.dtype, torch.float32))


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """total += left @ right, without a matrix in between where the types are the same."""
    if total.dtype == left.dtype:
        total.addmm_(left, right)
    else:
        total += left @ right


class GroupedBilinear(nn.Module):
    """[P, features] x [P, features] -> [P, out] (Zhou et al. 2021, Eq. 5).

    Its first weights are those of a linear map of the products, as in ATLOP, in every backbone. The
    official code of DocRED's baselines and of SSAN has `nn.Bilinear`, a single group (block =
    features) whose weights start sqrt(features) times as large: 12 times with 148 features.

    Args:
        features: width of head and tail features.
        block: features per group; must divide `features`.
        bias: of the linear map (ATLOP's classifier has one, KD-DocRE's projection none).
    """

    def __init__(self, features: int, block: int, out: int, *, bias: bool):
        super().__init__()
        if features < 1 or block < 1 or features % block:
            raise ConfigError(
                f"block must divide emb, and both be positive: got emb {features} and block {block}"
            )
        self.block = block
        self.linear = nn.Linear(features * block, out, bias=bias)

    def forward(self, head: Tensor, tail: Tensor) -> Tensor:
        weight, bias = self.linear.weight, self.linear.bias
        # a custom function is not autocast: take the types that `linear` would take
        if torch.is_autocast_enabled(head.device.type):
            dtype = torch.get_autocast_dtype(head.device.type)
            head, tail, weight = head.to(dtype), tail.to(dtype), weight.to(dtype)
        groups = (len(head), head.shape[1] // self.block, self.block)
        output = _GroupedProducts.apply(head.reshape(groups), tail.reshape(groups), weight)
        return output if bias is None else output + bias
