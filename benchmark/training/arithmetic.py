"""Counts the arithmetic of a piece of work: floating-point operations of its matrix products and
attentions, both ways.

PyTorch's counter lacks an operation or two that this suite, or the CPU, uses; they are given to it
here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

aten = torch.ops.aten

# Shapes of the operands -> operations.
FORMULAE = {
    aten.addmm_: lambda _, left, right, **__: 2 * left[0] * left[1] * right[1],
    aten._scaled_dot_product_flash_attention_for_cpu: lambda q, k, v, *_, **__: sdpa_flop_count(
        q, k, v
    ),
    aten._scaled_dot_product_flash_attention_for_cpu_backward: lambda g, q, k, v, *_, **__: (
        sdpa_backward_flop_count(g, q, k, v)
    ),
}


def operations(work: Callable[[], Any]) -> int:
    """How many floating-point operations `work` does; a product and its addition are two."""
    with FlopCounterMode(display=False, custom_mapping=FORMULAE) as counter:
        work()
    return counter.get_total_flops()
