# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The velocity field of a flow policy."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from flow_rl.flows import gaussian_velocity, target_to_velocity

from .residual_mlp import ResidualMLP
from .time_embedding import TimeEmbedding


class VelocityNet(nn.Module):
    """Velocity v(x, t | observation) as a residual network of state, time features and observation.

    What the network answers with is turned into a velocity here: with x-prediction the action x_1 at the end of the
    line, with residual prediction, in its own unit, what the velocity of independent normal actions lacks.
    """

    def __init__(
        self,
        action_dim: int,
        condition_dim: int,
        hidden_dims: list[int] | tuple[int, ...],
        activation: str,
        time_embedding_dim: int,
        prediction: Literal["v", "x", "residual"] = "v",
    ):
        """Build the network.

        Args:
            action_dim: Size of the flattened chunk, H * A.
            condition_dim: Size O of the normalised observation.
            hidden_dims: Widths of the hidden layers.
            activation: Name of the activation function, as in rsl_rl.
            time_embedding_dim: Number of time features.
            prediction: What the network predicts: the velocity, x_1, or the residual.
        """
        super().__init__()
        self.time_embedding = TimeEmbedding(time_embedding_dim)
        self.mlp = ResidualMLP(action_dim + time_embedding_dim + condition_dim, action_dim, hidden_dims, activation)
        self.prediction = prediction
        kept = prediction == "residual"
        self.register_buffer("action_mean", torch.zeros(action_dim), persistent=kept)
        self.register_buffer("action_std", torch.ones(action_dim), persistent=kept)

    def fit(self, actions: torch.Tensor, min_std: float = 1e-3) -> None:
        """Take over mean and deviation of normalised chunks (N, H * A), which residual prediction starts from."""
        self.action_mean.copy_(actions.mean(dim=0))
        self.action_std.copy_(actions.std(dim=0, correction=0).clamp(min=min_std))

    def forward(self, x: torch.Tensor, t: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """Velocity of shape (..., H * A); times (..., 1) and conditions (..., O) broadcast to the states."""
        time = self.time_embedding(t)
        lead = list(x.shape[:-1])
        time = time.expand(lead + [time.shape[-1]])
        condition = condition.expand(lead + [condition.shape[-1]])
        if self.prediction == "residual":
            base, scale, state = gaussian_velocity(x, t, self.action_mean, self.action_std)
            return base + scale * self.mlp(torch.cat([state, time, condition], dim=-1))
        out = self.mlp(torch.cat([x, time, condition], dim=-1))
        if self.prediction == "x":
            return target_to_velocity(out, x, t)
        return out
