# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""SAC Flow (arXiv 2509.25756): soft actor-critic whose policy is a flow, with gradients through all of its steps."""

from __future__ import annotations

import math

import torch
from rsl_rl.env import VecEnv
from tensordict import TensorDict

from flow_rl.flows import ChainBounds, clamp_returning, sample_chain, time_grid
from flow_rl.models import FlowPolicy, QEnsemble
from flow_rl.nn import NoisePredictor
from flow_rl.ranks.collective import count
from flow_rl.utils.check import require

from .base import Decision
from .off_policy import OffPolicyAlgorithm
from .optimizer import ParameterGroup
from .sac_flow_settings import SacFlowSettings
from .temperature import Temperature


class SacFlow(OffPolicyAlgorithm):
    """Noise in each step, x_{i+1} ~ N(x_i + v / K, sigma^2), gives the path x_0 .. x_K a likelihood.

    Its negative logarithm stands for the entropy of SAC: that of the path, of which sigma is what can change. v is the
    policy's own, whatever its network: the paper's gated and decoded velocities are networks to be trained from
    nothing, and at small K what was pretrained needs no gate. Nor is the end squashed by a tanh, which would not
    leave a cloned policy what it was: means are clipped as the policy's steps are, and the end where critic and
    environment receive it, with gradients that lead back inside. Likelihoods are those before that. What is played
    after learning is the flow without noise.
    """

    settings_class = SacFlowSettings
    settings: SacFlowSettings

    def __init__(
        self,
        env: VecEnv,
        actor: FlowPolicy,
        critic: QEnsemble,
        settings: SacFlowSettings,
        **contract,
    ):
        """Build the learner; the base class explains the remaining arguments."""
        require(
            not (critic.dueling and settings.entropy_in_backup),
            "agent.critic.dueling",
            critic.dueling,
            "false while values contain an entropy: the V of such critics is that of observations, without chunks",
            "set it to false, or agent.algorithm.entropy_in_backup=false.",
        )
        require(
            actor.head is None,
            "agent.actor.head.kind",
            actor.cfg.head.kind,
            "'none': the chain's likelihood is that of the flow alone",
            "use a policy without a head.",
        )
        self.noise_predictor = NoisePredictor(
            actor.output_dim,
            actor.latent_dim,
            actor.cfg.time_embedding_dim,
            (settings.std_min, settings.std_max),
            settings.noise_hidden_dims,
        )
        target = path_entropy(actor.num_flow_steps, actor.output_dim, settings.target_std)
        self.temperature = Temperature(settings.temperature, target, settings.learn_temperature)
        mean = actor.cfg.intermediate_clip or math.inf
        self.bounds = ChainBounds(mean=mean, deviations=settings.noise_clip, action=math.inf, returning=True)
        modules = {"noise_predictor": self.noise_predictor, "temperature": self.temperature}
        super().__init__(env, actor, critic, settings, fields={}, modules=modules, **contract)

    @property
    def name(self) -> str:
        """SAC Flow."""
        return "sac_flow"

    def more_groups(self) -> dict[str, ParameterGroup]:
        """The temperature moves at its own rate."""
        groups, rate = super().more_groups(), self.settings.temperature_learning_rate
        if self.settings.learn_temperature:
            groups["temperature"] = ParameterGroup([self.temperature.log_scale], rate, rate)
        return groups

    def std(self, t: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Noise at times (..., 1), shape (..., H * A)."""
        return self.noise_predictor(self.actor.time_features(t), latent)

    def chain(self, latent: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Chunks (B, H * A) at the ends of fresh chains at latents (B, L), and the paths' log-densities (B,).

        Gradients pass to policy and noise. The density is that of all K + 1 states and all coordinates, a sum.
        """
        noise = torch.randn(latent.shape[0], self.actor.output_dim, device=latent.device)
        chain = sample_chain(
            lambda x, t: self.actor.drift(x, t, latent),
            lambda x, t: self.std(t, latent),
            self.actor.prior(latent, noise),
            self.actor.num_flow_steps,
            self.bounds,
        )
        return clamp_returning(chain.action, 1.0), self.actor.output_dim * chain.log_prob.sum(dim=-1)

    def explore(self, latent: torch.Tensor) -> Decision:
        """Ends of fresh chains."""
        return Decision(self.chain(latent)[0])

    def next_chunks(self, obs: TensorDict) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Ends of fresh chains, and what their entropy is worth: alpha (-log pi - H_target)."""
        latent = self.actor.get_latent(obs)
        draws = [self.chain(latent) for _ in range(self.settings.bootstrap_draws)]
        chunks, log_prob = (torch.stack(part) for part in zip(*draws, strict=True))
        if not self.settings.entropy_in_backup:
            return chunks, None
        return chunks, -self.temperature() * (log_prob + self.temperature.target_entropy)

    def value_gradient(self, latent: torch.Tensor, chunks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Values (B,) of chunks (B, H * A) at the critic's latents (B, O), and their gradients (B, H * A).

        Members are combined as `bootstrap` says. The critic's parameters get no gradients.
        """
        chunks = chunks.detach().requires_grad_()
        value = self.td_critic.reduce(self.critic(latent.expand(1, -1, -1), chunks.unsqueeze(0)))
        return value.detach(), torch.autograd.grad(value.sum(), chunks)[0]

    def actor_loss(self, batch: TensorDict) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Loss alpha log pi - Q of fresh chains, that of the temperature, and flow matching on what succeeded."""
        obs, exists = batch["obs"][:, 0], batch["valid"].squeeze(-1)
        latent = self.actor.get_latent(obs)
        chunks, log_prob = self.chain(latent)
        value, gradient = self.value_gradient(self.critic.get_latent(obs), chunks)
        alpha = self.temperature()

        # Places of an empty replay count nothing.
        weight = exists / count(exists)
        # the gradient of -Q with respect to policy and noise, by the chain rule
        loss = (weight * (alpha * log_prob - (chunks * gradient).sum(dim=-1))).sum()
        if self.settings.learn_temperature:
            loss = loss + (weight * self.temperature.loss(log_prob)).sum()
        metrics = {
            "q": (weight * value).sum(),
            "q_slope": (weight * gradient.norm(dim=-1)).sum(),
            "entropy_excess": -(weight * log_prob).sum() - self.temperature.target_entropy,
            "temperature": alpha,
            "saturation": (chunks.abs() >= 1.0).float().mean(),
        }
        if self.settings.imitation_coef > 0:
            metrics["imitation"] = self.imitation_loss()
            loss = loss + self.settings.imitation_coef * metrics["imitation"]
        with torch.no_grad():
            std = self.std(time_grid(self.actor.num_flow_steps, self.device), latent.unsqueeze(1))
            self.actor.output_std = std.mean(dim=(0, 2))
            metrics["sigma"] = std.log().mean().exp()
        return loss, {name: value.detach() for name, value in metrics.items()}

    def compile(self, mode: str) -> None:
        """Compile the noisy chain and the critic's loss; in "reduce-overhead" mode they become CUDA graphs."""
        self.chain = torch.compile(self.chain, mode=mode)
        self.td_critic.compile(mode)


def path_entropy(num_steps: int, action_dim: int, std: float) -> float:
    """Entropy [nat] of x_0 ~ N(0, I) and of num_steps Gaussian steps of one deviation, in action_dim coordinates."""
    return action_dim * ((num_steps + 1) * 0.5 * math.log(2.0 * math.pi * math.e) + num_steps * math.log(std))
