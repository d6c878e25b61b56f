# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Advantages and returns of rollouts whose episodes end by termination or by a time limit."""

from __future__ import annotations

import torch


def generalized_advantages(
    rewards: torch.Tensor,
    values: torch.Tensor,
    last_values: torch.Tensor,
    terminated: torch.Tensor,
    truncated: torch.Tensor,
    terminal_values: torch.Tensor,
    gamma: float,
    lam: float,
) -> torch.Tensor:
    """Generalised advantage estimates (Schulman et al., arXiv 1506.02438), shape (T, E).

    A termination earns nothing afterwards. A truncation is worth the value of its own last observation, before the
    reset. Neither lets credit flow from the next episode.

    Args:
        rewards: Rewards, shape (T, E).
        values: Values of the observations acted upon, shape (T, E).
        last_values: Values of the observations after the last step, shape (E,).
        terminated: Whether the episode ended for good, shape (T, E).
        truncated: Whether a time limit ended the episode, shape (T, E).
        terminal_values: Values of the last observations of truncated episodes, read only there, shape (T, E).
        gamma: Discount per step.
        lam: Weight of longer estimates.
    """
    advantages = torch.zeros_like(rewards)
    advantage = torch.zeros_like(last_values)
    next_values = last_values
    for step in reversed(range(rewards.shape[0])):
        following = torch.where(truncated[step], terminal_values[step], next_values)
        following = torch.where(terminated[step], torch.zeros_like(following), following)
        delta = rewards[step] + gamma * following - values[step]
        goes_on = (~(terminated[step] | truncated[step])).to(rewards.dtype)
        advantage = delta + gamma * lam * goes_on * advantage
        advantages[step] = advantage
        next_values = values[step]
    return advantages


def explained_variance(values: torch.Tensor, returns: torch.Tensor) -> torch.Tensor:
    """Share of the returns' variance that the critic foresaw: 1 is perfect, 0 no better than a constant."""
    return 1.0 - (returns - values).var() / returns.var().clamp(min=1e-8)
