"""One batch over several processes: each computes the pairs of its own documents, and all of them
the loss of the whole batch.

What a batch's loss is made of crosses documents: its means are over all pairs, the contrastive loss
compares each pair with each, and augmenters scale their noise by the spread of all. So the pairs
are gathered before any of that, and every process computes the same loss as one process with the
whole batch would, whatever the backbone's objective. It repeats the classifier, which is small
beside the encoder.

The gradients add up: Accelerate's DDP takes the mean of the processes' gradients. For what comes
after the gathering they are all alike. For what comes before, each process has the part of its own
documents, times the number of processes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchmark import processes
from benchmark.data.pairs import Pairs


def joined(own: Pairs) -> Pairs:
    """The whole batch's pairs, in the order of its documents, from the part of each process."""
    if processes.count() == 1:
        return own
    known = own.known_positives
    counted = [len(own.labels), None if known is None else len(known)]
    pairs, positives = zip(*processes.exchanged(counted), strict=True)
    if known is not None:
        known = _Gather.apply(sum(pairs[: processes.rank()]) + known, positives)
    return Pairs(*(_Gather.apply(part, pairs) for part in own), known)


def gathered(part: Tensor | None) -> Tensor | None:
    """The whole batch's [P, *] pairs or [D, *] documents from the part of each process."""
    if part is None or processes.count() == 1:
        return part
    return _Gather.apply(part, tuple(processes.exchanged(len(part))))


def agreed(drawn: Tensor | None) -> Tensor | None:
    """The mask that the main process drew, in all processes."""
    if drawn is None or processes.count() == 1:
        return drawn
    of_main = drawn.to(torch.uint8)
    torch.distributed.broadcast(of_main, 0)
    return of_main.bool()


class _Gather(torch.autograd.Function):
    """[n, *] of each process, n = sizes[rank] -> [sum of sizes, *] in all of them."""

    @staticmethod
    def forward(ctx, rows: Tensor, sizes: tuple[int, ...]) -> Tensor:
        ctx.sizes = sizes
        padded = rows.new_zeros(max(1, *sizes), *rows.shape[1:])
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in sizes]
        torch.distributed.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        own = gradient.split(ctx.sizes)[processes.rank()]
        return own * len(ctx.sizes), None
