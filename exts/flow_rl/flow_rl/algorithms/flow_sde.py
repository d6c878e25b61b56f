# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Flow-SDE: PPO on a stochastic flow whose noise is set by hand, the counterpart of DPPO (arXiv 2409.00588).

Flow-GRPO (arXiv 2505.05470) and pi-RL (arXiv 2510.25889).
"""

from __future__ import annotations

import math

import torch
from rsl_rl.env import VecEnv
from rsl_rl.models import MLPModel

from flow_rl.flows import cosine, score_drift
from flow_rl.models import FlowPolicy

from .chain_ppo import ChainPpo
from .flow_sde_settings import FlowSdeSettings


class FlowSde(ChainPpo):
    """PPO on chains x_{i+1} ~ N(x_i + (v + g^2 / 2 s) / K, g^2 / K), with s = (t v - x) / (1 - t) the velocity's score.

    The score drift g^2 / 2 s makes up for the noise: with many steps and the exact velocity, chains end as the flow
    without noise does. So the policy is played as the plain flow of its velocity, without noise and without score
    drift; coefficients that an earlier learner left in it are set to zero when it is loaded. The velocity alone learns.
    With few steps chains and flow end differently: what is played is not exactly what was improved.
    """

    settings_class = FlowSdeSettings
    settings: FlowSdeSettings

    def __init__(self, env: VecEnv, actor: FlowPolicy, critic: MLPModel, settings: FlowSdeSettings, **contract):
        """Build the learner; the base class explains the remaining arguments."""
        super().__init__(env, actor, critic, settings, modules={}, **contract)

    @property
    def name(self) -> str:
        """Flow-SDE."""
        return "flow_sde"

    @property
    def noise_level(self) -> float:
        """Present level a of the noise, the same for an iteration's rollout and its losses."""
        return cosine(self.settings.noise_level, self.settings.final_noise_level, self.progress)

    def diffusion(self, t: torch.Tensor) -> torch.Tensor:
        """Noise g(t) = a sqrt((1 - t) / max(t, 1 / K)) per root of flow time, at times (..., 1), same shape."""
        return self.noise_level * ((1.0 - t) / t.clamp(min=1.0 / self.actor.num_flow_steps)).sqrt()

    def drift(self, x: torch.Tensor, t: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Velocity plus g^2 / 2 times the score, which is not bounded, shape (..., H * A)."""
        velocity = self.actor.velocity_field(x, t, latent)
        return score_drift(velocity, x, t, 0.5 * self.diffusion(t).square(), math.inf)

    def std(self, t: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Deviation g / sqrt(K) of a step at times (..., 1), same shape: alike for all coordinates."""
        return self.diffusion(t) / math.sqrt(self.actor.num_flow_steps)

    def policy_replaced(self) -> None:
        """Play, and hold on to, the plain flow of the loaded velocity."""
        self.actor.score_coefs.zero_()
        super().policy_replaced()
