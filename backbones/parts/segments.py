"""Rows that belong to groups of any size: tokens to mentions, mentions to entities, entities to
documents. Without a loop over groups; only `ranges` syncs with the device.
"""

import torch
from torch import Tensor

from benchmark.data.batches import Batch


def means(values: Tensor, group: Tensor, groups: int) -> Tensor:
    """[groups, *]: the mean of the values [K, *] of each group [K]; 0 for an empty one."""
    total = values.new_zeros(groups, *values.shape[1:]).index_add(0, group, values)
    count = sizes(group, groups).clamp(min=1)
    return total / count.view(-1, *[1] * (values.ndim - 1))


def maxima(values: Tensor, group: Tensor, groups: int, empty: float = 0.0) -> Tensor:
    """[groups, d]: the maximum of the values [K, d] of each group [K]."""
    where = group[:, None].expand_as(values)
    found = values.new_full((groups, values.shape[1]), empty)
    return found.scatter_reduce(0, where, values, "amax", include_self=False)


def exponentials(values: Tensor, group: Tensor, groups: int) -> tuple[Tensor, Tensor, Tensor]:
    """exp(values - peak) [K, d], their sum over each group and its peak [groups, d]: what softmax
    and logsumexp over groups are made of.
    """
    peak = maxima(values.detach(), group, groups, -torch.inf)
    found = (values - peak[group]).exp()
    # on a GPU, autocast makes `found` wider than the values
    return found, found.new_zeros(peak.shape).index_add(0, group, found), peak


def sizes(group: Tensor, groups: int) -> Tensor:
    """[groups] how many rows each has (`bincount` would sync)."""
    return group.new_zeros(groups).index_add(0, group, torch.ones_like(group))


def places(group: Tensor, sizes: Tensor) -> Tensor:
    """[K] the number of each row within its group; rows stand in the order of their groups [K]."""
    start = (sizes.cumsum(0) - sizes)[group]
    return torch.arange(len(group), device=group.device) - start


def ranges(sizes: Tensor) -> tuple[Tensor, Tensor]:
    """(group [K], number within it [K]) of all rows of groups of these sizes."""
    group = torch.arange(len(sizes), device=sizes.device).repeat_interleave(sizes)
    return group, places(group, sizes)


def table(values: Tensor, batch: Batch) -> Tensor:
    """[D, N, *]: the values [E, *] of entities, by document; 0 where there is no entity."""
    found = values.new_zeros(len(batch.rows), batch.largest, *values.shape[1:])
    return found.index_put((batch.entity_document, batch.entity_slot), values)
