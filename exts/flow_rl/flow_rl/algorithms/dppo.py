# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""DPPO (arXiv 2409.00588): fine-tuning a denoising policy by PPO on each of its last steps."""

from __future__ import annotations

import math

import torch
from rsl_rl.env import VecEnv
from rsl_rl.models import MLPModel
from tensordict import TensorDict

from flow_rl.flows import ddim_transition
from flow_rl.models import FlowPolicy
from flow_rl.objectives import ppo_surrogate

from .base import Decision
from .dppo_settings import DppoSettings
from .ppo_base import PpoAlgorithm

LOG_PROB_RANGE = (-5.0, 2.0)
"""Bounds on the log-likelihood of each coordinate (the paper's code)."""


class Dppo(PpoAlgorithm):
    """PPO in a process whose decisions are the steps of denoising, a^k -> a^{k-1} ~ N(mu(a^k, k, s), sigma_k^2).

    mu and sigma_k are those of DDIM with eta = 1, which are DDPM's where steps lead from level to level; sigma_k has a
    least value. All K' steps of a decision share the advantage that the environment's states give it, discounted
    towards the noise, and each has a likelihood ratio and a trust region of its own. The K - K' steps before them are
    the policy's frozen ones. The policy is played without noise (eta = 0).
    """

    settings_class = DppoSettings
    settings: DppoSettings
    sampler = "denoising"

    def __init__(self, env: VecEnv, actor: FlowPolicy, critic: MLPModel, settings: DppoSettings, **contract):
        """Build the learner; the base class explains the remaining arguments."""
        self.first = actor.cfg.sampler.frozen_steps
        num_steps = actor.num_flow_steps - self.first
        fields = {"chain": (num_steps + 1, actor.output_dim), "log_prob": (num_steps,)}
        super().__init__(env, actor, critic, settings, fields=fields, modules={}, **contract)
        self.num_steps = num_steps
        self.clip = self.clips(num_steps).to(self.device)
        left = torch.arange(num_steps - 1, -1, -1, device=self.device)
        self.discount = settings.gamma_denoising**left
        levels, chunk = actor.sampler.step_levels[self.first :], torch.zeros(1, device=self.device)
        std = ddim_transition(chunk, chunk, levels[:-1], levels[1:], eta=1.0)[1]
        self.actor.output_std = std.squeeze(-1).clamp(min=settings.min_sampling_std)

    @property
    def name(self) -> str:
        """DPPO."""
        return "dppo"

    def clips(self, num_steps: int) -> torch.Tensor:
        """Half-widths (K') of the trust regions, from `clip_param_base` to `clip_param`, which a single step has."""
        place = torch.linspace(0.0, 1.0, num_steps) if num_steps > 1 else torch.ones(1)
        rate, base = self.settings.clip_rate, self.settings.clip_param_base
        return base + (self.settings.clip_param - base) * (rate * place).expm1() / math.expm1(rate)

    def explore(self, latent: torch.Tensor) -> Decision:
        """Ends of freshly sampled chains, of which the last K' + 1 states and K' likelihoods are kept."""
        num_steps, bound = self.actor.num_flow_steps, self.settings.noise_clip
        x = torch.randn(latent.shape[0], 1, self.actor.output_dim, device=latent.device)
        states, log_probs = [x], []
        for i in range(num_steps):
            mean, std = self.actor.sampler.transitions(x, latent.unsqueeze(1), i, i + 1)
            noise = torch.randn_like(x).clamp(-bound, bound)
            x = mean + std.clamp(min=self.settings.min_sampling_std) * noise
            if i == num_steps - 1:
                x = x.clamp(-1.0, 1.0)
            states.append(x)
            log_probs.append(self.log_prob(x, mean, std))
        chain, log_prob = torch.cat(states[self.first :], dim=1), torch.cat(log_probs[self.first :], dim=1)
        return Decision(x.squeeze(1), {"chain": chain, "log_prob": log_prob})

    def log_prob(self, x: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
        """Log-likelihood of states (..., D) after steps, averaged over coordinates, each within bounds, shape (...)."""
        std = std.clamp(min=self.settings.min_log_prob_std)
        each = -0.5 * ((x - mean) / std).square() - std.log() - 0.5 * math.log(2 * math.pi)
        return each.clamp(*LOG_PROB_RANGE).mean(dim=-1)

    def score(self, chain: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Log-likelihoods (B, K') of the steps of kept chains (B, K' + 1, D), all at once and with gradients."""
        last = self.actor.num_flow_steps
        mean, std = self.actor.sampler.transitions(chain[:, :-1], latent.unsqueeze(1), self.first, last)
        return self.log_prob(chain[:, 1:], mean, std)

    def surrogate_loss(
        self, batch: TensorDict, latent: torch.Tensor, advantage: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Clipped surrogate of the steps' likelihood ratios."""
        log_prob = self.score(batch["chain"], latent)
        surrogate = ppo_surrogate(log_prob, batch["log_prob"], advantage.unsqueeze(-1) * self.discount, self.clip)
        saturation = (batch["chain"][:, -1].abs() >= 1.0).float().mean()
        return surrogate.loss, self.about(surrogate) | {"saturation": saturation}

    def finish_iteration(self, log: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        """Return the steps' deviations in exploring, and the first ratios' distance from 1."""
        sigmas = {f"sigma_{i}": sigma for i, sigma in enumerate(self.actor.output_std.unbind())}
        return super().finish_iteration(log) | sigmas
