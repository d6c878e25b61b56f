# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The optimiser of all learners: groups by name, each with its own rate and bound, and steps that can be left out."""

from __future__ import annotations

from itertools import chain
from typing import NamedTuple

import torch
from rsl_rl.utils import reduce_gradients_in_buckets
from torch import nn

from flow_rl.flows import cosine


class ParameterGroup(NamedTuple):
    """What the optimiser moves at one rate."""

    parameters: list[nn.Parameter]
    start: float
    """Learning rate at the first iteration."""
    end: float
    """Learning rate at the last one; a half cosine leads there."""


class GroupedAdamW(torch.optim.AdamW):
    """AdamW on named groups; a step whose gradients are not finite is left out, on the device, and counted."""

    def __init__(
        self, groups: dict[str, ParameterGroup], *, weight_decay: float, max_grad_norm: float | None, world_size: int
    ):
        """Build the optimiser.

        Args:
            groups: What it moves, by name.
            weight_decay: Decoupled weight decay.
            max_grad_norm: Bound on the norm of each group's gradients; None for no bound.
            world_size: Number of ranks over which gradients are averaged.
        """
        self.groups, self.max_grad_norm, self.world_size = groups, max_grad_norm, world_size
        # Fused, because that step can be told on the device to leave everything as it is.
        settings = [{"params": group.parameters, "lr": group.start} for group in groups.values()]
        super().__init__(settings, weight_decay=weight_decay, fused=True)
        self.num_steps = 0
        """Steps tried so far in this process."""
        self.scales = dict.fromkeys(groups, 1.0)
        """Factors of the groups' scheduled rates."""
        self.skipped_steps = torch.zeros((), device=next(iter(groups.values())).parameters[0].device)

    def group(self, name: str) -> dict:
        """The group of this name, in which `lr` may be changed."""
        return self.param_groups[list(self.groups).index(name)]

    def schedule(self, progress: float) -> None:
        """Set all rates to those at a share of the schedule, from 0 to 1."""
        for name, (_, start, end) in self.groups.items():
            self.group(name)["lr"] = self.scales[name] * cosine(start, end, progress)

    def minimize(self, loss: torch.Tensor) -> dict[str, torch.Tensor]:
        """One step down the loss; parameters that it does not reach stay as they are. Returns the gradients' norms."""
        self.zero_grad()
        loss.backward()
        if self.world_size > 1:
            parameters = chain.from_iterable(group.parameters for group in self.groups.values())
            reduce_gradients_in_buckets(parameters, self.world_size, bucket_mb=25)
        norms = {f"grad_norm_{name}": self._clip(group.parameters) for name, group in self.groups.items()}
        # The norms are those of all ranks together, so that all leave out the same steps.
        self.found_inf = (~torch.stack([*norms.values()]).isfinite().all()).float()
        self.step()
        self.num_steps += 1
        self.skipped_steps += self.found_inf
        return norms

    def _clip(self, parameters: list[nn.Parameter]) -> torch.Tensor:
        """Bound the norm of the gradients and return what it was; 0 where there are none."""
        if all(parameter.grad is None for parameter in parameters):
            # the stock function's zero would come from the host
            return torch.zeros((), device=self.skipped_steps.device)
        limit = float("inf") if self.max_grad_norm is None else self.max_grad_norm
        return nn.utils.clip_grad_norm_(parameters, limit)
