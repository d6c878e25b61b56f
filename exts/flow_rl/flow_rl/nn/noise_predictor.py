# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The exploration noise of a flow's transitions."""

from __future__ import annotations

import torch
from torch import nn


class NoisePredictor(nn.Module):
    """Standard deviation sigma(t, observation) of each chunk coordinate, bounded in log-variance (ReinFlow 1.1).

    log sigma^2 = log sigma_min^2 + (log sigma_max^2 - log sigma_min^2) (1 + tanh g) / 2, with a Tanh network g.
    """

    def __init__(
        self,
        action_dim: int,
        condition_dim: int,
        time_dim: int,
        bounds: tuple[float, float],
        hidden_dims: list[int] | tuple[int, ...] = (64, 64),
    ):
        """Build the network.

        Args:
            action_dim: Size of the flattened chunk, H * A.
            condition_dim: Size O of the normalised observation.
            time_dim: Number of time features.
            bounds: Least and greatest standard deviation.
            hidden_dims: Widths of the hidden layers.
        """
        super().__init__()
        dims = [time_dim + condition_dim, *hidden_dims]
        layers = []
        for a, b in zip(dims[:-1], dims[1:], strict=True):
            layers += [nn.Linear(a, b), nn.Tanh()]
        self.net = nn.Sequential(*layers, nn.Linear(dims[-1], action_dim))
        self.register_buffer("bounds", torch.tensor(bounds))

    def set_bounds(self, low: float, high: float) -> None:
        """Bound standard deviations from now on, as a schedule may do again and again.

        The bounds belong to the state: noise is what it was wherever a checkpoint is sampled.
        """
        self.bounds[0].fill_(low)
        self.bounds[1].fill_(high)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args) -> None:
        """Keep the present bounds where a state from before they belonged to it has none."""
        state_dict.setdefault(prefix + "bounds", self.bounds)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(self, time_features: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """Standard deviations (..., H * A) from time features (..., K or 1, F) and conditions that broadcast.

        Args:
            time_features: The velocity net's features of the time; gradients stop here.
            condition: Normalised observation.
        """
        lead = torch.broadcast_shapes(time_features.shape[:-1], condition.shape[:-1])
        time_features = time_features.detach().expand(*lead, -1)
        g = self.net(torch.cat([time_features, condition.expand(*lead, -1)], dim=-1))
        low, high = self.bounds.log()
        return torch.exp(low + (high - low) * 0.5 * (1.0 + g.tanh()))
