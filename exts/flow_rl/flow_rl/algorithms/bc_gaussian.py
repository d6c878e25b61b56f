# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The plain anchor: PPO on a cloned Gaussian policy, as in DPPO's comparison (arXiv 2409.00588)."""

from __future__ import annotations

import math

import torch
from rsl_rl.env import VecEnv
from rsl_rl.models import MLPModel
from tensordict import TensorDict
from torch import nn

from flow_rl.flows import clamp_returning
from flow_rl.models import FlowPolicy
from flow_rl.objectives import ppo_surrogate
from flow_rl.utils.check import require

from .base import Decision
from .bc_gaussian_settings import BcGaussianSettings
from .ppo_base import PpoAlgorithm


class NoiseScale(nn.Module):
    """One learnt standard deviation per coordinate, between bounds, whatever the observation."""

    def __init__(self, action_dim: int, std: float, bounds: tuple[float, float]):
        """Begin with a deviation for all coordinates, inside the bounds."""
        super().__init__()
        self.low, self.high = (math.log(bound) for bound in bounds)
        share = (math.log(std) - self.low) / (self.high - self.low)
        self.logit = nn.Parameter(torch.full((action_dim,), math.log(share / (1.0 - share))))

    def forward(self) -> torch.Tensor:
        """Standard deviations, shape (H * A)."""
        return (self.low + (self.high - self.low) * self.logit.sigmoid()).exp()


class BcGaussian(PpoAlgorithm):
    """PPO with chunks a ~ N(mu(obs), sigma^2), which cannot be of two minds: it tells what a flow is worth.

    mu is a flow policy of one step from zero noise, mu = v(0, 0, obs), whose pretraining is regression, so that
    everything that plays, exports or records policies takes it. Means are clipped to the box where DPPO has a tanh, and
    chunks where the environment receives them; likelihoods are those before that. They are averages over the chunk.
    """

    settings_class = BcGaussianSettings
    settings: BcGaussianSettings

    def __init__(
        self,
        env: VecEnv,
        actor: FlowPolicy,
        critic: MLPModel,
        settings: BcGaussianSettings,
        **contract,
    ):
        """Build the learner; the base class explains the remaining arguments."""
        require(
            actor.cfg.regresses() and actor.head is None,
            "agent.actor.num_flow_steps / initial_noise / head.kind",
            (actor.num_flow_steps, actor.cfg.initial_noise, actor.cfg.head.kind),
            "(1, 'zero', 'none')",
            "leave them out, here and in pretraining: they are this learner's defaults.",
        )
        self.noise_scale = NoiseScale(actor.output_dim, settings.std, (settings.std_min, settings.std_max))
        self.bound = min(actor.cfg.intermediate_clip or math.inf, 1.0)
        fields = {"action": (actor.output_dim,), "log_prob": ()}
        modules = {"noise_scale": self.noise_scale}
        super().__init__(env, actor, critic, settings, fields=fields, modules=modules, **contract)

    @property
    def name(self) -> str:
        """PPO on a cloned Gaussian."""
        return "bc_gaussian"

    def mean(self, latent: torch.Tensor) -> torch.Tensor:
        """Chunks (B, H * A) that are played after learning."""
        start = latent.new_zeros(latent.shape[0], self.actor.output_dim)
        return clamp_returning(self.actor.drift(start, start[:, :1], latent), self.bound)

    def explore(self, latent: torch.Tensor) -> Decision:
        """Means plus noise."""
        mean, std, limit = self.mean(latent), self.noise_scale(), self.settings.noise_clip
        chunk = mean + std * torch.randn_like(mean).clamp(-limit, limit)
        log_prob = gaussian_log_prob(chunk, mean, std)
        return Decision(chunk.clamp(-1.0, 1.0), {"action": chunk, "log_prob": log_prob})

    def surrogate_loss(
        self, batch: TensorDict, latent: torch.Tensor, advantage: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Clipped surrogate of the chunks' likelihood ratios, and the entropy bonus."""
        mean, std = self.mean(latent), self.noise_scale()
        log_prob = gaussian_log_prob(batch["action"], mean, std)
        surrogate = ppo_surrogate(log_prob, batch["log_prob"], advantage, self.settings.clip_param)
        entropy = 0.5 * math.log(2 * math.pi * math.e) + std.log().mean()
        metrics = self.about(surrogate) | {
            "entropy": entropy,
            "saturation": (mean.abs() >= self.bound).float().mean(),
            "sigma": std.mean(),
        }
        return surrogate.loss - self.settings.entropy_coef * entropy, metrics

    def finish_iteration(self, log: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        """Tell the runner's log the present noise; return the first ratios' distance from 1."""
        self.actor.output_std = self.noise_scale().detach()
        return super().finish_iteration(log)


def gaussian_log_prob(chunk: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """Log N(chunk; mean, std^2), averages over coordinates, shape (B).

    DPPO clamps it to [-5, 2], which silences all gradients near the mean once the deviation is below 0.054.
    """
    return -(0.5 * ((chunk - mean) / std).square() + std.log() + 0.5 * math.log(2 * math.pi)).mean(dim=-1)
