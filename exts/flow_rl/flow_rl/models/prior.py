# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Where a flow starts."""

from __future__ import annotations

import sys

import torch
from torch import nn

from flow_rl.nn import PriorSettings, make_steering
from flow_rl.utils.check import require_choice


class NoisePrior(nn.Module):
    """Initial states x_0: standard normal ones, or zeros, which make the policy deterministic; then steered or not."""

    def __init__(self, action_dim: int, kind: str, latent_dim: int, settings: PriorSettings):
        """Build the prior.

        Args:
            action_dim: Size of the flattened chunk, H * A.
            kind: ``random`` or ``zero`` noise.
            latent_dim: Size L of the latent.
            settings: What the noise goes through.
        """
        super().__init__()
        require_choice("agent.actor.initial_noise", kind, ("random", "zero"))
        self.action_dim, self.kind = action_dim, kind
        self.steering = make_steering(action_dim, latent_dim, settings)

    def forward(self, latent: torch.Tensor, noise: torch.Tensor | None = None) -> torch.Tensor:
        """Initial states (B, H * A) for latents (B, L), made of given standard normal noise or of this kind's."""
        noise = self.noise(latent) if noise is None else noise
        return noise if self.steering is None else self.steering(noise, latent)

    def noise(self, latent: torch.Tensor) -> torch.Tensor:
        """What is given to :meth:`forward` where nothing else is, shape (B, H * A), for latents (B, L)."""
        make = torch.randn if self.kind == "random" and not _leapp_records() else torch.zeros
        return make(latent.shape[0], self.action_dim, device=latent.device)


def _leapp_records() -> bool:
    """Whether `isaaclab leapp export` records a graph, in which nothing must be random."""
    leapp = sys.modules.get("leapp")
    return leapp is not None and leapp.ExportManager.is_interpret_graph_enabled()
