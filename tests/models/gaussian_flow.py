# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""A flow that is known in closed form: to chunks whose actions vary slowly."""

import torch
from torch import nn

from flow_rl.models import FlowPolicy


class GaussianVelocity(nn.Module):
    """Velocity to a normal distribution of mean zero; the end of the straight line is linear in the state."""

    prediction = "v"

    def __init__(self, covariance: torch.Tensor):
        super().__init__()
        self.covariance = covariance

    def gain(self, t: float) -> torch.Tensor:
        """Matrix (D, D) that makes E[x_1 | x_t] of x_t."""
        spread = t**2 * self.covariance + (1 - t) ** 2 * torch.eye(len(self.covariance))
        return t * self.covariance @ torch.linalg.inv(spread)

    def forward(self, x: torch.Tensor, t: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        return (x @ self.gain(float(t[0])).T - x) / (1 - t)


def smooth_policy(horizon: int = 8, action_dim: int = 2, num_steps: int = 8, std: float = 0.25) -> FlowPolicy:
    """A policy whose chunks are smooth, and different for each noise."""
    settings = {"obs_groups": {"policy": 2}, "action_dim": action_dim, "horizon": horizon, "hidden_dims": [8]}
    policy = FlowPolicy.from_settings(settings | {"num_flow_steps": num_steps, "intermediate_clip": None}).eval()
    step = torch.arange(float(horizon))
    rows = torch.exp(-0.5 * ((step[:, None] - step) / 3).square()) + 1e-4 * torch.eye(horizon)
    policy.sampler.velocity = GaussianVelocity(std**2 * torch.kron(rows, torch.eye(action_dim)))
    return policy
