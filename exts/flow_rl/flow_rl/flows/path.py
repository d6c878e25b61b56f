# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The linear path between noise and action, and what a velocity says about it.

Flow time t runs from 0 (noise x_0) to 1 (action x_1): x_t = (1 - t) x_0 + t x_1, with velocity v = x_1 - x_0. All
functions broadcast: states have shape (..., D), times (..., 1). They compile to TorchScript.
"""

from __future__ import annotations

import torch


def interpolate(noise: torch.Tensor, target: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """State x_t = (1 - t) x_0 + t x_1 on the straight line from noise to target."""
    return (1.0 - t) * noise + t * target


def velocity_to_target(velocity: torch.Tensor, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """Action x_1 = x_t + (1 - t) v at which the straight line through x_t ends."""
    return x + (1.0 - t) * velocity


def target_to_velocity(target: torch.Tensor, x: torch.Tensor, t: torch.Tensor, min_gap: float = 1e-3) -> torch.Tensor:
    """Velocity v = (x_1 - x_t) / (1 - t), with 1 - t bounded below by `min_gap`."""
    return (target - x) / (1.0 - t).clamp(min=min_gap)


def velocity_to_noise(velocity: torch.Tensor, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """Noise x_0 = x_t - t v at which the straight line through x_t began."""
    return x - t * velocity


def noise_to_velocity(noise: torch.Tensor, x: torch.Tensor, t: torch.Tensor, min_time: float = 1e-3) -> torch.Tensor:
    """Velocity v = (x_t - x_0) / t, with t bounded below by `min_time`."""
    return (x - noise) / t.clamp(min=min_time)


def gaussian_velocity(
    x: torch.Tensor, t: torch.Tensor, mean: torch.Tensor, std: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Velocity E[x_1 - x_0 | x_t] were each coordinate of x_1 normal on its own, with this mean and deviation (D,).

    Returns the velocity, the deviation sigma / s of the true one from it, and the standardised state (x_t - t m) / s,
    where s is the deviation of x_t (the preconditioning of Karras et al., arXiv 2206.00364, for the straight path).
    """
    s = ((t * std).square() + (1.0 - t).square()).sqrt()
    state = (x - t * mean) / s
    return mean + (t * std.square() - (1.0 - t)) / s * state, std / s, state


def velocity_to_score(velocity: torch.Tensor, x: torch.Tensor, t: torch.Tensor, eps: float = 1e-5) -> torch.Tensor:
    """Score grad log p_t(x) = -E[x_0 | x_t] / (1 - t) = (t v - x) / (1 - t + eps), for Gaussian noise.

    ScoRe-Flow (arXiv 2604.10962); eps is its reference code's.
    """
    return (t * velocity - x) / (1.0 - t + eps)


def score_to_velocity(
    score: torch.Tensor, x: torch.Tensor, t: torch.Tensor, eps: float = 1e-5, min_time: float = 1e-3
) -> torch.Tensor:
    """Velocity v = (x + (1 - t) s) / t, the inverse of :func:`velocity_to_score` for t > 0."""
    return (x + (1.0 - t + eps) * score) / t.clamp(min=min_time)


def score_drift(
    velocity: torch.Tensor, x: torch.Tensor, t: torch.Tensor, alpha: torch.Tensor, score_clip: float
) -> torch.Tensor:
    """Drift v + alpha s with each coordinate of the score s bounded by `score_clip` (ScoRe-Flow)."""
    return velocity + alpha * velocity_to_score(velocity, x, t).clamp(-score_clip, score_clip)
