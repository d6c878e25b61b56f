# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Features of the flow time."""

from __future__ import annotations

import math

import torch
from torch import nn


class TimeEmbedding(nn.Module):
    """Sines and cosines of the flow time at geometric frequencies, mixed by a small network."""

    def __init__(self, dim: int, min_period: float = 0.1, max_period: float = 4.0):
        """Build the embedding.

        Args:
            dim: Number of features, even.
            min_period: Shortest period, in units of flow time.
            max_period: Longest period, in units of flow time.
        """
        super().__init__()
        periods = torch.logspace(math.log10(max_period), math.log10(min_period), dim // 2)
        self.register_buffer("frequencies", 2.0 * math.pi / periods, persistent=False)
        self.mix = nn.Sequential(nn.Linear(dim, 2 * dim), nn.Mish(), nn.Linear(2 * dim, dim))

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        """Map times (..., 1) to features (..., dim)."""
        angles = t * self.frequencies
        return self.mix(torch.cat([angles.sin(), angles.cos()], dim=-1))
