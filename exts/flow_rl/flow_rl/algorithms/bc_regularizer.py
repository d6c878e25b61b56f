# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""A pull towards the policy that fine-tuning began with."""

from __future__ import annotations

import copy

import torch
from tensordict import TensorDict
from torch import nn

from flow_rl.models import FlowPolicy


class BcRegularizer(nn.Module):
    """Mean squared distance between the actions of two policies that start from the same noise (ReinFlow's W2)."""

    def __init__(self, policy: FlowPolicy, coef: float):
        """Keep a frozen copy of the policy.

        Args:
            policy: Where to be pulled to; :meth:`follow` replaces it.
            coef: Weight of the distance.
        """
        super().__init__()
        self.base = copy.deepcopy(policy).requires_grad_(False)
        self.coef = coef

    def follow(self, policy: FlowPolicy) -> None:
        """Be pulled to another policy of the same shape from now on."""
        self.base.follow(policy)

    def forward(self, policy: FlowPolicy, obs: TensorDict) -> torch.Tensor:
        """Weighted distance on a batch of observations."""
        latent = policy.get_latent(obs)
        noise = torch.randn(latent.shape[0], policy.output_dim, device=latent.device)
        with torch.no_grad():
            anchor = self.base.sample(self.base.get_latent(obs), noise)
        return self.coef * (policy.sample(latent, noise) - anchor).square().mean()
