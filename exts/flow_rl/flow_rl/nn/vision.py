# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Encoders of camera images, and their augmentation.

Images are channel-first, (B, C, H, W). Whole numbers are bytes, 0 to 255, and become floats here and nowhere before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import nn

from flow_rl.utils.check import require, require_choice

from .transformer import TransformerBlock


@dataclass
class EncoderSettings:
    """Settings of the cameras' encoders; each kind reads those that it knows."""

    kind: Literal["vit", "cnn"] = "vit"
    """Small vision transformer, or residual convolutional network."""

    output_dim: int = 128
    """Features of each camera."""

    shift: int = 4
    """Pixels by which pretraining shifts images at random; 0 for none."""

    patch: int = 8
    """Edge of the transformer's patches in pixels; it must divide the images' size."""

    width: int = 128
    """Width of the transformer."""

    depth: int = 1
    """Blocks of the transformer."""

    num_heads: int = 4
    """Heads of the transformer's attention."""

    channels: list[int] = field(default_factory=lambda: [32, 64, 64])
    """Channels of the convolutional stages, each of which halves the image."""


def unit_images(images: torch.Tensor) -> torch.Tensor:
    """Floats in [-0.5, 0.5] from bytes; floats are taken to be scaled already."""
    return images if images.is_floating_point() else images.float() / 255.0 - 0.5


def random_shift(images: torch.Tensor, padding: int) -> torch.Tensor:
    """Shift each image (B, C, H, W) by its own whole number of pixels, up to `padding` (DrQ-v2, arXiv 2107.09645).

    What moves in from outside repeats the border. The type of the images does not matter.
    """

    def source(size: int) -> torch.Tensor:
        """Index of the pixel that each pixel along an axis shows, shape (B, size)."""
        shift = torch.randint(-padding, padding + 1, (len(images), 1), device=images.device)
        return (torch.arange(size, device=images.device) + shift).clamp(0, size - 1)

    rows, columns = source(images.shape[-2])[:, :, None], source(images.shape[-1])[:, None, :]
    batch = torch.arange(len(images), device=images.device)[:, None, None]
    return images.movedim(1, -1)[batch, rows, columns].movedim(-1, 1)


