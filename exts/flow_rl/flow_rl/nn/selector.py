# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""A learned choice among several chunks."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import nn

from flow_rl.utils.check import require, require_choice

from .quiet_mlp import quiet_mlp


@dataclass
class SelectorSettings:
    """How many chunks are drawn, of which the best is played."""

    kind: Literal["none", "best_of_n"] = "none"
    """One chunk, or the one of several that promises most (IDQL, arXiv 2304.10573; EXPO, arXiv 2507.07986)."""

    num_candidates: int = 8
    """Number N of chunks, at least 2; the papers take 8 to 128. Playing costs N times as much."""

    hidden_dims: list[int] = field(default_factory=lambda: [256, 256])
    """Widths of the network that values them."""


class Selector(nn.Module):
    """The chunk of highest value among N, by a network of what the policy sees; a new one takes the first.

    The network learns what a critic says, so that a policy is played and exported without a critic and without what
    only critics see. One noise gives all candidates theirs, so that chunks stay functions of observation and noise: its
    pairs of coordinates, as angles and levels exp(-r^2 / 2), which are uniform, are shifted by N places of a lattice
    (Cranley and Patterson 1976; Box and Muller 1958). So each candidate's is standard normal, the first one's is the
    noise itself, and together they are spread more evenly than N draws. A coordinate without partner changes its sign.
    """

    def __init__(self, action_dim: int, latent_dim: int, settings: SelectorSettings):
        """Build the network.

        Args:
            action_dim: Size D of the flattened chunk, H * A.
            latent_dim: Size L of the latent.
            settings: Number of candidates and widths.
        """
        super().__init__()
        self.num_candidates, self.latent_dim = settings.num_candidates, latent_dim
        name = "agent.actor.selector.num_candidates"
        require(self.num_candidates >= 2, name, self.num_candidates, "an integer >= 2", "use 8, the default.")
        self.net = quiet_mlp(latent_dim + action_dim, settings.hidden_dims, 1)
        self.num_pairs, others = action_dim // 2, self.num_candidates - 1
        fixed = torch.Generator().manual_seed(0)
        places = torch.rand(2, self.num_pairs, others, generator=fixed).argsort(dim=-1) + 1
        level, angle = places.transpose(1, 2) / self.num_candidates  # (N - 1, D // 2)
        sign = 2.0 * torch.randint(2, (others, action_dim % 2), generator=fixed) - 1.0
        for name, value in {"level": level, "angle": 2.0 * math.pi * angle, "sign": sign}.items():
            self.register_buffer(name, value, persistent=False)

    def noises(self, noise: torch.Tensor) -> torch.Tensor:
        """Noises (N * B, D) of all candidates, the first ones before the second ones, of noise (B, D)."""
        x, y = noise[:, None, 0 : 2 * self.num_pairs : 2], noise[:, None, 1 : 2 * self.num_pairs : 2]
        square = x.square() + y.square()
        level = torch.exp(-0.5 * square) + self.level
        level = (level - level.floor()).clamp(min=1e-7)
        scale = torch.sqrt(-2.0 * torch.log(level) / square.clamp(min=1e-12))
        cos, sin = scale * torch.cos(self.angle), scale * torch.sin(self.angle)
        pairs = torch.stack([cos * x - sin * y, sin * x + cos * y], dim=-1).flatten(-2)
        last = self.sign * noise[:, None, 2 * self.num_pairs :]
        others = torch.cat([pairs, last], dim=-1)
        return torch.cat([noise.unsqueeze(1), others], dim=1).transpose(0, 1).flatten(0, 1)

    def values(self, chunks: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Values (..., B) of chunks (..., B, D) at latents (B, L), of which only differences at a latent mean much."""
        latent = latent[..., : self.latent_dim]
        latent = latent.expand(chunks.shape[:-1] + latent.shape[-1:])
        return self.net(torch.cat([latent, chunks], dim=-1)).squeeze(-1)

    def forward(self, chunks: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Best chunks (B, D) of candidates (N * B, D) at latents (B, L)."""
        candidates = chunks.unflatten(0, (self.num_candidates, latent.shape[0]))
        best = self.values(candidates, latent).argmax(dim=0)
        return candidates.gather(0, best.view(1, -1, 1).expand(1, -1, chunks.shape[-1])).squeeze(0)


def make_selector(action_dim: int, latent_dim: int, settings: SelectorSettings) -> Selector | None:
    """Selector that settings ask for, if they do; arguments are those of :class:`Selector`."""
    require_choice("agent.actor.selector.kind", settings.kind, ("none", "best_of_n"))
    return Selector(action_dim, latent_dim, settings) if settings.kind == "best_of_n" else None
