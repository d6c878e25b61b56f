# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""From observations to the latent that a velocity depends on."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from tensordict import TensorDict
from torch import nn

from flow_rl.nn import CameraEncoder, MinMaxNormalizer, WhiteningNormalizer
from flow_rl.nn.vision import EncoderSettings
from flow_rl.utils.check import require, require_choice


class Observer(nn.Module):
    """Normalises groups of vectors (O), encodes groups of images (C, H, W), and puts both side by side (L)."""

    def __init__(
        self, shapes: dict[str, torch.Size | list[int]], scaling: str, clip: float | None, encoder: EncoderSettings
    ):
        """Build the normaliser and the encoders.

        Args:
            shapes: Shape of each observation group without the batch's dimension.
            scaling: Whether vectors are normalised by their ``range`` or by ``whitening``.
            clip: Bound on normalised vectors; None for no bound.
            encoder: Settings of the cameras' encoders, used where there are images.
        """
        super().__init__()
        require_choice("agent.actor.obs_scaling", scaling, ("range", "whitening"))
        require(clip is None or clip > 0, "agent.actor.obs_clip", clip, "> 0 or null", "use null for no bound.")
        self.group_dims = {group: shape[0] for group, shape in shapes.items() if len(shape) == 1}
        self.image_shapes = {group: list(shape) for group, shape in shapes.items() if len(shape) == 3}
        require(
            len(self.group_dims) > 0 and len(self.group_dims) + len(self.image_shapes) == len(shapes),
            "agent.obs_groups",
            {group: tuple(shape) for group, shape in shapes.items()},
            "groups of vectors (O) and of images (C, H, W), at least one of vectors",
            "give the actor the robot's own state besides its cameras.",
        )
        self.obs_dim = sum(self.group_dims.values())
        self.normalizer = (MinMaxNormalizer if scaling == "range" else WhiteningNormalizer)(self.obs_dim, clip)
        self.encoder = CameraEncoder(self.image_shapes, self.obs_dim, encoder) if self.image_shapes else None
        self.parts = {"state": self.obs_dim}
        """Sizes of the latent's parts by name, in their order."""
        if self.encoder is not None:
            features = self.encoder.output_dim // len(self.image_shapes)
            self.parts |= dict.fromkeys(self.image_shapes, features)

    def adopt(self, scales: Mapping[str, tuple[torch.Tensor, torch.Tensor]]) -> None:
        """Normalise groups of vectors by a centre and a spread (O) that somebody knows, unless they are whitened."""
        if not isinstance(self.normalizer, MinMaxNormalizer):
            return
        sizes = list(self.group_dims.values())
        own = zip(self.normalizer.center.split(sizes), self.normalizer.scale.split(sizes), strict=True)
        for group, (center, scale) in zip(self.group_dims, own, strict=True):
            if group in scales:
                center.copy_(scales[group][0])
                scale.copy_(scales[group][1])

    def forward(self, obs: TensorDict | dict, augment: bool = False) -> torch.Tensor:
        """Latent (..., L) of observations by group, of images shifted at random where `augment` says so."""
        state = self.normalizer(torch.cat([obs[group] for group in self.group_dims], dim=-1))
        if self.encoder is None:
            return state
        return torch.cat([state, self.encoder(obs, state, augment)], dim=-1)