class SpatialEmbedding(nn.Module):
    """Reads each channel's map of places together with what the robot feels (IBRL, arXiv 2311.02198).

    y = sum_d w_d * relu(norm(W [channel d at all places, state])): unlike a mean it keeps where something is.
    """

    def __init__(self, num_places: int, width: int, state_dim: int, output_dim: int):
        super().__init__()
        self.project = nn.Sequential(nn.Linear(num_places + state_dim, output_dim), nn.LayerNorm(output_dim), nn.ReLU())
        # Features as large as the states beside them: eight times larger they hide them, and hardly learn.
        self.weight = nn.Parameter(torch.randn(1, width, output_dim) / math.sqrt(width))

    def forward(self, features: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        """Map features (B, P, D) and states (B, S) to (B, output_dim)."""
        channels = features.transpose(1, 2)  # (B, D, P)
        state = state.unsqueeze(1).expand(-1, channels.shape[1], -1)
        return (self.weight * self.project(torch.cat([channels, state], dim=-1))).sum(dim=1)


class VitEncoder(nn.Module):
    """Small vision transformer with a spatial embedding, as ScoRe-Flow, RLDT and DPPO use it for pixels."""

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        state_dim: int,
        output_dim: int = 128,
        patch: int = 8,
        width: int = 128,
        depth: int = 1,
        num_heads: int = 4,
    ):
        """Build the encoder.

        Args:
            image_shape: Channels, height and width of an image.
            state_dim: Size S of the state that the spatial embedding sees.
            output_dim: Number of features.
            patch: Edge of a patch in pixels.
            width: Width of the transformer.
            depth: Number of its blocks.
            num_heads: Heads of its attention.
        """
        super().__init__()
        channels, *size = image_shape
        name = "agent.actor.encoder."
        require(
            patch > 0 and all(edge > 0 and edge % patch == 0 for edge in size),
            name + "patch",
            patch,
            f"a divisor of the image's size {size[0]} x {size[1]}",
            "choose another patch, or images of another size with env.image_size when demonstrations are collected.",
        )
        require(width % num_heads == 0, name + "num_heads", num_heads, f"a divisor of width {width}", "use 4 and 128.")
        num_patches = (size[0] // patch) * (size[1] // patch)
        self.patches = nn.Conv2d(channels, width, patch, stride=patch)
        self.position = nn.Parameter(0.02 * torch.randn(1, num_patches, width))
        self.blocks = nn.ModuleList(TransformerBlock(width, num_heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.embedding = SpatialEmbedding(num_patches, width, state_dim, output_dim)

    def forward(self, images: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        """Features (B, output_dim) of images (B, C, H, W) and states (B, S)."""
        x = self.patches(unit_images(images)).flatten(2).transpose(1, 2) + self.position  # (B, P, width)
        for block in self.blocks:
            x = block(x)
        return self.embedding(self.norm(x), state)


class ResidualBlock(nn.Module):
    """x + conv(relu(norm(conv(relu(norm(x))))))."""

    def __init__(self, channels: int):
        super().__init__()
        layers = []
        for _ in range(2):
            # normalises each image by itself, so that batches may be split
            norm = nn.GroupNorm(math.gcd(8, channels), channels)
            layers += [norm, nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to the same shape."""
        return x + self.layers(x)


class CnnEncoder(nn.Module):
    """Residual convolutional network (after IMPALA's, arXiv 1802.01561) with the same spatial embedding."""

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        state_dim: int,
        output_dim: int = 128,
        channels: tuple[int, ...] | list[int] = (32, 64, 64),
    ):
        """Build the encoder.

        Args:
            image_shape: Channels, height and width of an image.
            state_dim: Size S of the state that the spatial embedding sees.
            output_dim: Number of features.
            channels: Channels of the stages, each of which halves the image.
        """
        super().__init__()
        depth, *size = image_shape
        require(
            len(channels) > 0 and min(size) >= 2 ** len(channels),
            "agent.actor.encoder.channels",
            channels,
            f"1 to {max(min(size), 1).bit_length() - 1} stages for images of {size[0]} x {size[1]}",
            "use [32, 64, 64], or larger images.",
        )
        stages = []
        for width in channels:
            stages += [nn.Conv2d(depth, width, 3, stride=2, padding=1), ResidualBlock(width)]
            depth, size = width, [(edge + 1) // 2 for edge in size]
        self.stages = nn.Sequential(*stages, nn.ReLU())
        self.embedding = SpatialEmbedding(size[0] * size[1], depth, state_dim, output_dim)

    def forward(self, images: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        """Features (B, output_dim) of images (B, C, H, W) and states (B, S)."""
        features = self.stages(unit_images(images)).flatten(2).transpose(1, 2)  # (B, P, C)
        return self.embedding(features, state)


class CameraEncoder(nn.Module):
    """One encoder for each camera, and their features side by side."""

    def __init__(self, image_shapes: Mapping[str, tuple[int, int, int]], state_dim: int, settings: EncoderSettings):
        """Build the encoders.

        Args:
            image_shapes: Channels, height and width for each camera.
            state_dim: Size S of the state.
            settings: What the encoders are like, all alike.
        """
        super().__init__()
        require_choice("agent.actor.encoder.kind", settings.kind, ("vit", "cnn"))
        require(settings.shift >= 0, "agent.actor.encoder.shift", settings.shift, "an integer >= 0", "use 4.")

        def build(shape: tuple[int, int, int]) -> nn.Module:
            if settings.kind == "cnn":
                return CnnEncoder(shape, state_dim, settings.output_dim, settings.channels)
            vit = settings.patch, settings.width, settings.depth, settings.num_heads
            return VitEncoder(shape, state_dim, settings.output_dim, *vit)

        self.encoders = nn.ModuleDict({name: build(tuple(shape)) for name, shape in image_shapes.items()})
        self.shift = settings.shift
        self.output_dim = settings.output_dim * len(image_shapes)

    def forward(self, images: Mapping[str, torch.Tensor], state: torch.Tensor, augment: bool = False) -> torch.Tensor:
        """Features (..., output_dim) of each camera's images (..., C, H, W) and states (..., S)."""
        lead = state.shape[:-1]
        state = state.flatten(0, -2)
        features = []
        for name, encoder in self.encoders.items():
            batch = images[name].flatten(0, len(lead) - 1)  # (B, C, H, W)
            features.append(encoder(random_shift(batch, self.shift) if augment else batch, state))
        return torch.cat(features, dim=-1).unflatten(0, lead)
