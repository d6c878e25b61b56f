# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The temperature of maximum-entropy learning."""

from __future__ import annotations

import torch
from torch import nn


class Temperature(nn.Module):
    """Weight alpha of the entropy, learnt so that the entropy becomes a given one (SAC, arXiv 1812.05905, eq. 18).

    What is learnt is log(alpha / initial alpha): decay of weights leads back to the first one, not to 1.
    """

    def __init__(self, initial: float, target_entropy: float, learn: bool = True):
        """Begin with a temperature.

        Args:
            initial: Temperature to begin with, greater than 0 where it is learnt.
            target_entropy: Entropy [nat] that the policy shall have.
            learn: Whether it moves at all.
        """
        super().__init__()
        self.initial, self.target_entropy = initial, target_entropy
        self.log_scale = nn.Parameter(torch.zeros(()), requires_grad=learn)

    def forward(self) -> torch.Tensor:
        """Present temperature, a scalar without gradient."""
        return self.initial * self.log_scale.detach().exp()

    def loss(self, log_prob: torch.Tensor) -> torch.Tensor:
        """Loss alpha (H - H_target) of each row's log-likelihood (B,), H = -log pi: it falls where H is too high."""
        return self.initial * self.log_scale.exp() * (-log_prob.detach() - self.target_entropy)
