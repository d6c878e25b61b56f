# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The exploration noise of a flow's transitions."""

from __future__ import annotations

import math

import torch
from torch import nn


class NoisePredictor(nn.Module):
    """Standard deviation sigma(t, observation) of each chunk coordinate, bounded in log-variance (ReinFlow 1.1).

    log sigma^2 = log sigma_min^2 + (log sigma_max^2 - log sigma_min^2) (1 + tanh g) / 2, with a Tanh network g.
    """

    def __init__(
        self, action_dim: int, condition_dim: int, time_dim: int, hidden_dims: list[int] | tuple[int, ...] = (64, 64)
    ):
        """Build the network.

        Args:
            action_dim: Size of the flattened chunk, H * A.
            condition_dim: Size O of the normalised observation.
            time_dim: Number of time features.
            hidden_dims: Widths of the hidden layers.
        """
        super().__init__()
        dims = [time_dim + condition_dim, *hidden_dims]
        layers = []
        for a, b in zip(dims[:-1], dims[1:], strict=True):
            layers += [nn.Linear(a, b), nn.Tanh()]
        self.net = nn.Sequential(*layers, nn.Linear(dims[-1], action_dim))

    def forward(
        self, time_features: torch.Tensor, condition: torch.Tensor, std_min: float, std_max: float
    ) -> torch.Tensor:
        """Standard deviations (..., H * A) from time features (..., K or 1, F) and conditions that broadcast.

        Args:
            time_features: The velocity net's features of the time; gradients stop here.
            condition: Normalised observation.
            std_min: Least standard deviation.
            std_max: Greatest standard deviation; a schedule may lower it.
        """
        lead = torch.broadcast_shapes(time_features.shape[:-1], condition.shape[:-1])
        time_features = time_features.detach().expand(*lead, -1)
        g = self.net(torch.cat([time_features, condition.expand(*lead, -1)], dim=-1))
        return torch.exp(math.log(std_min) + math.log(std_max / std_min) * 0.5 * (1.0 + g.tanh()))
