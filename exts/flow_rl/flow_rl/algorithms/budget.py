# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""A weight that holds a loss within a budget."""

from __future__ import annotations

import torch
from torch import nn


class Budget(nn.Module):
    """Weight of a penalty, raised while the penalty exceeds its budget and lowered while it does not.

    Dual ascent on the logarithm of the weight, as TRQAM holds the path-space KL to the pretrained policy
    (arXiv 2605.27079); unless told otherwise not below the first weight, from which it would need long to come back.
    It is a tensor, so that nothing waits for the device, and travels with checkpoints.
    """

    def __init__(self, weight: float, budget: float, rate: float = 0.1, span: float = 1e3, room: float = 1.0):
        """Build it.

        Args:
            weight: Weight to begin with.
            budget: What the penalty may be.
            rate: Change of the logarithm in a step, where the penalty is twice the budget or more.
            span: Factor above the first weight at which it stops.
            room: Factor below the first weight at which it stops.
        """
        super().__init__()
        self.budget, self.rate, self.bounds = budget, rate, (weight / room, weight * span)
        self.register_buffer("weight", torch.tensor(weight))

    @torch.no_grad()
    def update(self, penalty: torch.Tensor) -> None:
        """Move the weight by what the penalty (a scalar) was."""
        excess = (penalty / self.budget - 1.0).clamp(max=1.0)
        self.weight.mul_(torch.exp(self.rate * excess)).clamp_(*self.bounds)
