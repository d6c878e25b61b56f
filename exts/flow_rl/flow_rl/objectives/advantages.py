# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Advantages and returns of rollouts whose episodes end by termination or by a time limit."""

from __future__ import annotations

from collections.abc import Callable

import torch


def lambda_returns(
    rewards: torch.Tensor,
    next_values: torch.Tensor,
    terminated: torch.Tensor,
    truncated: torch.Tensor,
    gamma: float,
    lam: float,
) -> torch.Tensor:
    """TD(lambda) returns (Sutton and Barto, equation 12.20), shape (T, ...).

    ``G_t = r_t + gamma * ((1 - lam) * v_{t+1} + lam * G_{t+1})`` while the episode goes on, ``r_t + gamma * v_{t+1}``
    at a truncation and in the last row, ``r_t`` at a termination.

    Args:
        rewards: Rewards, shape (T, ...).
        next_values: Values of the observations that follow the steps, before the reset where truncated, shape (T, ...).
        terminated: Whether the episode ended for good, shape (T, ...).
        truncated: Whether a time limit ended the episode, shape (T, ...).
        gamma: Discount per step.
        lam: Weight of longer estimates.
    """
    returns = torch.empty_like(rewards)
    for step in reversed(range(rewards.shape[0])):
        following = next_values[step]
        if step + 1 < rewards.shape[0]:
            mixed = (1.0 - lam) * following + lam * returns[step + 1]
            following = torch.where(truncated[step], following, mixed)
        returns[step] = rewards[step] + gamma * following.masked_fill(terminated[step], 0.0)
    return returns


def generalized_advantages(
    rewards: torch.Tensor,
    values: torch.Tensor,
    last_values: torch.Tensor,
    terminated: torch.Tensor,
    truncated: torch.Tensor,
    terminal_values: torch.Tensor,
    gamma: float,
    lam: float,
    *,
    scan: Callable[..., torch.Tensor] = lambda_returns,
) -> torch.Tensor:
    """Generalised advantage estimates (Schulman et al., arXiv 1506.02438), shape (T, E).

    They are TD(lambda) returns minus values. A termination earns nothing afterwards. A truncation is worth the value of
    its own last observation, before the reset. Neither lets credit flow from the next episode.

    Args:
        rewards: Rewards, shape (T, E).
        values: Values of the observations acted upon, shape (T, E).
        last_values: Values of the observations after the last step, shape (E,).
        terminated: Whether the episode ended for good, shape (T, E).
        truncated: Whether a time limit ended the episode, shape (T, E).
        terminal_values: Values of the last observations of truncated episodes, read only there, shape (T, E).
        gamma: Discount per step.
        lam: Weight of longer estimates.
        scan: What computes the returns: :func:`lambda_returns` or :func:`flow_rl.kernels.lambda_scan`.
    """
    following = torch.cat((values[1:], last_values.unsqueeze(0)))
    next_values = torch.where(truncated, terminal_values, following)
    return scan(rewards, next_values, terminated, truncated, gamma, lam) - values


def explained_variance(values: torch.Tensor, returns: torch.Tensor) -> torch.Tensor:
    """Share of the returns' variance that the critic foresaw: 1 is perfect, 0 no better than a constant."""
    return 1.0 - (returns - values).var() / returns.var().clamp(min=1e-8)
