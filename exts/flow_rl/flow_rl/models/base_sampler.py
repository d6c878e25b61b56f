# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""A policy that somebody else made, in the place of the flow from noise to chunk."""

from __future__ import annotations

import math
from collections.abc import Collection

import torch
from torch import nn

from flow_rl.nn import MinMaxNormalizer, SelectorSettings
from flow_rl.policies import FrozenPolicy
from flow_rl.utils.check import InputError, require


class BaseSampler(nn.Module):
    """One step from noise to the chunk of a policy that stays as it is, normalised by the range of its actions.

    The policy looks at observations as they are: a latent (B, L + R) carries them behind what networks see (B, L).
    """

    num_steps = 1

    def __init__(self, base: FrozenPolicy, latent_dim: int, chunk: tuple[int, int], limit: float | None):
        """Build the sampler.

        Args:
            base: The policy.
            latent_dim: Size L of what networks see.
            chunk: Actions H that are executed, which may be fewer than the policy gives, and their size A.
            limit: Bound on its actions, in the environment's units; None for what it says itself, or 1.
        """
        super().__init__()
        self.base, self.latent_dim, self.horizon = base, latent_dim, chunk[0]
        self.output_dim = math.prod(chunk)
        self.units = MinMaxNormalizer(self.output_dim)
        bound = torch.full(chunk[1:], 1.0 if limit is None else limit)
        own = base.action_range if limit is None else None
        self.units.fit(torch.stack(own or (-bound, bound)).repeat(1, chunk[0]))
        self._beyond_told = False

    @property
    def takes_noise(self) -> bool:
        """Whether the policy begins with noise as large as what is executed of its chunk."""
        return self.base.noise_shape is not None and math.prod(self.base.noise_shape) == self.output_dim

    def check(self, images: Collection[str], selector: SelectorSettings) -> None:
        """Raise an InputError about images that nobody would look at, and about a choice among equal chunks."""
        unseen = [group for group in images if group not in self.base.groups]
        remedy = "leave them out: what is learnt upon a policy sees vectors only."
        require(not unseen, "agent.obs_groups.actor", unseen, f"what {self.base.name} sees", remedy)
        require(
            selector.kind == "none" or self.takes_noise,
            "agent.actor.selector.kind",
            selector.kind,
            f"'none' upon {self.base.name}, which takes no noise of which several chunks could be made",
            "leave it out, or choose a base that takes noise.",
        )

    def pack(self, obs: dict) -> torch.Tensor:
        """What the policy sees of observations (...), side by side, shape (..., R)."""
        shown = [obs[name].flatten(-len(shape)).float() for name, shape in self.base.groups.items()]
        return torch.cat(shown, dim=-1)

    def unpack(self, raw: torch.Tensor) -> dict[str, torch.Tensor]:
        """Observation groups (B, ...) of what :meth:`pack` gave (B, R), images as bytes."""
        parts = raw.split([math.prod(shape) for shape in self.base.groups.values()], dim=-1)
        groups = zip(self.base.groups.items(), parts, strict=True)
        return {name: part.unflatten(-1, shape).byte() if len(shape) == 3 else part for (name, shape), part in groups}

    def forward(self, latent: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Normalised chunk in [-1, 1], shape (B, H * A), from a latent (B, L + R) and noise (B, H * A)."""
        obs = self.unpack(latent[..., self.latent_dim :])
        given = noise.unflatten(-1, self.base.noise_shape) if self.takes_noise else None
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.base.differentiable):
            chunk = self.base(obs, given)[:, : self.horizon].flatten(1).to(latent)
        chunk = self.units(chunk)
        self._tell_beyond(chunk)
        return chunk.clamp(-1.0, 1.0)

    def states(self, latent: torch.Tensor, noise: torch.Tensor, num_steps: int | None = None) -> torch.Tensor:
        """Noise and chunk, shape (2, B, H * A); there is nothing between them, whatever the number of steps."""
        return torch.stack([noise, self(latent, noise)])

    def times(self) -> torch.Tensor:
        """The flow time (1, 1) at which the step begins."""
        return torch.zeros(1, 1, device=self.units.center.device)

    def drift(self, x: torch.Tensor, t: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Nothing (..., H * A): how the policy goes from noise to chunk is not known, and never changes."""
        return torch.zeros_like(x)

    def _tell_beyond(self, chunk: torch.Tensor) -> None:
        """Say once that actions are cut off; asked of the first chunks only."""
        if self._beyond_told:
            return
        self._beyond_told = True
        if (most := float(chunk.detach().abs().max())) > 1.05:
            print(
                f"[flow_rl] Actions of {self.base.name} reach {most:.3g} times what is known of their range, and are "
                "cut off there. Remedy: set agent.actor.base.limit to their bound in the environment's units."
            )


class BaseTwin(nn.Module):
    """The same of tensors only, upon the twin of a policy that can be exported."""

    def __init__(self, sampler: BaseSampler):
        """Take the policy's twin; raises an InputError if there is none."""
        super().__init__()
        if sampler.base.horizon != sampler.horizon or not sampler.takes_noise:
            raise InputError(
                f"a policy upon {sampler.base.name} cannot be exported: its chunks are not executed as a whole, or "
                "begin with no noise. Remedy: play it with evaluate or record."
            )
        self.base, self.units, self.latent_dim = sampler.base.twin(), sampler.units, sampler.latent_dim

    def forward(
        self,
        latent: torch.Tensor,
        noise: torch.Tensor,
        former: torch.Tensor | None = None,
        weights: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Normalised chunk in [-1, 1], shape (B, H * A), from a latent (B, L + R) and noise (B, H * A).

        A former chunk is not used: there are no states between noise and chunk.
        """
        return self.units(self.base(latent[:, self.latent_dim :], noise)).clamp(-1.0, 1.0)
