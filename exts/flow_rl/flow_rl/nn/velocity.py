# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The velocity field of a flow policy."""

from __future__ import annotations

import torch
from torch import nn

from flow_rl.flows import target_to_velocity

from .residual_mlp import ResidualMLP
from .time_embedding import TimeEmbedding


class VelocityNet(nn.Module):
    """Velocity v(x, t | observation) as a residual network of state, time features and observation.

    With x-prediction the network answers with the action x_1 at the end of the line, turned into a velocity here.
    """

    def __init__(
        self,
        action_dim: int,
        condition_dim: int,
        hidden_dims: list[int] | tuple[int, ...],
        activation: str,
        time_embedding_dim: int,
        predicts_target: bool = False,
    ):
        """Build the network.

        Args:
            action_dim: Size of the flattened chunk, H * A.
            condition_dim: Size O of the normalised observation.
            hidden_dims: Widths of the hidden layers.
            activation: Name of the activation function, as in rsl_rl.
            time_embedding_dim: Number of time features.
            predicts_target: Whether the network predicts x_1 instead of the velocity.
        """
        super().__init__()
        self.time_embedding = TimeEmbedding(time_embedding_dim)
        self.mlp = ResidualMLP(action_dim + time_embedding_dim + condition_dim, action_dim, hidden_dims, activation)
        self.predicts_target = predicts_target

    def forward(self, x: torch.Tensor, t: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """Velocity of shape (..., H * A); times (..., 1) and conditions (..., O) broadcast to the states."""
        time = self.time_embedding(t)
        lead = list(x.shape[:-1])
        time = time.expand(lead + [time.shape[-1]])
        condition = condition.expand(lead + [condition.shape[-1]])
        out = self.mlp(torch.cat([x, time, condition], dim=-1))
        if self.predicts_target:
            return target_to_velocity(out, x, t)
        return out
