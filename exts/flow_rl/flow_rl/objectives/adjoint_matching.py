# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Adjoint matching (arXiv 2409.08861) on the memoryless SDE: what a velocity must change to tilt where paths end.

QAM (arXiv 2601.14234) tilts a behaviour by exp(eta Q). The gradient at the ends is carried back along paths of the
learnt field through the behaviour's, so that nothing is differentiated through the learnt one; where that loss is
least, v_f - v_b = -sigma^2 E[p | x] / 2.
"""

from __future__ import annotations

import torch

from flow_rl.flows.chain import Field
from flow_rl.flows.memoryless import memoryless_variance


def lean_adjoint(slow: Field, states: torch.Tensor, adjoint: torch.Tensor) -> torch.Tensor:
    """Adjoints p_0 .. p_{K-1} of paths, shape (K, B, D), without gradients.

    p_i = p_{i+1} + h (d/dx [2 v_b(x, t_i + h) - x / (t_i + h)] at x_i)^T p_{i+1}. At the last step t_i + h = 1, where
    v_b(x, 1) = x for every flow from unit noise: its factor is 1 + h, without asking the net at a time it never saw.

    Args:
        slow: Velocity v_b(x, t) of the behaviour.
        states: States x_0 .. x_K of paths, shape (K + 1, B, D).
        adjoint: Adjoints p_K at the ends, the gradient of what is made small there, shape (B, D).
    """
    num_steps = len(states) - 1
    h = 1.0 / num_steps
    adjoints = [(1.0 + h) * adjoint]
    for i in reversed(range(num_steps - 1)):
        p, time = adjoints[-1], (i + 1) * h
        with torch.enable_grad():
            x = states[i].detach().requires_grad_()
            product = (slow(x, torch.full_like(x[:, :1], time)) * p).sum()
        adjoints.append(p + h * (2.0 * torch.autograd.grad(product, x)[0] - p / time))
    return torch.stack(adjoints[::-1])


def adjoint_matching_loss(change: torch.Tensor, adjoint: torch.Tensor) -> torch.Tensor:
    """Loss sum_i |2 / sigma_i (v_f - v_b) + sigma_i p_i|^2 of paths, shape (B,).

    Args:
        change: Differences v_f - v_b at x_0 .. x_{K-1}, shape (K, B, D).
        adjoint: Their adjoints, shape (K, B, D).
    """
    sigma = memoryless_variance(len(change), change.device).sqrt()
    return (2.0 / sigma * change + sigma * adjoint).square().sum(dim=(0, 2))


def path_kl(change: torch.Tensor) -> torch.Tensor:
    """KL divergence of the fast SDE's paths from the slow one's, an estimate of each path (B,).

    Sum over i of 2 h / sigma_i^2 |v_f - v_b|^2. It is at least that of the ends (Girsanov; TRQAM, arXiv 2605.27079).

    Args:
        change: Differences v_f - v_b at states x_0 .. x_{K-1} of the fast SDE, shape (K, B, D).
    """
    weight = 2.0 / (len(change) * memoryless_variance(len(change), change.device))
    return (weight * change.square()).sum(dim=(0, 2))
