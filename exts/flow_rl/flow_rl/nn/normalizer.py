# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Affine normalisation to the range or to the covariance of a data set."""

from __future__ import annotations

import torch
from torch import nn


class _Normalizer(nn.Module):
    """What the normalisers share: a centre and a bound."""

    def __init__(self, dim: int, clip: float | None = None):
        """Build the identity.

        Args:
            dim: Number of columns.
            clip: Bound on normalised values; None leaves them free.
        """
        super().__init__()
        self.register_buffer("center", torch.zeros(dim))
        self.clip = float("inf") if clip is None else clip


class MinMaxNormalizer(_Normalizer):
    """Maps the range [low, high] of each column to [-1, 1]; it begins as the identity.

    Columns that are constant in the data are only centred: dividing by their range would blow up the first deviation.
    """

    def __init__(self, dim: int, clip: float | None = None):
        super().__init__(dim, clip)
        self.register_buffer("scale", torch.ones(dim))

    def spread(self) -> torch.Tensor:
        """Half of each column's range, shape (dim)."""
        return self.scale

    def fit(self, data: torch.Tensor, min_range: float = 1e-4) -> None:
        """Take over the range of a data set, shape (N, dim)."""
        low, high = data.amin(dim=0), data.amax(dim=0)
        half = (high - low) / 2
        self.center.copy_((low + high) / 2)
        self.scale.copy_(torch.where(half * 2 < min_range, torch.ones_like(half), half))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise values of shape (..., dim)."""
        return ((x - self.center) / self.scale).clamp(-self.clip, self.clip)

    def inverse(self, y: torch.Tensor) -> torch.Tensor:
        """Take normalised values (..., dim) back to the data's range."""
        return y * self.scale + self.center


class WhiteningNormalizer(_Normalizer):
    """Maps the principal directions of a data set to unit variance; it begins as the identity.

    The few millimetres between a peg and its hole are small differences of large numbers. Here such a difference is a
    direction of its own and as large as the others.
    """

    def __init__(self, dim: int, clip: float | None = None):
        super().__init__(dim, clip)
        self.register_buffer("matrix", torch.eye(dim))

    def spread(self) -> torch.Tensor:
        """Standard deviation of each column, shape (dim)."""
        # the inverse of the matrix holds the directions times their deviations
        return torch.linalg.inv(self.matrix.double()).norm(dim=0).float()

    def fit(self, data: torch.Tensor, min_std: float = 3e-3) -> None:
        """Take over mean and covariance of a data set, shape (N, dim).

        Directions that hardly vary, less than `min_std` with columns scaled to [-1, 1], stay small.
        """
        ranges = MinMaxNormalizer(data.shape[1])
        ranges.fit(data)
        variances, directions = torch.linalg.eigh(torch.cov(ranges(data).T.double(), correction=0))
        gains = (variances.clamp(min=0.0) + min_std**2).rsqrt()
        self.center.copy_(data.mean(dim=0))
        self.matrix.copy_(directions * gains / ranges.scale.double().unsqueeze(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise values of shape (..., dim)."""
        # in double: gains of thousands would make errors of tenths out of the ten bits that TF32 leaves
        product = (x - self.center).double() @ self.matrix.double()
        return product.to(x.dtype).clamp(-self.clip, self.clip)
