# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""A learned choice of where a flow starts."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import nn
from torch.nn.functional import softplus

from flow_rl.utils.check import require, require_choice

from .quiet_mlp import quiet_mlp


@dataclass
class PriorSettings:
    """What noise goes through before the flow starts from it."""

    kind: Literal["normal", "steered"] = "normal"
    """Nothing, or a Gaussian of the latent that is learnt while the flow stays as it is."""

    bound: float | None = 1.5
    """Bound b on each coordinate of steered noise; None for no bound.

    The paper's configurations say 1.5 on Robomimic and 1 to 2.5 elsewhere; its code bounds by 1 in the NA version."""

    hidden_dims: list[int] = field(default_factory=lambda: [256, 256])
    """Widths of the network behind the Gaussian."""


class NoiseSteering(nn.Module):
    """w = b tanh(u / b) with u ~ N(mean(latent), std(latent)^2) (DSRL, arXiv 2506.15799), driven by standard noise.

    Zero noise gives b tanh(mean / b). The paper's u is this one over b. A new one has mean 0 and deviation 1: noise
    passes as it is where it is small, and without a bound it is the same. Of longer latents it sees the first L.
    """

    LOG_STD = (-5.0, 2.0)
    """Bounds of the logarithm of the deviation; the paper's code has -20 and 2."""

    def __init__(self, action_dim: int, latent_dim: int, settings: PriorSettings):
        """Build the network.

        Args:
            action_dim: Size D of the flattened chunk, H * A.
            latent_dim: Size L of the latent.
            settings: Bound and widths.
        """
        super().__init__()
        bound = settings.bound
        valid = bound is None or bound > 0
        require(valid, "agent.actor.prior.bound", bound, "> 0 or null", "use 1.5, the default.")
        self.net = quiet_mlp(latent_dim, settings.hidden_dims, 2 * action_dim)
        self.bounded, self.bound = bound is not None, 1.0 if bound is None else float(bound)
        self.log_std_min, self.log_std_max = self.LOG_STD
        self.latent_dim = latent_dim

    def forward(self, noise: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Noise (..., D) that the flow starts from, of standard normal noise (..., D) and latents (..., L)."""
        mean, log_std = self.gaussian(latent)
        return self.squash(mean + log_std.exp() * noise)

    def gaussian(self, latent: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and logarithm of the deviation of u at latents (..., L), shapes (..., D)."""
        mean, log_std = self.net(latent[..., : self.latent_dim]).chunk(2, dim=-1)
        return mean, log_std.clamp(self.log_std_min, self.log_std_max)

    def squash(self, u: torch.Tensor) -> torch.Tensor:
        """Bounded noise w (..., D) of u (..., D)."""
        return self.bound * torch.tanh(u / self.bound) if self.bounded else u

    def draw(self, noise: torch.Tensor, latent: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """As :meth:`forward`, with the log-density of w / b, shape (...), or of w where there is no bound."""
        mean, log_std = self.gaussian(latent)
        u = mean + log_std.exp() * noise
        log_prob = -0.5 * noise.square() - log_std - 0.5 * math.log(2 * math.pi)
        if self.bounded:
            y = u / self.bound
            # log(1 - tanh(y)^2), which stays finite where tanh(y) rounds to 1
            log_prob = log_prob + math.log(self.bound) - 2.0 * (math.log(2.0) - y - softplus(-2.0 * y))
        return self.squash(u), log_prob.sum(dim=-1)


def make_steering(action_dim: int, latent_dim: int, settings: PriorSettings) -> NoiseSteering | None:
    """Network that settings ask for, if they do; arguments are those of :class:`NoiseSteering`."""
    require_choice("agent.actor.prior.kind", settings.kind, ("normal", "steered"))
    return NoiseSteering(action_dim, latent_dim, settings) if settings.kind == "steered" else None
