# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""An off-policy correction of a frozen policy, as in ResFiT (arXiv 2509.19301) and Policy Decorator (2412.13630)."""

from __future__ import annotations

import torch
from rsl_rl.env import VecEnv
from tensordict import TensorDict
from torch.func import functional_call

from flow_rl.models import FlowPolicy, QEnsemble
from flow_rl.ranks.collective import count

from .base import Decision
from .off_policy import OffPolicyAlgorithm
from .residual_settings import ResidualSettings


class Residual(OffPolicyAlgorithm):
    """TD3 on the policy's head: a = clip(b + c tanh(h(s, b)), -1, 1), with b the frozen flow's chunk.

    The clipped sum is executed, kept, and seen by the critic; b is drawn anew wherever a chunk is needed.
    """

    settings_class = ResidualSettings
    settings: ResidualSettings
    keeps_base = True

    def __init__(
        self,
        env: VecEnv,
        actor: FlowPolicy,
        critic: QEnsemble,
        settings: ResidualSettings,
        **contract,
    ):
        """Build the learner; the base class explains the remaining arguments."""
        actor.freeze_base()
        super().__init__(env, actor, critic, settings, fields={}, modules={}, **contract)
        self.actor.output_std = torch.full((1,), settings.exploration_std, device=self.device)

    @property
    def name(self) -> str:
        """Residual."""
        return "residual"

    @property
    def share(self) -> float:
        """Probability that a decision is corrected, from 0 to 1."""
        return min(1.0, self.iteration / self.settings.progressive) if self.settings.progressive > 0 else 1.0

    def explore(self, latent: torch.Tensor) -> Decision:
        """Corrected chunks plus noise, uniform corrections while the critic warms up, or the base's where none acts."""
        base = self.base(latent)
        if self.warming_up and self.settings.random_scale > 0:
            chunk = base + self.settings.random_scale * (2.0 * torch.rand_like(base) - 1.0)
        else:
            corrected = self.actor.head(base, latent)
            chunk = corrected + self.settings.exploration_std * torch.randn_like(base)
        acts = torch.rand_like(base[:, :1]) < self.share
        return Decision(torch.where(acts, chunk.clamp(-1.0, 1.0), base))

    def base(self, latent: torch.Tensor) -> torch.Tensor:
        """Chunks (B, H * A) of the frozen flow from fresh noise."""
        return self.flow(latent)[-1].clamp(-1.0, 1.0)

    def next_chunks(self, obs: TensorDict) -> tuple[torch.Tensor, None]:
        """Corrected chunks (draws, N, H * A) with bounded noise, clipped."""
        latent = self.actor.get_latent(obs)
        draws = [self.actor.head(self.base(latent), latent) for _ in range(self.settings.bootstrap_draws)]
        chunks = torch.stack(draws)
        bound = self.settings.target_clip
        noise = (self.settings.target_std * torch.randn_like(chunks)).clamp(-bound, bound)
        return (chunks + noise).clamp(-1.0, 1.0), None

    def values(self, obs: TensorDict, chunks: torch.Tensor) -> torch.Tensor:
        """Values (M, B) of chunks (B, H * A) at observations (B,), whose gradient reaches the chunks alone."""
        pairs = torch.cat([self.critic.get_latent(obs), chunks], dim=-1).unsqueeze(0)
        fixed = {name: parameter.detach() for name, parameter in self.critic.mlp.named_parameters()}
        return functional_call(self.critic.mlp, fixed, (pairs,)).squeeze(-1)

    def actor_loss(self, batch: TensorDict) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The negative mean of all members' values of corrected chunks."""
        obs, exists = batch["obs"][:, 0], batch["valid"].squeeze(-1)
        with torch.no_grad():
            latent = self.actor.get_latent(obs)
            base = self.base(latent)
        chunks = self.actor.head(base, latent)
        value = self.values(obs, chunks).mean(dim=0)
        # Places of an empty replay count nothing.
        loss = -(value * exists).sum() / count(exists)
        with torch.no_grad():
            metrics = {
                "policy_value": -loss,
                "correction": (chunks - base).abs().mean() / self.actor.head.scale,
                "saturation": (chunks.abs() >= 1.0).float().mean(),
            }
        return loss, metrics | {"correction_share": torch.full_like(loss, self.share)}
