# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What learners share that explore with stochastic chains and follow a surrogate of the chains' likelihood ratios."""

from __future__ import annotations

from abc import abstractmethod

import torch
from rsl_rl.env import VecEnv
from rsl_rl.models import MLPModel
from tensordict import TensorDict
from torch import nn

from flow_rl.flows import ChainBounds, sample_chain, score_chain
from flow_rl.models import FlowPolicy
from flow_rl.objectives import ppo_surrogate

from .base import Decision
from .ppo_base import PpoAlgorithm
from .ppo_settings import ChainSettings


class ChainPpo(PpoAlgorithm):
    """PPO on the likelihood of chains x_0 .. x_K. A learner says what their drift and their noise are."""

    settings_class = ChainSettings
    settings: ChainSettings

    def __init__(
        self,
        env: VecEnv,
        actor: FlowPolicy,
        critic: MLPModel,
        settings: ChainSettings,
        *,
        modules: dict[str, nn.Module],
        **contract,
    ):
        """Build the learner; the base class explains the remaining arguments."""
        self.bounds = ChainBounds(mean=actor.cfg.intermediate_clip or float("inf"), deviations=settings.noise_clip)
        num_steps = actor.num_flow_steps
        shape = (num_steps,) if settings.ratio == "step" else ()
        fields = {"chain": (num_steps + 1, actor.output_dim), "log_prob": shape}
        super().__init__(env, actor, critic, settings, fields=fields, modules=modules, **contract)

    @abstractmethod
    def drift(self, x: torch.Tensor, t: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Drift of the chain at states (..., H * A) and times (..., 1), shape (..., H * A)."""

    @abstractmethod
    def std(self, t: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Deviation of a step at times (..., 1), shape (..., H * A) or (..., 1)."""

    @property
    def entropy_weight(self) -> float:
        """Weight of the chain's entropy, for learners whose noise learns."""
        return 0.0

    def explore(self, latent: torch.Tensor) -> Decision:
        """Last states of freshly sampled chains; the chains and their likelihoods are kept."""
        noise = torch.randn(latent.shape[0], self.actor.output_dim, device=latent.device)
        chain = sample_chain(
            lambda x, t: self.drift(x, t, latent),
            lambda x, t: self.std(t, latent),
            self.actor.prior(latent, noise),
            self.actor.num_flow_steps,
            self.bounds,
        )
        return Decision(chain.action, {"chain": chain.states, "log_prob": self.reduce(chain.log_prob)})

    def reduce(self, log_prob: torch.Tensor) -> torch.Tensor:
        """What has a ratio of log-likelihoods (B, K + 1): their mean (B,), or those of the steps (B, K)."""
        return log_prob[:, 1:] if self.settings.ratio == "step" else log_prob.mean(dim=-1)

    def surrogate_loss(
        self, batch: TensorDict, latent: torch.Tensor, advantage: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Clipped surrogate of the chains' likelihood ratios, and entropy bonus."""
        per_step = latent.unsqueeze(1)  # (B, 1, L)
        chain = score_chain(
            lambda x, t: self.drift(x, t, per_step),
            lambda x, t: self.std(t, per_step),
            batch["chain"],
            self.bounds,
        )
        if self.settings.ratio == "step":
            steps_left = torch.arange(self.actor.num_flow_steps - 1, -1, -1, device=latent.device)
            advantage = advantage.unsqueeze(-1) * self.settings.step_discount**steps_left
        surrogate = ppo_surrogate(self.reduce(chain.log_prob), batch["log_prob"], advantage, self.settings.clip_param)
        entropy = chain.entropy.mean()
        metrics = self.about(surrogate) | {
            "entropy": entropy,
            "saturation": (batch["chain"][:, -1].abs() >= self.bounds.action).float().mean(),
            "sigma": chain.std.mean(dim=(0, 2)),
        }
        return surrogate.loss - self.entropy_weight * entropy, metrics

    def finish_iteration(self, log: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        """Return sigma and the first ratios' distance from 1."""
        sigma = torch.stack([entry["sigma"] for entry in log]).mean(dim=0)
        self.actor.output_std = sigma
        return super().finish_iteration(log) | {f"sigma_{i}": value for i, value in enumerate(sigma.unbind())}
