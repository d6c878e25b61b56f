# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Running scale of rewards."""

from __future__ import annotations

import torch
from torch import nn


class RewardScaler(nn.Module):
    """Divides rewards by the running standard deviation of the discounted return, then bounds them.

    The statistics of a rollout are taken before it is scaled, so that already the first one is on scale. In
    distributed training the ranks' statistics are summed, so that all ranks scale alike.
    """

    LOCAL = ("returns",)
    """State that belongs to the environments of one rank."""

    def __init__(self, num_envs: int, gamma: float, bound: float = 10.0, eps: float = 1e-8):
        """Build the scaler.

        Args:
            num_envs: Number of environments E.
            gamma: Discount per step.
            bound: Bound on scaled rewards.
            eps: Added to the variance.
        """
        super().__init__()
        self.gamma, self.bound, self.eps = gamma, bound, eps
        self.register_buffer("returns", torch.zeros(num_envs))
        # count, sum and sum of squares of the discounted returns, in double precision: sums over whole runs
        self.register_buffer("moments", torch.zeros(3, dtype=torch.float64))

    def adapt(self, state: dict) -> dict:
        """State of a checkpoint; returns of another number of environments begin anew."""
        same = len(state["returns"]) == len(self.returns)
        return state if same else state | {"returns": torch.zeros_like(self.returns)}

    @property
    def scale(self) -> torch.Tensor:
        """Present standard deviation of the discounted return."""
        count, total, square = self.moments.unbind()
        count = count.clamp(min=1.0)
        return ((square / count - (total / count).square()).clamp(min=0.0) + self.eps).sqrt().float()

    def update(self, rewards: torch.Tensor, dones: torch.Tensor) -> None:
        """Take in a rollout.

        Args:
            rewards: Raw rewards, shape (T, E).
            dones: Whether the episode ended at the step, shape (T, E).
        """
        history = torch.empty_like(rewards)
        for step in range(rewards.shape[0]):
            self.returns.mul_(self.gamma).add_(rewards[step])
            history[step] = self.returns
            self.returns.mul_(~dones[step])
        history = history.double()
        moments = torch.stack([torch.full_like(history[0, 0], history.numel()), history.sum(), history.square().sum()])
        if torch.distributed.is_initialized():
            torch.distributed.all_reduce(moments)
        self.moments.add_(moments)

    def forward(self, rewards: torch.Tensor) -> torch.Tensor:
        """Scaled and bounded rewards of the same shape."""
        return (rewards / self.scale).clamp(-self.bound, self.bound)
