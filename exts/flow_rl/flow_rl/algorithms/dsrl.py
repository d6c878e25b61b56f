# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""DSRL (arXiv 2506.15799): reinforcement learning of the noise that a frozen flow starts from."""

from __future__ import annotations

import copy

import torch
from rsl_rl.env import VecEnv
from tensordict import TensorDict

from flow_rl.models import FlowPolicy, QEnsemble
from flow_rl.ranks.collective import count
from flow_rl.utils.check import require

from .base import Decision
from .dsrl_settings import DsrlSettings
from .off_policy import OffPolicyAlgorithm
from .optimizer import ParameterGroup
from .temperature import Temperature


class Dsrl(OffPolicyAlgorithm):
    """A soft actor-critic whose action is the flow's initial state w; the flow F from w to a chunk stays as it is.

    The actor is the policy's prior: w / b = tanh(u / b), u Gaussian. In the NA version (noise aliasing) the critic Q^A
    sees chunks, whichever of the many noises led there, and is distilled into a critic Q^W of noise, so that no
    gradient passes through the flow. In the SAC version the replay's actions are noises, and the critic is Q^W itself.
    """

    settings_class = DsrlSettings
    settings: DsrlSettings
    keeps_base = True

    def __init__(self, env: VecEnv, actor: FlowPolicy, critic: QEnsemble, settings: DsrlSettings, **contract):
        """Build the learner, freezing all of the policy but its prior; the base class explains the arguments."""
        kind = actor.cfg.prior.kind
        require(kind == "steered", "agent.actor.prior.kind", kind, "'steered'", "leave it out: DSRL learns the prior.")
        base = actor.base
        require(
            base is None or actor.sampler.takes_noise,
            "agent.actor.base.source",
            base and f"{base.name}, whose noise is {base.noise_shape or 'no input'}",
            f"a policy that begins with noise of size {actor.output_dim} = H * A, which is all that DSRL learns",
            "choose one that takes noise as an input, or the learner residual or resip.",
        )
        require(
            not (settings.backup_entropy and critic.dueling),
            "agent.critic.dueling",
            True,
            "false where values contain entropies: returns that end in V draw no chunks",
            "set it to false, or agent.algorithm.backup_entropy=false.",
        )
        require(
            settings.variant == "NA" or settings.demonstrations is None,
            "agent.algorithm.demonstrations",
            settings.demonstrations,
            "null in the SAC version, whose critic judges noises, which demonstrations do not tell",
            "leave it out, or set agent.algorithm.variant=NA.",
        )
        actor.requires_grad_(False)
        actor.prior.requires_grad_(True)
        self.temperature = Temperature(settings.initial_temperature, settings.target_entropy * actor.output_dim)
        modules = {"temperature": self.temperature}
        self.noise_critic = critic.mlp
        if settings.variant == "NA":
            self.noise_critic = modules["noise_critic"] = copy.deepcopy(critic.mlp)
        super().__init__(env, actor, critic, settings, fields={}, modules=modules, **contract)
        self.noise_std = torch.ones(1, device=self.device)
        self.actor.output_std = self.noise_std
        self.distilled = torch.zeros((), device=self.device)

    @property
    def name(self) -> str:
        """DSRL."""
        return "dsrl"

    def more_groups(self) -> dict[str, ParameterGroup]:
        """The temperature, and the critic of noise, at the critic's rate."""
        settings = self.settings
        rate = settings.temperature_learning_rate
        groups = super().more_groups()
        groups["temperature"] = ParameterGroup(list(self.temperature.parameters()), rate, rate)
        if settings.variant == "NA":
            rates = settings.critic_learning_rate, settings.final_critic_learning_rate
            groups["noise_critic"] = ParameterGroup(list(self.noise_critic.parameters()), *rates)
        return groups

    """
    Acting.
    """

    def draw(self, latent: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Noise (B, H * A) at latents (B, L), and the log-density (B) of it over its bound."""
        noise = torch.randn(latent.shape[0], self.actor.output_dim, device=latent.device)
        return self.actor.prior.steering.draw(noise, latent)

    def end(self, latent: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Chunks (B, H * A) to which the flow leads noise (B, H * A) at latents (B, L)."""
        return self.actor.chunk(latent, noise)

    def explore(self, latent: torch.Tensor) -> Decision:
        """Chunks from the prior's noise, which needs no other."""
        noise, _ = self.draw(latent)
        self.noise_std.copy_(noise.std())
        return Decision(self.end(latent, noise), {"noise": noise})

    def judged(self, decision: Decision) -> torch.Tensor:
        """Noises in the SAC version, chunks in the other."""
        return decision.record["noise"] if self.settings.variant == "SAC" else decision.chunk

    def next_chunks(self, obs: TensorDict) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Chunks (draws, N, H * A) to end returns with, or noises in the SAC version, and - alpha log pi (draws, N)."""
        draws = self.settings.bootstrap_draws
        latent = self.actor.get_latent(obs).repeat(draws, 1)
        noise, log_prob = self.draw(latent)
        actions = noise if self.settings.variant == "SAC" else self.end(latent, noise)
        bonus = (-self.temperature() * log_prob).unflatten(0, (draws, -1)) if self.settings.backup_entropy else None
        return actions.unflatten(0, (draws, -1)), bonus

    """
    Learning.
    """

    def begin_iteration(self) -> None:
        """Teach the critic of noise what that of chunks has learnt; this is the paper's order, too."""
        if self.settings.variant == "NA":
            losses = [self.distill() for _ in range(self.settings.num_distillation_updates)]
            self.distilled = torch.stack(losses).mean()

    def distill(self) -> torch.Tensor:
        """One step of Q^W towards Q^A of the flow's ends, member by member; returns the loss."""
        batch = self.states()
        loss = self.distillation_loss(batch["obs"][:, 0], batch["valid"].squeeze(-1))
        self.optimizer.minimize(loss)
        return loss.detach()

    def distillation_loss(self, obs: TensorDict, exists: torch.Tensor) -> torch.Tensor:
        """Sum over members of 1/2 (Q^W_m(s, w) - Q^A_m(s, F(s, w)))^2, mean over the observations (B,) that exist (B).

        w is the prior's for a share of them, and standard normal for the others.
        """
        with torch.no_grad():
            latent, seen = self.actor.get_latent(obs), self.critic.get_latent(obs)
            noise = torch.randn(latent.shape[0], self.actor.output_dim, device=latent.device)
            own = torch.rand_like(noise[:, :1]) < self.settings.distillation_own_fraction
            noise = torch.where(own, self.draw(latent)[0], noise)
            target = self.critic(seen.unsqueeze(0), self.end(latent, noise).unsqueeze(0))  # (M, B)
        error = (self.noise_values(seen, noise) - target).square() * exists
        return 0.5 * error.sum() / count(exists)

    def actor_loss(self, batch: TensorDict) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The mean of alpha log pi(w | s) - min_m Q^W_m(s, w), and the loss of the temperature.

        Q^W enters as the product of w with its own gradient there, so that none reaches the critic's parameters.
        """
        obs, exists = batch["obs"][:, 0], batch["valid"].squeeze(-1)
        latent = self.actor.get_latent(obs)
        noise, log_prob = self.draw(latent)
        values, gradient = self.noise_gradient(self.critic.get_latent(obs), noise)
        losses = torch.stack(
            [self.temperature() * log_prob - (gradient * noise).sum(dim=-1), self.temperature.loss(log_prob)]
        )
        weight = exists / count(exists)  # places of an empty replay count nothing
        with torch.no_grad():
            mean, log_std = self.actor.prior.steering.gaussian(latent)
            metrics = {
                "noise_value": (values * weight).sum(),
                "entropy": -(log_prob * weight).sum() / self.actor.output_dim,
                "temperature": self.temperature(),
                "noise_mean": mean.square().mean().sqrt(),
                "noise_std": log_std.exp().mean(),
            }
        if self.settings.variant == "NA":
            metrics["distillation"] = self.distilled
        return (losses * weight).sum(), metrics

    def noise_values(self, seen: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Values (M, B) of noise (B, H * A), by the critic of noise, at what critics see of observations (B, O)."""
        return self.noise_critic(torch.cat([seen, noise], dim=-1).unsqueeze(0)).squeeze(-1)

    def noise_gradient(self, seen: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Least of the members' values (B), as SAC takes it, and its gradient with respect to the noise (B, H * A)."""
        noise = noise.detach().requires_grad_()
        values = self.noise_values(seen, noise).amin(dim=0)
        return values.detach(), torch.autograd.grad(values.sum(), noise)[0]

    def compile(self, mode: str) -> None:
        """Compile the frozen flow and the critic's loss; in "reduce-overhead" mode they become CUDA graphs."""
        self.end = torch.compile(self.end, mode=mode)
        self.td_critic.compile(mode)
