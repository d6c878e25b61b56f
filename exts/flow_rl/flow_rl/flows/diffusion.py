# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Denoising with a variance-preserving schedule, and how its states lie on the straight path.

A state at level k is a^k = s_k a^0 + n_k eps with s_k^2 + n_k^2 = 1: the chunk itself at level 0, almost pure noise at
level N. Divided by s_k + n_k it is a state of the straight path, of the same noise and chunk, at t = s_k / (s_k + n_k):
a velocity there says what the noise is, and the other way round. A level is given by its scales (s_k, n_k), shape
(..., 2). All functions broadcast; steps compile to TorchScript.
"""

from __future__ import annotations

import math

import torch


def cosine_levels(num: int, offset: float = 0.008, max_beta: float = 0.999) -> torch.Tensor:
    """Scales of levels 0 .. N of the cosine schedule (Nichol and Dhariwal, arXiv 2102.09672), shape (N + 1, 2).

    Args:
        num: Number N of levels of noise.
        offset: Keeps the first levels from being too small.
        max_beta: Bound on the share of the variance that a level adds.
    """
    angle = (torch.arange(num + 1, dtype=torch.float64) / num + offset) / (1.0 + offset) * (0.5 * math.pi)
    power = angle.cos().square()
    beta = (1.0 - power[1:] / power[:-1]).clamp(max=max_beta)
    signal = torch.cat([torch.ones(1, dtype=torch.float64), (1.0 - beta).cumprod(dim=0)])
    return torch.stack([signal, 1.0 - signal], dim=-1).sqrt().float()


def level_time(level: torch.Tensor) -> torch.Tensor:
    """Flow time (..., 1) at which the straight path has a level's ratio of chunk to noise."""
    return level[..., :1] / level.sum(dim=-1, keepdim=True)


def ddim_transition(
    x: torch.Tensor, end: torch.Tensor, level: torch.Tensor, following: torch.Tensor, eta: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean (..., D) and deviation (..., 1) of the state at the following level (Song et al., arXiv 2010.02502).

    With eta = 1 and neighbouring levels they are those of the posterior in DDPM (Ho et al., arXiv 2006.11239).

    Args:
        x: States at the level, shape (..., D).
        end: Chunks that they are expected to come from, shape (..., D). The noise is what remains of x.
        level: Scales of the level, shape (..., 2), more than level 0.
        following: Scales of the one that follows, nearer to 0.
        eta: Share of the posterior's deviation; with 0 the step is deterministic.
    """
    signal, noise = level[..., :1], level[..., 1:]
    next_signal, next_noise = following[..., :1], following[..., 1:]
    std = eta * next_noise / noise * (1.0 - (signal / next_signal).square()).sqrt()
    kept = (next_noise.square() - std.square()).clamp(min=0.0).sqrt()
    return next_signal * end + kept * (x - signal * end) / noise, std
