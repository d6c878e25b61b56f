# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Where a flow starts."""

from __future__ import annotations

import sys

import torch
from torch import nn

from flow_rl.utils.check import require_choice


class NoisePrior(nn.Module):
    """Initial states x_0: standard normal ones, or zeros, which make the policy deterministic."""

    def __init__(self, action_dim: int, kind: str):
        """Choose the ``random`` or the ``zero`` initial noise of chunks of size H * A."""
        super().__init__()
        require_choice("agent.actor.initial_noise", kind, ("random", "zero"))
        self.action_dim, self.kind = action_dim, kind

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        """Initial states (B, H * A) for latents (B, L)."""
        make = torch.randn if self.kind == "random" and not _leapp_records() else torch.zeros
        return make(latent.shape[0], self.action_dim, device=latent.device)


def _leapp_records() -> bool:
    """Whether `isaaclab leapp export` records a graph, in which nothing must be random."""
    leapp = sys.modules.get("leapp")
    return leapp is not None and leapp.ExportManager.is_interpret_graph_enabled()
