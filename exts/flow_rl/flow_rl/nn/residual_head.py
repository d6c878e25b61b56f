# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""A small correction of a policy's chunk."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import nn

from flow_rl.utils.check import require, require_choice

from .quiet_mlp import quiet_mlp


@dataclass
class HeadSettings:
    """What follows the flow."""

    kind: Literal["none", "residual"] = "none"
    """Nothing, or a correction that is learnt while the flow may stay as it is."""

    scale: float = 0.1
    """Bound on each coordinate of the correction, in half ranges of the demonstrated actions."""

    hidden_dims: list[int] = field(default_factory=lambda: [256, 256])
    """Widths of the correction's network."""


class ResidualHead(nn.Module):
    """Adds scale * tanh(net(latent, chunk)) to a chunk; a new one adds nothing (ResiP, arXiv 2407.16677).

    Of longer latents it sees the first L coordinates.
    """

    def __init__(self, action_dim: int, latent_dim: int, settings: HeadSettings):
        """Build the head.

        Args:
            action_dim: Size of the flattened chunk, H * A.
            latent_dim: Size L of the latent.
            settings: Scale and widths.
        """
        super().__init__()
        name = "agent.actor.head."
        require_choice(name + "kind", settings.kind, ("none", "residual"))
        require(0 < settings.scale <= 1, name + "scale", settings.scale, "in (0, 1]", "use 0.1, the default.")
        self.net = quiet_mlp(action_dim + latent_dim, settings.hidden_dims, action_dim)
        self.scale, self.latent_dim = float(settings.scale), latent_dim

    def forward(self, chunk: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Corrected chunks (..., H * A) within [-1, 1], of chunks and latents (..., L)."""
        return (chunk + self.scale * self.correction(chunk, latent)).clamp(-1.0, 1.0)

    def correction(self, chunk: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Corrections (..., H * A) of chunks in units of the scale, within [-1, 1]."""
        return self.net(torch.cat([latent[..., : self.latent_dim], chunk], dim=-1)).tanh()
