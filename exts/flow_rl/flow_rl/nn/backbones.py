# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Networks behind a velocity field.

A backbone maps a flattened chunk, features of the flow time and a latent to a flattened chunk. It is built as
``Backbone(chunk, time_dim, latent, **settings)`` with the chunk's shape (H, A), the number of time features and the
sizes of the latent's parts by name, and gets those settings that its constructor names. It must compile to TorchScript.
Another package adds one as an entry point of the group ``flow_rl.backbones``; checkpoints know it by its name.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from rsl_rl.utils import resolve_nn_activation
from torch import nn

from flow_rl.utils.check import require, require_choice
from flow_rl.utils.plugins import with_plugins

from .residual_mlp import ResidualMLP
from .transformer import ModulatedBlock

FIELD = "agent.actor.backbone."


@dataclass
class BackboneSettings:
    """Settings of the network behind the velocity; each kind reads those that it knows."""

    kind: str = "mlp"
    """``mlp``, whose widths are `hidden_dims`, ``transformer``, or one that another package brings."""

    width: int = 128
    """Width of the transformer's tokens."""

    depth: int = 2
    """Blocks of the transformer."""

    num_heads: int = 4
    """Heads of the transformer's attention."""

    options: dict[str, Any] = field(default_factory=dict)
    """Further settings, for backbones of other packages."""


class MlpBackbone(nn.Module):
    """A residual perceptron of chunk, time and latent side by side."""

    def __init__(
        self,
        chunk: tuple[int, int],
        time_dim: int,
        latent: Mapping[str, int],
        *,
        hidden_dims: list[int] | tuple[int, ...],
        activation: str,
    ):
        """Build the network.

        Args:
            chunk: Shape (H, A) of a chunk.
            time_dim: Number F of time features.
            latent: Sizes of the latent's parts by name, L together.
            hidden_dims: Widths of the hidden layers.
            activation: Name of the activation function, as in rsl_rl.
        """
        super().__init__()
        require(len(hidden_dims) > 0, "agent.actor.hidden_dims", hidden_dims, "at least one width", "use [512, 512].")
        resolve_nn_activation(activation)
        size = chunk[0] * chunk[1]
        self.net = ResidualMLP(size + time_dim + sum(latent.values()), size, hidden_dims, activation)

    def forward(self, x: torch.Tensor, time: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Map chunks (..., H * A), time features (..., F) and latents (..., L) to (..., H * A)."""
        return self.net(torch.cat([x, time, latent], dim=-1))


class TransformerBackbone(nn.Module):
    """One token per action of the chunk, which attend to each other and to a token per part of the latent.

    Time and latent also shift and scale every block (adaLN), so that the actions see the state as directly as in a
    perceptron. Weights are shared along the chunk: their number does not grow with the horizon.
    """

    def __init__(
        self,
        chunk: tuple[int, int],
        time_dim: int,
        latent: Mapping[str, int],
        *,
        width: int = 128,
        depth: int = 2,
        num_heads: int = 4,
    ):
        """Build the network.

        Args:
            chunk: Shape (H, A) of a chunk.
            time_dim: Number F of time features.
            latent: Sizes of the latent's parts by name, L together.
            width: Width of the tokens.
            depth: Number of blocks.
            num_heads: Heads of the attention.
        """
        super().__init__()
        for name, value in (("width", width), ("depth", depth), ("num_heads", num_heads)):
            require(value >= 1, FIELD + name, value, "an integer >= 1", "use width 128, depth 2 and 4 heads.")
        require(width % num_heads == 0, FIELD + "num_heads", num_heads, f"a divisor of width {width}", "use 4 and 128.")
        self.horizon = chunk[0]
        self.sizes = list(latent.values())
        self.action = nn.Linear(chunk[1], width)
        self.place = nn.Parameter(0.02 * torch.randn(chunk[0], width))
        self.parts = nn.ModuleList(nn.Linear(size, width) for size in self.sizes)
        self.condition = nn.Sequential(nn.Linear(time_dim + sum(self.sizes), width), nn.SiLU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(ModulatedBlock(width, num_heads) for _ in range(depth))
        self.norm, self.output = nn.LayerNorm(width), nn.Linear(width, chunk[1])

    def forward(self, x: torch.Tensor, time: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Map chunks (..., H * A), time features (..., F) and latents (..., L) to (..., H * A)."""
        shape = x.shape
        latent = latent.reshape(-1, latent.shape[-1])  # (B, L)
        condition = self.condition(torch.cat([time.reshape(-1, time.shape[-1]), latent], dim=-1))
        tokens = [self.action(x.reshape(-1, self.horizon, shape[-1] // self.horizon)) + self.place]
        parts = latent.split(self.sizes, dim=-1)
        for i, embed in enumerate(self.parts):
            tokens.append(embed(parts[i]).unsqueeze(1))
        sequence = torch.cat(tokens, dim=1)  # (B, H + parts, width)
        for block in self.blocks:
            sequence = block(sequence, condition)
        return self.output(self.norm(sequence[:, : self.horizon])).reshape(shape)


def backbones() -> dict[str, str]:
    """Entry points of the backbones by name; see :func:`flow_rl.utils.plugins.with_plugins`."""
    own = {"mlp": f"{__name__}:MlpBackbone", "transformer": f"{__name__}:TransformerBackbone"}
    return with_plugins(own, "flow_rl.backbones", "backbones")


def make_backbone(
    settings: BackboneSettings, chunk: tuple[int, int], time_dim: int, latent: Mapping[str, int], **more: Any
) -> nn.Module:
    """Build the backbone that the settings name.

    Args:
        settings: Settings of the backbone.
        chunk: Shape (H, A) of the chunk.
        time_dim: Number of time features.
        latent: Sizes of the latent's parts by name, in their order.
        more: Settings of the policy that a backbone may know, too.
    """
    known = backbones()
    require_choice(FIELD + "kind", settings.kind, known)
    module, _, attribute = known[settings.kind].partition(":")
    cls = getattr(importlib.import_module(module), attribute)
    names = inspect.signature(cls).parameters
    unknown = sorted(set(settings.options) - set(names))
    valid = ", ".join(name for name in names if name not in ("chunk", "time_dim", "latent"))
    require(not unknown, FIELD + "options", settings.options, valid, f"leave out {', '.join(unknown)}.")
    offered = vars(settings) | more
    chosen = {name: offered[name] for name in names if name in offered and name not in ("kind", "options")}
    return cls(chunk, time_dim, latent, **(chosen | settings.options))
