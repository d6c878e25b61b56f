# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The stochastic chain x_0 .. x_K behind one action, and its likelihood.

ReinFlow (arXiv 2505.22094) and ScoRe-Flow (arXiv 2604.10962) turn K Euler steps into K Gaussian transitions,

    mu_i = clip(x_i + drift(x_i, t_i) / K),    x_{i+1} ~ N(mu_i, sigma_i^2),    t_i = i / K,

so that the likelihood of an action is that of the chain that led to it: of x_0 ~ N(0, I) and of the K transitions.
These K + 1 likelihoods are given one by one, each averaged over its D coordinates. Learners reduce them: the mean over
the chain is ScoRe-Flow's and ReinFlow's, DPPO (arXiv 2409.00588) holds each in a trust region of its own, and D times
their sum is the log-density of the path.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from .times import time_grid

Field = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Drift or standard deviation as a function of states (..., D) and times (..., 1)."""


@dataclass
class ChainBounds:
    """Where a chain is clipped.

    Likelihoods are those of the clipped states under the unclipped Gaussians, which is biased, but alike on both sides
    of a ratio.
    """

    mean: float = 1.0
    """Bound on each coordinate of a transition's mean."""
    deviations: float = 3.0
    """Bound on a sample's distance from its mean, in standard deviations."""
    action: float = 1.0
    """Bound on each coordinate of the last state: the action box."""
    returning: bool = False
    """Whether gradients of means beyond the bound pass where they lead back, as in :func:`clamp_returning`."""


@dataclass
class FlowChain:
    """What is kept of a sampled chain."""

    states: torch.Tensor
    """States x_0 .. x_K, shape (B, K + 1, D)."""
    log_prob: torch.Tensor
    """Log-likelihoods of x_0 and of the K transitions, averages over D coordinates, shape (B, K + 1)."""

    @property
    def action(self) -> torch.Tensor:
        """The last state x_K, shape (B, D)."""
        return self.states[:, -1]


@dataclass
class ChainLikelihood:
    """What the present networks say about stored chains."""

    log_prob: torch.Tensor
    """Log-likelihoods of x_0 and of the K transitions, averages over D coordinates, shape (B, K + 1)."""
    entropy: torch.Tensor
    """Entropies of these Gaussians, averaged likewise, shape (B, K + 1)."""
    std: torch.Tensor
    """Standard deviations of the transitions, shape (B, K, D)."""


def sample_chain(
    drift: Field, std: Field, noise: torch.Tensor, num_steps: int, bounds: ChainBounds | None = None
) -> FlowChain:
    """Chain of K Gaussian transitions from the given noise.

    Args:
        drift: Velocity plus whatever the learner adds to it.
        std: Standard deviation of each coordinate.
        noise: Initial state x_0, shape (B, D).
        num_steps: Number of transitions K.
        bounds: Where the chain is clipped.
    """
    bounds = bounds or ChainBounds()
    states, means, stds = [noise], [], []
    for i in range(num_steps):
        x = states[-1]
        t = torch.full_like(x[:, :1], i / num_steps)
        mean, sigma = _mean(drift, x, t, num_steps, bounds), std(x, t)
        x = mean + sigma * torch.randn_like(x).clamp(-bounds.deviations, bounds.deviations)
        states.append(x if i < num_steps - 1 else x.clamp(-bounds.action, bounds.action))
        means.append(mean)
        stds.append(sigma)
    states = torch.stack(states, dim=1)
    return FlowChain(states, _log_prob(states, torch.stack(means, dim=1), torch.stack(stds, dim=1)))


def score_chain(drift: Field, std: Field, states: torch.Tensor, bounds: ChainBounds | None = None) -> ChainLikelihood:
    """Likelihood of stored chains, all transitions at once and with gradients.

    Args:
        drift: As in :func:`sample_chain`, called with states (B, K, D) and times (K, 1).
        std: As in :func:`sample_chain`.
        states: Stored chains, shape (B, K + 1, D).
        bounds: Where the chains were clipped.
    """
    num_steps = states.shape[1] - 1
    x, t = states[:, :-1], time_grid(num_steps, states.device)
    mean, sigma = _mean(drift, x, t, num_steps, bounds or ChainBounds()), std(x, t).expand_as(x)
    return ChainLikelihood(_log_prob(states, mean, sigma), _entropy(sigma), sigma)


def clamp_returning(x: torch.Tensor, bound: float) -> torch.Tensor:
    """Clamp x to [-bound, bound], with gradients beyond it where descent along them leads back inside.

    Without them, a policy that has overshot the bound everywhere stays there for ever; with gradients in both
    directions it would wander off (compare the inverted gradients of Hausknecht and Stone, arXiv 1511.04143).
    """
    return _ClampReturning.apply(x, bound)


def _mean(drift: Field, x: torch.Tensor, t: torch.Tensor, num_steps: int, bounds: ChainBounds) -> torch.Tensor:
    mean = x + drift(x, t) / num_steps
    return clamp_returning(mean, bounds.mean) if bounds.returning else mean.clamp(-bounds.mean, bounds.mean)


class _ClampReturning(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: torch.Tensor, bound: float) -> torch.Tensor:
        ctx.save_for_backward(x)
        ctx.bound = bound
        return x.clamp(-bound, bound)

    @staticmethod
    def backward(ctx, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        (x,) = ctx.saved_tensors
        outward = ((x > ctx.bound) & (grad < 0)) | ((x < -ctx.bound) & (grad > 0))
        return grad.masked_fill(outward, 0.0), None


def _log_prob(states: torch.Tensor, means: torch.Tensor, stds: torch.Tensor) -> torch.Tensor:
    """Log N(x_0; 0, I) and log N(x_{i+1}; mu_i, sigma_i^2), averages over D, shape (B, K + 1)."""
    start = -0.5 * states[:, :1].square() - 0.5 * math.log(2 * math.pi)
    steps = -0.5 * ((states[:, 1:] - means) / stds).square() - stds.log() - 0.5 * math.log(2 * math.pi)
    return torch.cat([start, steps], dim=1).mean(dim=-1)


def _entropy(stds: torch.Tensor) -> torch.Tensor:
    """Entropies of N(0, I) and of the K transitions, averages over D, shape (B, K + 1)."""
    scale = torch.cat([torch.zeros_like(stds[:, :1]), stds.log()], dim=1)
    return 0.5 * math.log(2 * math.pi * math.e) + scale.mean(dim=-1)
