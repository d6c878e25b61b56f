# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""ScoRe-Flow (arXiv 2604.10962): fine-tuning a flow policy through stochastic chains with a learned score drift.

With the score coefficient at zero this is ReinFlow (arXiv 2505.22094).
"""

from __future__ import annotations

import torch
from rsl_rl.env import VecEnv
from rsl_rl.models import MLPModel
from tensordict import TensorDict

from flow_rl.flows import ChainBounds, hold_then_cosine, sample_chain, score_chain, score_drift, time_grid
from flow_rl.models import Anchor, FlowPolicy
from flow_rl.nn import NoisePredictor, ScoreCoefficient
from flow_rl.objectives import ppo_surrogate, value_loss

from .base import Decision
from .on_policy import OnPolicyAlgorithm
from .score_flow_settings import ScoreFlowSettings


class ScoreFlow(OnPolicyAlgorithm):
    """PPO on the likelihood of the whole chain x_0 .. x_K, with x_{i+1} ~ N(x_i + (v + alpha s) / K, sigma^2).

    v is the policy's velocity, s = (t v - x) / (1 - t) its score, alpha(t) the learned coefficient psi, and
    sigma(t, obs) the learned noise phi. Policy, psi and phi learn together.
    """

    settings_class = ScoreFlowSettings
    settings: ScoreFlowSettings

    def __init__(
        self,
        env: VecEnv,
        actor: FlowPolicy,
        critic: MLPModel,
        settings: ScoreFlowSettings,
        **contract,
    ):
        """Build the learner; the base class explains the remaining arguments."""
        self.score_coefficient = None
        if settings.score_coef > 0:
            self.score_coefficient = ScoreCoefficient(settings.score_coef, settings.score_coef_kind)
        std_range = settings.std_min, settings.std_max
        self.noise_predictor = NoisePredictor(
            actor.output_dim, actor.latent_dim, actor.cfg.time_embedding_dim, std_range, settings.noise_hidden_dims
        )
        modules = {"noise_predictor": self.noise_predictor}
        if self.score_coefficient is not None:
            self.score_coefficient.requires_grad_(settings.learn_score_coef)
            modules["score_coefficient"] = self.score_coefficient
        self.anchor = Anchor(actor) if settings.bc_coef > 0 else None
        if self.anchor is not None:
            modules["bc"] = self.anchor
        self.bounds = ChainBounds(mean=actor.cfg.intermediate_clip or float("inf"), deviations=settings.noise_clip)
        fields = {"chain": (actor.num_flow_steps + 1, actor.output_dim), "log_prob": ()}
        super().__init__(env, actor, critic, settings, fields=fields, modules=modules, **contract)

    @property
    def name(self) -> str:
        """ScoRe-Flow, or ReinFlow when there is no score drift."""
        return "reinflow" if self.score_coefficient is None else "score_flow"

    def drift(self, x: torch.Tensor, t: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Velocity plus the score times its coefficient, shape (..., H * A); ReinFlow keeps the policy's own."""
        if self.score_coefficient is None:
            return self.actor.drift(x, t, latent)
        velocity = self.actor.velocity_field(x, t, latent)
        return score_drift(velocity, x, t, self.score_coefficient(t), self.actor.cfg.score_clip)

    def std(self, t: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Exploration noise at times (..., 1), shape (..., H * A)."""
        return self.noise_predictor(self.actor.time_features(t), latent)

    @property
    def std_max(self) -> float:
        """Present upper bound of the noise; `std_decay` is the share of the range that remains at the end."""
        low, high = self.settings.std_min, self.settings.std_max
        if self.settings.std_schedule == "learn":
            return high
        end = low + self.settings.std_decay * (high - low)
        return hold_then_cosine(high, end, self.progress, self.settings.std_hold)

    def explore(self, latent: torch.Tensor) -> Decision:
        """Last states of freshly sampled chains; the chains and their likelihoods are kept."""
        noise = torch.randn(latent.shape[0], self.actor.output_dim, device=latent.device)
        chain = sample_chain(
            lambda x, t: self.drift(x, t, latent),
            lambda x, t: self.std(t, latent),
            noise,
            self.actor.num_flow_steps,
            self.bounds,
        )
        return Decision(chain.action, {"chain": chain.states, "log_prob": chain.log_prob.mean(dim=-1)})

    def losses(self, batch: TensorDict) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Critic loss and, once the critic is warm, the policy loss."""
        critic_loss = value_loss(self.critic(batch["obs"]).squeeze(-1), batch["return"])
        metrics = {"value": critic_loss.detach()}
        if self.warming_up:
            with torch.no_grad():
                return critic_loss, metrics | self.policy_loss(batch)[1]
        policy_loss, policy_metrics = self.policy_loss(batch)
        return critic_loss + policy_loss, metrics | policy_metrics

    def policy_loss(self, batch: TensorDict) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Clipped surrogate of the chains' likelihood ratios, entropy bonus, and the pull to the pretrained policy."""
        latent = self.actor.get_latent(batch["obs"])
        per_step = latent.unsqueeze(1)  # (B, 1, O)
        chain = score_chain(
            lambda x, t: self.drift(x, t, per_step),
            lambda x, t: self.std(t, per_step),
            batch["chain"],
            self.bounds,
        )
        advantage = batch["advantage"]
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        surrogate = ppo_surrogate(chain.log_prob.mean(dim=-1), batch["log_prob"], advantage, self.settings.clip_param)
        entropy = chain.entropy.mean()
        loss = surrogate.loss - self.settings.entropy_coef * entropy
        metrics = {
            "surrogate": surrogate.loss,
            "entropy": entropy,
            "ratio": surrogate.ratio.mean(),
            "ratio_error": (surrogate.ratio - 1.0).abs().max(),
            "kl": surrogate.kl,
            "clip_fraction": surrogate.clip_fraction,
            "saturation": (batch["chain"][:, -1].abs() >= self.bounds.action).float().mean(),
            "sigma": chain.std.mean(dim=(0, 2)),
        }
        if self.anchor is not None:
            metrics["bc"] = self.settings.bc_coef * self.anchor_loss(latent, batch["obs"])
            loss = loss + metrics["bc"]
        return loss, {name: value.detach() for name, value in metrics.items()}

    def anchor_loss(self, latent: torch.Tensor, obs: TensorDict) -> torch.Tensor:
        """Mean squared distance of the policy's chunks from the anchor's, from the same noise (ReinFlow's W2)."""
        noise = torch.randn(latent.shape[0], self.actor.output_dim, device=latent.device)
        anchored = self.anchor.sample(self.anchor.get_latent(obs), noise)
        return (self.actor.sample(latent, noise) - anchored).square().mean()

    def stop_early(self, log: list[dict[str, torch.Tensor]]) -> bool:
        """Stop when the epoch moved the policy too far; all ranks decide alike."""
        if self.settings.target_kl is None:
            return False
        kl = torch.stack([entry["kl"] for entry in log]).mean()
        if self.world_size > 1:
            torch.distributed.all_reduce(kl)
            kl /= self.world_size
        return bool(kl > self.settings.target_kl)

    def finish_iteration(self, log: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        """Give the policy its score drift; return alpha, sigma, their bound, and the first ratios' distance from 1.

        Playing v alone would leave out the pull towards the mode that v was trained with.
        """
        num_steps = self.actor.num_flow_steps
        t = time_grid(num_steps, self.device)
        with torch.no_grad():
            if self.score_coefficient is not None:
                self.actor.set_score_coefs(self.score_coefficient(t).squeeze(-1))
        sigma = torch.stack([entry["sigma"] for entry in log]).mean(dim=0)
        self.actor.output_std = sigma
        return {
            **{f"alpha_{i}": self.actor.score_coefs[i] for i in range(num_steps)},
            **{f"sigma_{i}": sigma[i] for i in range(num_steps)},
            "sigma_max": sigma.new_tensor(self.std_max),
            "ratio_error_first": log[0]["ratio_error"],
        }

    def policy_replaced(self) -> None:
        """Explore with the drift that an earlier learner left in the policy."""
        super().policy_replaced()
        coefs = self.actor.score_coefs
        if self.score_coefficient is not None and coefs.any():
            self.score_coefficient.fit(time_grid(len(coefs), self.device), coefs.unsqueeze(-1))

    def update(self) -> dict[str, float]:
        """Improve critic and policy; the next rollout is made and judged with the next bounds of the noise."""
        numbers = super().update()
        self._set_bounds()
        return numbers

    def _apply_schedules(self) -> None:
        super()._apply_schedules()
        self._set_bounds()

    def _set_bounds(self) -> None:
        self.noise_predictor.set_bounds(self.settings.std_min, self.std_max)
