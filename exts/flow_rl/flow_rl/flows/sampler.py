# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Deterministic integration of a velocity field from noise to action."""

from __future__ import annotations

from collections.abc import Callable

import torch


def euler(
    velocity: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    noise: torch.Tensor,
    num_steps: int,
    *,
    clip: float | None = None,
) -> torch.Tensor:
    """State after K Euler steps of size 1 / K from t = 0 to t = 1.

    Args:
        velocity: Field v(x, t) with x of shape (B, D) and t of shape (B, 1).
        noise: Initial state x_0, shape (B, D).
        num_steps: Number of steps K.
        clip: Bound on each coordinate after each step; None leaves the state free.
    """
    x = noise
    for i in range(num_steps):
        t = torch.full_like(x[:, :1], i / num_steps)
        x = x + velocity(x, t) / num_steps
        if clip is not None:
            x = x.clamp(-clip, clip)
    return x
