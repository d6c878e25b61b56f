# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""ScoRe-Flow (arXiv 2604.10962): fine-tuning a flow policy through stochastic chains with a learned score drift.

With the score coefficient at zero this is ReinFlow (arXiv 2505.22094).
"""

from __future__ import annotations

import torch
from rsl_rl.env import VecEnv
from rsl_rl.models import MLPModel

from flow_rl.flows import hold_then_cosine, score_drift, time_grid
from flow_rl.models import FlowPolicy
from flow_rl.nn import NoisePredictor, ScoreCoefficient

from .chain_ppo import ChainPpo
from .score_flow_settings import ScoreFlowSettings


class ScoreFlow(ChainPpo):
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
        super().__init__(env, actor, critic, settings, modules=modules, **contract)

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

    @property
    def entropy_weight(self) -> float:
        """The noise learns, and is kept from vanishing."""
        return self.settings.entropy_coef

    def finish_iteration(self, log: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        """Give the policy its score drift; return alpha and the noise's bound besides the base's numbers.

        Playing v alone would leave out the pull towards the mode that v was trained with.
        """
        num_steps = self.actor.num_flow_steps
        t = time_grid(num_steps, self.device)
        with torch.no_grad():
            if self.score_coefficient is not None:
                self.actor.set_score_coefs(self.score_coefficient(t).squeeze(-1))
        numbers = super().finish_iteration(log)
        return {
            **{f"alpha_{i}": self.actor.score_coefs[i] for i in range(num_steps)},
            **numbers,
            "sigma_max": numbers["sigma_0"].new_tensor(self.std_max),
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
