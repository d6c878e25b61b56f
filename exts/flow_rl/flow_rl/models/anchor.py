# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""A policy that stays as it was."""

from __future__ import annotations

import copy

import torch
from tensordict import TensorDict
from torch import nn

from .flow_policy import FlowPolicy


class Anchor(nn.Module):
    """Frozen copy of a policy, such as the one that learning began with, to stay near to or to build upon.

    It looks at observations with its own encoder: a learner's latent is not what this policy has learnt from. No
    gradient reaches its parameters, but gradients pass through it to what it is given.
    """

    def __init__(self, policy: FlowPolicy):
        """Copy a policy; :meth:`follow` replaces it."""
        super().__init__()
        self.policy = copy.deepcopy(policy).requires_grad_(False)

    def follow(self, policy: FlowPolicy) -> None:
        """Be from now on a copy of another policy of the same shape."""
        self.policy.load_state_dict(policy.state_dict())

    def adapt(self, state: dict) -> dict:
        """State of a checkpoint from before this class, which held the policy's names alone or below `base`."""
        names = {key: key.removeprefix("policy.").removeprefix("base.") for key in state}
        return {f"policy.{name}": state[key] for key, name in names.items()}

    def get_latent(self, obs: TensorDict | dict) -> torch.Tensor:
        """What the copy's drift depends on, shape (..., L)."""
        return self.policy.get_latent(obs)

    def drift(self, x: torch.Tensor, t: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Drift of the copy at states (..., H * A) and times (..., 1), given latents (..., L) of its own."""
        return self.policy.drift(x, t, latent)

    def sample(self, latent: torch.Tensor, noise: torch.Tensor | None = None) -> torch.Tensor:
        """Normalised chunks (B, H * A) of the copy, given latents (B, L) of its own."""
        return self.policy.sample(latent, noise)
