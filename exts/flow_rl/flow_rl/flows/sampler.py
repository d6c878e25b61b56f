# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Deterministic integration of a velocity field from noise to action."""

from __future__ import annotations

from collections.abc import Callable

import torch


def euler_states(
    velocity: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    noise: torch.Tensor,
    num_steps: int,
    *,
    clip: float | None = None,
) -> torch.Tensor:
    """States x_0 .. x_K of K Euler steps of size 1 / K from t = 0 to t = 1, shape (K + 1, B, D).

    Args:
        velocity: Field v(x, t) with x of shape (B, D) and t of shape (B, 1).
        noise: Initial state x_0, shape (B, D).
        num_steps: Number of steps K.
        clip: Bound on each coordinate after each step; None leaves the state free.
    """
    states = [noise]
    for i in range(num_steps):
        t = torch.full_like(noise[:, :1], i / num_steps)
        x = states[-1] + velocity(states[-1], t) / num_steps
        states.append(x if clip is None else x.clamp(-clip, clip))
    return torch.stack(states)
