# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The velocity field of a flow policy."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from flow_rl.flows import gaussian_velocity, noise_to_velocity, target_to_velocity

from .time_embedding import TimeEmbedding


class VelocityField(nn.Module):
    """Velocity v(x, t | latent) from what a backbone makes of state, time features and latent.

    What the backbone answers with is turned into a velocity here: with x-prediction the action x_1 at the end of the
    line, with eps-prediction the noise x_0 at its beginning, with residual prediction, in its own unit, what the
    velocity of independent normal actions lacks.
    """

    def __init__(
        self,
        time_embedding: TimeEmbedding,
        backbone: nn.Module,
        action_dim: int,
        prediction: Literal["v", "x", "residual", "eps"] = "v",
    ):
        """Build the field.

        Args:
            time_embedding: Features of the flow time.
            backbone: A network as :mod:`flow_rl.nn.backbones` describes them.
            action_dim: Size of the flattened chunk, H * A.
            prediction: What the backbone predicts: the velocity, x_1, the residual, or x_0.
        """
        super().__init__()
        self.time_embedding = time_embedding
        self.backbone = backbone
        self.prediction = prediction
        kept = prediction == "residual"
        self.register_buffer("action_mean", torch.zeros(action_dim), persistent=kept)
        self.register_buffer("action_std", torch.ones(action_dim), persistent=kept)

    def fit(self, actions: torch.Tensor, min_std: float = 1e-3) -> None:
        """Take over mean and deviation of normalised chunks (N, H * A), which residual prediction starts from."""
        self.action_mean.copy_(actions.mean(dim=0))
        self.action_std.copy_(actions.std(dim=0, correction=0).clamp(min=min_std))

    def forward(self, x: torch.Tensor, t: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Velocity of shape (..., H * A); times (..., 1) and latents (..., L) broadcast to the states."""
        time = self.time_embedding(t)
        lead = list(x.shape[:-1])
        time = time.expand(lead + [time.shape[-1]])
        latent = latent.expand(lead + [latent.shape[-1]])
        if self.prediction == "residual":
            base, scale, state = gaussian_velocity(x, t, self.action_mean, self.action_std)
            return base + scale * self.backbone(state, time, latent)
        out = self.backbone(x, time, latent)
        if self.prediction == "x":
            return target_to_velocity(out, x, t)
        if self.prediction == "eps":
            # a high level of noise has times below 1e-3, at which the noise must remain what was predicted
            return noise_to_velocity(out, x, t, min_time=1e-6)
        return out
