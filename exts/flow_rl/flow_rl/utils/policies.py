# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Policies in the form that evaluation takes: trained ones, the expert, and two baselines."""

from __future__ import annotations

from typing import Any

import torch


class CheckpointPolicy:
    """A trained policy without exploration: the deterministic flow from random or zero noise."""

    def __init__(self, actor: torch.nn.Module):
        """Wrap a policy of :class:`flow_rl.models.FlowPolicy`, in evaluation mode."""
        self.actor = actor

    def act(self, obs: Any) -> torch.Tensor:
        """Return chunks, shape (E, H*A)."""
        return self.actor(obs)

    def reset(self, env_ids: torch.Tensor) -> None:
        """Nothing is remembered."""


class ExpertPolicy:
    """A task's scripted expert, which looks at the environment itself."""

    def __init__(self, expert: Any):
        """Wrap an expert."""
        self.expert = expert

    def act(self, obs: Any) -> torch.Tensor:
        """Return actions, shape (E, A)."""
        return self.expert.act()

    def reset(self, env_ids: torch.Tensor) -> None:
        """Begin new episodes."""
        self.expert.reset(env_ids)


class NoisePolicy:
    """Uniform actions in [-scale, scale]; scale 0 holds still."""

    def __init__(self, num_envs: int, action_dim: int, device: str | torch.device, scale: float):
        """Prepare for an environment."""
        self._actions = torch.zeros(num_envs, action_dim, device=device)
        self._scale = scale

    def act(self, obs: Any) -> torch.Tensor:
        """Return actions, shape (E, H*A)."""
        return self._scale * (2.0 * torch.rand_like(self._actions) - 1.0)

    def reset(self, env_ids: torch.Tensor) -> None:
        """Nothing is remembered."""
