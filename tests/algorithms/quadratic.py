# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""A bandit with one best action, and policies of which everything is known in closed form."""

from __future__ import annotations

import torch

from flow_rl.flows import gaussian_velocity
from flow_rl.testing.bandit import Bandit

BEST = torch.tensor([0.3, -0.2])


class Quadratic(Bandit):
    """The reward of an action a in the plane is -|a - c|^2; every step ends an episode."""

    def step(self, actions):
        obs, _, dones, extras = super().step(actions)
        return obs, -(actions - BEST).square().sum(dim=-1), dones, extras


def distance_from_best(policy, num: int = 2048) -> float:
    """How far the mean of a policy's actions lies from the best one."""
    torch.manual_seed(7)
    with torch.no_grad():
        return float((policy.sample(torch.zeros(num, 1)).mean(dim=0) - BEST).norm())


def be_gaussian(actor, mean: torch.Tensor, std: float) -> None:
    """Let a policy flow as chunks N(mean, std^2) exactly would, without bounds on the way; `mean` may learn."""
    actor.velocity_field = lambda x, t, latent: gaussian_velocity(x, t, mean, torch.full_like(mean, std))[0]
    actor.sampler.drift = lambda x, t, latent: actor.velocity_field(x, t, latent)
    actor.sampler.clip = float("inf")
