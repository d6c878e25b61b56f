# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Scan over time that gives TD(lambda) returns; its definition is :func:`flow_rl.objectives.lambda_returns`."""

from __future__ import annotations

import math

import torch
import warp as wp

from flow_rl.kernels.backend import launch, require_alike, uses_warp
from flow_rl.objectives import lambda_returns
from flow_rl.utils.check import require

MAX_ENVS_ON_CPU = 2048
"""Largest batch for Warp on the CPU under "auto": up to it Warp was 1.8 to 31 times as fast as torch (T = 8 to 512, one
core of an AMD EPYC, 2026-11-21). Beyond it the walk down the columns misses the cache: twice its time at 8192."""


@wp.kernel(enable_backward=False)
def _lambda_scan(
    # inputs
    rewards: wp.array2d[wp.float32],
    next_values: wp.array2d[wp.float32],
    terminated: wp.array2d[wp.bool],
    truncated: wp.array2d[wp.bool],
    gamma: float,
    lam: float,
    # outputs
    returns_out: wp.array2d[wp.float32],
):
    """One thread per environment walks back in time. Launch (E,); every array (T, E)."""
    env = wp.tid()
    last = rewards.shape[0] - 1
    following = wp.float32(0.0)
    for back in range(last + 1):
        step = last - back
        value = next_values[step, env]
        following = value if back == 0 or truncated[step, env] else (1.0 - lam) * value + lam * following
        if terminated[step, env]:
            following = 0.0
        following = rewards[step, env] + gamma * following
        returns_out[step, env] = following


@torch.no_grad()
def lambda_scan(
    rewards: torch.Tensor,
    next_values: torch.Tensor,
    terminated: torch.Tensor,
    truncated: torch.Tensor,
    gamma: float,
    lam: float,
    *,
    backend: str = "auto",
) -> torch.Tensor:
    """TD(lambda) returns without gradients, shape (T, ...); the arguments are those of :func:`lambda_returns`.

    Args:
        rewards: Rewards, shape (T, ...).
        next_values: Values of the observations that follow the steps, shape (T, ...).
        terminated: Whether the episode ended for good, bool, shape (T, ...).
        truncated: Whether a time limit ended the episode, bool, shape (T, ...).
        gamma: Discount per step.
        lam: Weight of longer estimates.
        backend: "torch", "warp", or "auto": Warp on CUDA, which has not been measured yet, and on the CPU up to
            :data:`MAX_ENVS_ON_CPU` environments.
    """
    others = {"next_values": next_values, "terminated": terminated, "truncated": truncated}
    require(rewards.ndim > 0, "rewards", rewards, "shape (T, ...)", "unsqueeze(0) a single step.")
    require_alike(rewards=rewards, next_values=next_values)
    for name, tensor in others.items():
        wanted = tuple(rewards.shape)
        require(tuple(tensor.shape) == wanted, f"{name}.shape", tuple(tensor.shape), f"{wanted}, as rewards", "expand.")
        require(tensor.device == rewards.device, f"{name}.device", tensor.device, str(rewards.device), "move it.")
        if name != "next_values":
            require(tensor.dtype == torch.bool, f"{name}.dtype", tensor.dtype, "torch.bool", "call .bool() on it.")
    inputs = (rewards, *others.values())
    few = math.prod(rewards.shape[1:]) <= MAX_ENVS_ON_CPU
    if not uses_warp(backend, rewards.device, rewards.dtype, auto_on_cpu=few):
        return lambda_returns(*inputs, gamma, lam)
    returns = torch.empty(rewards.shape, device=rewards.device)
    if returns.numel():
        flat = [tensor.flatten(1) if tensor.ndim > 1 else tensor.unsqueeze(1) for tensor in inputs]
        output = returns.view(len(returns), -1)
        # Small blocks: a few thousand environments should reach every multiprocessor.
        launch(_lambda_scan, (output.shape[1],), [*flat, gamma, lam], output, block_dim=64)
    return returns
