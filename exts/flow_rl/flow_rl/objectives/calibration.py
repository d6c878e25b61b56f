# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""How far a critic can be taken at its word."""

from __future__ import annotations

import torch


def calibration_error(
    predicted: torch.Tensor, realised: torch.Tensor, weight: torch.Tensor | None = None, num_bins: int = 10
) -> torch.Tensor:
    """Mean distance of predicted from realised returns, both averaged within deciles of the prediction.

    Noise of single returns averages out; what remains is what the critic promises and does not keep. In units of the
    returns; 0 is perfect.

    Args:
        predicted: Predictions, shape (N,).
        realised: What came of them, shape (N,).
        weight: How much each counts, shape (N,), at least 0; None for alike.
        num_bins: Number of bins of equal weight.
    """
    weight = torch.ones_like(predicted) if weight is None else weight.to(predicted.dtype)
    order = predicted.argsort()
    error, weight = ((predicted - realised) * weight)[order], weight[order]
    total = weight.sum().clamp(min=1e-12)
    before = weight.cumsum(0) - weight  # so that a bin begins with what fills the one below it
    index = (before / total * num_bins + 1e-4).long().clamp(max=num_bins - 1)
    return predicted.new_zeros(num_bins).scatter_add_(0, index, error).abs().sum() / total
