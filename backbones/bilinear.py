"""The grouped bilinear map of ATLOP: products of every pair of features within a group, then one linear map.

For 12 groups of 64 there are 49,152 products per entity pair: all pairs of a batch at once would take hundreds of megabytes,
most of the head's time on CPU being spent on moving them. Here they exist for a chunk of pairs at a time, in the forward as in
the backward pass.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmark.errors import ConfigError

CHUNK_BYTES = 16 * 2**20  # products held at a time on CPU: about a cache's worth
CHUNK_BYTES_GPU = 256 * 2**20


class _GroupedProducts(torch.autograd.Function):
    """products(h, t) @ weight^T for h, t [P, groups, k] and weight [out, groups * k * k], chunk by chunk."""

    @staticmethod
    def forward(ctx, head: Tensor, tail: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(head, tail, weight)
        output = head.new_empty(len(head), len(weight))
        for part in _chunks(head):
            torch.mm(_products(head[part], tail[part]), weight.t(), out=output[part])
        return output

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        head, tail, weight = ctx.saved_tensors
        gradient = gradient.contiguous()
        d_head, d_tail = torch.empty_like(head), torch.empty_like(tail)
        d_weight = torch.zeros_like(weight, dtype=torch.promote_types(weight.dtype, torch.float32))  # a sum over chunks
        for part in _chunks(head):
            h, t = head[part], tail[part]
            d_weight += gradient[part].t() @ _products(h, t)
            d_products = (gradient[part] @ weight).view(*h.shape, h.shape[-1])  # [p, groups, k, k]
            d_head[part] = (d_products @ t.unsqueeze(-1)).squeeze(-1)
            d_tail[part] = (h.unsqueeze(-2) @ d_products).squeeze(-2)
        return d_head, d_tail, d_weight.to(weight.dtype)


def _products(head: Tensor, tail: Tensor) -> Tensor:
    return (head.unsqueeze(-1) * tail.unsqueeze(-2)).flatten(1)


def _chunks(head: Tensor) -> list[slice]:
    pairs, groups, k = head.shape
    limit = CHUNK_BYTES if head.device.type == "cpu" else CHUNK_BYTES_GPU
    size = max(1, limit // (groups * k * k * head.element_size()))
    return [slice(i, min(i + size, pairs)) for i in range(0, pairs, size)]


class GroupedBilinear(nn.Module):
    """[P, features] x [P, features] -> [P, out] (Zhou et al. 2021, Eq. 5).

    Args:
        features: width of head and tail features.
        block: features per group; must divide `features`.
        bias: whether the linear map has a bias (ATLOP's classifier: yes; KD-DocRE's projection: no).
    """

    def __init__(self, features: int, block: int, out: int, *, bias: bool):
        super().__init__()
        if features < 1 or block < 1 or features % block:
            raise ConfigError(f"block must divide emb, both positive: got emb {features} and block {block}")
        self.block = block
        self.linear = nn.Linear(features * block, out, bias=bias)

    def forward(self, head: Tensor, tail: Tensor) -> Tensor:
        weight, bias = self.linear.weight, self.linear.bias
        if torch.is_autocast_enabled(
            head.device.type
        ):  # a custom function is not autocast: take the types that `linear` would take
            dtype = torch.get_autocast_dtype(head.device.type)
            head, tail, weight = head.to(dtype), tail.to(dtype), weight.to(dtype)
        groups = (len(head), head.shape[1] // self.block, self.block)
        output = _GroupedProducts.apply(head.reshape(groups), tail.reshape(groups), weight)
        return output if bias is None else output + bias
