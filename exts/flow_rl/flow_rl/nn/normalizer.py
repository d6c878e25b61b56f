# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Affine normalisation to the range of a data set."""

from __future__ import annotations

import torch
from torch import nn


class MinMaxNormalizer(nn.Module):
    """Maps the range [low, high] of each column to [-1, 1]; it begins as the identity.

    Columns that are constant in the data are only centred: dividing by their range would blow up the first deviation.
    """

    def __init__(self, dim: int, clip: float | None = None):
        """Build the identity.

        Args:
            dim: Number of columns.
            clip: Bound on normalised values; None leaves them free.
        """
        super().__init__()
        self.register_buffer("center", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim))
        self.clip = float("inf") if clip is None else clip

    def fit(self, low: torch.Tensor, high: torch.Tensor, min_range: float = 1e-4) -> None:
        """Take over the range of a data set, each of shape (dim,)."""
        half = (high - low) / 2
        self.center.copy_((low + high) / 2)
        self.scale.copy_(torch.where(half * 2 < min_range, torch.ones_like(half), half))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise values of shape (..., dim)."""
        return ((x - self.center) / self.scale).clamp(-self.clip, self.clip)

    def inverse(self, y: torch.Tensor) -> torch.Tensor:
        """Take normalised values (..., dim) back to the data's range."""
        return y * self.scale + self.center
