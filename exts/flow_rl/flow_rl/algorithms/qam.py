# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""QAM (arXiv 2601.14234): Q-learning with adjoint matching, which tilts a behaviour by exp(eta Q).

With a budget for the divergence of policy and behaviour this is TRQAM (arXiv 2605.27079).
"""

from __future__ import annotations

import copy

import torch
from rsl_rl.env import VecEnv
from tensordict import TensorDict

from flow_rl.flows import sample_memoryless, sample_times, time_grid
from flow_rl.models import Anchor, FlowPolicy, QEnsemble
from flow_rl.objectives import adjoint_matching_loss, flow_matching_loss, lean_adjoint, path_kl
from flow_rl.ranks.collective import averaged, count

from .base import Decision
from .budget import Budget
from .off_policy import OffPolicyAlgorithm
from .optimizer import ParameterGroup
from .qam_settings import QamSettings


class Qam(OffPolicyAlgorithm):
    """The critic's gradient at the ends of noisy paths is carried back through the behaviour; the velocity matches it.

    Behaviour v_b and policy v_f both begin as the pretrained policy. Paths run on a grid of their own, without the
    policy's bounds on states; a score drift that the policy brings counts as part of its velocity.
    """

    settings_class = QamSettings
    settings: QamSettings

    def __init__(
        self,
        env: VecEnv,
        actor: FlowPolicy,
        critic: QEnsemble,
        settings: QamSettings,
        **contract,
    ):
        """Build the learner; the base class explains the remaining arguments."""
        self.slow = Anchor(actor)
        modules = {"slow": self.slow}
        self.behaviour: FlowPolicy | None = None
        if settings.behaviour == "replay":
            self.behaviour = modules["behaviour"] = copy.deepcopy(actor)
        self.budget: Budget | None = None
        if settings.kl_budget is not None:
            self.budget = Budget(1.0, settings.kl_budget, settings.dual_rate, span=100.0, room=100.0)
            modules["budget"] = self.budget
        super().__init__(env, actor, critic, settings, fields={}, modules=modules, **contract)

    @property
    def name(self) -> str:
        """QAM, or TRQAM where a budget holds the divergence."""
        return "qam" if self.budget is None else "trqam"

    def more_groups(self) -> dict[str, ParameterGroup]:
        """The behaviour, whose gradients are bounded on their own."""
        groups, settings = super().more_groups(), self.settings
        if self.behaviour is not None:
            parameters = [parameter for parameter in self.behaviour.parameters() if parameter.requires_grad]
            groups["behaviour"] = ParameterGroup(parameters, settings.learning_rate, settings.final_learning_rate)
        return groups

    def explore(self, latent: torch.Tensor) -> Decision:
        """Ends of the policy's flow from fresh noise."""
        return Decision(self.flow(latent)[-1].clamp(-1.0, 1.0))

    @property
    def inverse_temperature(self) -> torch.Tensor | float:
        """Present eta, smaller after steps back to a better policy."""
        eta = self.settings.inverse_temperature * self.step_scale
        return eta if self.budget is None else eta / self.budget.weight

    def action_gradient(self, latent: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        """Gradient (B, D) of the target ensemble's mean at chunks (B, D), zero in coordinates outside the box.

        Latents (B, O) are the critic's.
        """
        with torch.enable_grad():
            actions = actions.detach().requires_grad_()
            pairs = torch.cat([latent, actions.clamp(-1.0, 1.0)], dim=-1)
            value = self.td_critic.target(pairs.unsqueeze(0)).mean(dim=0).sum()
        return torch.autograd.grad(value, actions)[0]

    def actor_loss(self, batch: TensorDict) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Adjoint matching on fresh paths, and flow matching of the behaviour on what has been done.

        With x_i the states of the policy's SDE, p_K = -eta grad Q at their ends and p_i carried back from there:
        sum_i |2 / sigma_i (v_f - v_b) + sigma_i p_i|^2, with v_b the slow copy of the behaviour.
        """
        obs, exists = batch["obs"][:, 0], batch["valid"].squeeze(-1)
        latent, eta = self.actor.get_latent(obs), self.inverse_temperature
        with torch.no_grad():
            slow_latent = self.slow.get_latent(obs)
        states, adjoint = self.paths(latent.detach(), slow_latent, self.critic.get_latent(obs))
        x, t = states[:-1], time_grid(self.settings.num_sde_steps, latent.device).unsqueeze(-1)
        with torch.no_grad():
            slow = self.slow.drift(x, t, slow_latent)
        change = self.actor.drift(x, t, latent) - slow

        def mean(values: torch.Tensor) -> torch.Tensor:
            # Places of an empty replay count nothing.
            return (values * exists).sum() / count(exists)

        loss = mean(adjoint_matching_loss(change, eta * adjoint))
        metrics = {
            "matching": loss,
            "path_kl": mean(path_kl(change.detach())) / self.actor.horizon,
            "adjoint": mean(adjoint.norm(dim=-1).mean(dim=0)),
            "saturation": (states[-1].abs() >= 1.0).float().mean(),
        }
        if self.behaviour is not None:
            metrics["cloning"] = self.cloning_loss(obs, batch["action"].squeeze(1)) * exists.float().mean()
            loss = loss + metrics["cloning"]
        return loss, {name: value.detach() for name, value in metrics.items()}

    def paths(
        self, latent: torch.Tensor, slow_latent: torch.Tensor, critic_latent: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """States (K + 1, B, D) of the policy's SDE from fresh noise, and their adjoints (K, B, D) for eta = 1.

        Each of policy, behaviour and critic has latents of its own, all of B observations.
        """

        def slow(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            return self.slow.drift(x, t, slow_latent)

        def fast(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            return self.actor.drift(x, t, latent)

        noise = torch.randn(len(latent), self.actor.output_dim, device=latent.device)
        states = sample_memoryless(fast, slow, noise, self.settings.num_sde_steps)
        return states, lean_adjoint(slow, states, -self.action_gradient(critic_latent, states[-1]))

    def cloning_loss(self, obs: TensorDict, chunks: torch.Tensor) -> torch.Tensor:
        """Flow matching of the behaviour on chunks (B, D) done at observations (B,)."""
        latent = self.behaviour.get_latent(obs)
        t = sample_times(len(chunks), device=chunks.device)
        return flow_matching_loss(
            lambda x, t: self.behaviour.velocity_field(x, t, latent),
            chunks,
            torch.randn_like(chunks),
            t,
            self.behaviour.cfg.prediction,
        )

    def actor_step(self, step: int) -> dict[str, torch.Tensor]:
        """One step of policy and behaviour, after which the slow copy and the multiplier follow."""
        metrics = super().actor_step(step)
        if self.behaviour is not None:
            with torch.no_grad():
                parameters = list(self.slow.policy.parameters()), list(self.behaviour.parameters())
                torch._foreach_lerp_(*parameters, 1.0 - self.settings.target_momentum)
        if self.budget is not None:
            divergence = averaged(metrics["path_kl"])
            # It is exactly zero where the replay holds nothing yet, which says nothing about the budget.
            divergence = torch.where(divergence > 0, divergence / self.step_scale, self.budget.budget)
            self.budget.update(divergence)
            metrics["multiplier"] = self.budget.weight.clone()
        return metrics
