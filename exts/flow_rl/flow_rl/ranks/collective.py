# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What ranks exchange. Where there is one rank, all of this leaves values as they are."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist


def world_size() -> int:
    """Return the number of ranks that belong together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def averaged(value: torch.Tensor) -> torch.Tensor:
    """Return the mean over ranks of a tensor, the same bits on all of them."""
    if world_size() == 1:
        return value
    total = value.detach().clone()
    dist.all_reduce(total)
    return total / world_size()


def count(exists: torch.Tensor, dim: int | None = None) -> torch.Tensor:
    """Return how many entries exist on a rank on average, so that sums divided by it are means over all ranks'.

    Where none exists the count is that of one.

    Args:
        exists: Booleans.
        dim: Dimension to count along, which is kept; None for all.
    """
    own = exists.sum() if dim is None else exists.sum(dim=dim, keepdim=True)
    ranks = world_size()
    if ranks > 1:
        dist.all_reduce(own)
    return own.clamp(min=1) if ranks == 1 else own.clamp(min=1) / ranks


def standardised(x: torch.Tensor, eps: float = 1e-8) -> torch.Tensor:
    """Return values (B) less their mean, over their standard deviation, both those of all ranks together."""
    if world_size() == 1:
        return (x - x.mean()) / (x.std() + eps)
    wide = x.detach().double()
    moments = torch.stack([torch.full_like(wide[0], len(wide)), wide.sum(), wide.square().sum()])
    dist.all_reduce(moments)
    num, total, square = moments.unbind()
    mean = total / num
    std = ((square - num * mean.square()).clamp(min=0.0) / (num - 1.0)).sqrt()
    return ((wide - mean) / (std + eps)).to(x.dtype)


def gathered(value: Any) -> list[Any]:
    """Return every rank's value, in the order of ranks; any that can be pickled."""
    values = [value] * world_size()
    if world_size() > 1:
        dist.all_gather_object(values, value)
    return values


def from_first(value: Any) -> Any:
    """Return the value of rank 0; any that can be pickled."""
    values = [value]
    if world_size() > 1:
        dist.broadcast_object_list(values, src=0)
    return values[0]


def merged(numbers: dict[str, float]) -> dict[str, float]:
    """Return numbers for the log: means over ranks, the least of what is called `min_`, the greatest of `max_`."""
    if world_size() == 1:
        return numbers
    everyone = gathered(numbers)
    result = {}
    for name in dict.fromkeys(key for each in everyone for key in each):
        values = [each[name] for each in everyone if name in each]
        extreme = {"min": min, "max": max}.get(name.partition("_")[0])
        result[name] = extreme(values) if extreme else sum(values) / len(values)
    return result
