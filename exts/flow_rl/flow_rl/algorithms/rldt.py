# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""RLDT (arXiv 2606.08602): off-policy fine-tuning by transporting the policy's density along a Stein field."""

from __future__ import annotations

from typing import Literal

import torch
from rsl_rl.env import VecEnv
from tensordict import TensorDict

from flow_rl.flows import interpolate, velocity_to_target
from flow_rl.kernels import svgd_diagnostics, svgd_field
from flow_rl.models import Anchor, FlowPolicy, QEnsemble
from flow_rl.ranks.collective import averaged, count

from .base import Decision
from .budget import Budget
from .off_policy import OffPolicyAlgorithm
from .rldt_settings import RldtSettings


class Rldt(OffPolicyAlgorithm):
    """Particles drawn by the flow are moved by the critic's gradient and by repulsion; the velocity learns the move.

    Neither likelihoods nor gradients through the sampler are needed: each particle teaches the velocity at one random
    step of its own chain.
    """

    settings_class = RldtSettings
    settings: RldtSettings

    def __init__(
        self,
        env: VecEnv,
        actor: FlowPolicy,
        critic: QEnsemble,
        settings: RldtSettings,
        **contract,
    ):
        """Build the learner; the base class explains the remaining arguments."""
        names = ("temperature", "kernel", "bandwidth", "normalization")
        self.kernel_settings = {name: getattr(settings, name) for name in names}
        first = int(settings.exploration_min_time * actor.num_flow_steps)
        self.exploration_first = min(first, actor.num_flow_steps - 1)
        self.reference = Anchor(actor)
        self.reference_follows = settings.reference == "iteration"
        modules = {} if self.reference_follows else {"reference": self.reference}
        self.budget: Budget | None = None
        if settings.reference_budget is not None:
            self.budget = modules["budget"] = Budget(settings.reference_coef, settings.reference_budget)
        super().__init__(env, actor, critic, settings, fields={}, modules=modules, **contract)
        self.reference.to(self.device)
        self.noise_scale = torch.zeros(1, device=self.device)
        self.actor.output_std = self.noise_scale

    @property
    def name(self) -> str:
        """RLDT."""
        return "rldt"

    def explore(self, latent: torch.Tensor) -> Decision:
        """Ends of the flow plus noise; "min_extrp" scales it by |x_K - a_k|, a_k the landing point of a late step k."""
        states = self.flow(latent)
        end = states[-1]
        if self.settings.exploration == "gaussian":
            scale = torch.full_like(end[:, :1], self.settings.exploration_std)
        else:
            x, t = self.random_states(states, self.exploration_first)
            landing = velocity_to_target(self.actor.drift(x, t, latent), x, t)
            scale = self.settings.exploration_std * (end - landing).norm(dim=-1, keepdim=True)
        self.noise_scale.copy_(scale.mean())
        return Decision((end + scale * torch.randn_like(end)).clamp(-1.0, 1.0))

    def random_states(self, states: torch.Tensor, first: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
        """State of each chain (K + 1, B, D) at a step k of its own, uniform in first .. K - 1, and its time k / K."""
        num_steps = self.actor.num_flow_steps
        k = torch.randint(first, num_steps, states.shape[1:-1], device=states.device)
        x = states.gather(0, k[None, ..., None].expand(1, *states.shape[1:])).squeeze(0)
        return x, k.unsqueeze(-1) / num_steps

    def action_gradient(self, latent: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        """Gradients (M, B, P, D) of the members' values with respect to chunks (B, P, D) at observations (B, O)."""
        actions = actions.detach().expand(self.critic.num_members, *actions.shape).requires_grad_()
        latent = latent.unsqueeze(1).expand(-1, actions.shape[2], -1)
        values = self.critic(latent.flatten(0, 1).expand(len(actions), -1, -1), actions.flatten(1, 2))
        return torch.autograd.grad(values.sum(), actions)[0]

    def actor_loss(self, batch: TensorDict) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Alignment with the field, straightness, and distance from the reference's velocity.

        With x a particle's state at a random step, v its velocity, a its own end, a_x = x + (1 - t) v where it is
        expected to land, w = 1 / (K (1 - t)), and phi the field at a_x of the particles' ends:
        - w <v, phi> + c w^2 |a_x - a|^2 + b |v - v_ref|^2, the last on lines from fresh noise to the ends; v_ref is
        the velocity of `reference`. With `imitation_coef`, a flow matching loss of successes is added.
        """
        obs, exists = batch["obs"][:, 0], batch["valid"]
        latent = self.actor.get_latent(obs)
        per_particle = latent.unsqueeze(1).expand(-1, self.settings.num_particles, -1)  # (B, P, O)
        with torch.no_grad():
            states = self.flow(per_particle.flatten(0, 1)).unflatten(1, per_particle.shape[:2])  # (K + 1, B, P, D)
            ends = states[-1].clamp(-1.0, 1.0)
            x, t = self.random_states(states)
        gradients = self.action_gradient(self.critic.get_latent(obs), ends)
        gradient = gradients.mean(dim=0)

        velocity = self.actor.drift(x, t, per_particle)
        landing = velocity_to_target(velocity, x, t)
        field = svgd_field(landing.detach(), ends, gradient, **self.kernel_settings, backend=self.settings.backend)
        if self.settings.preconditioner == "covariance":
            field = times_covariance(field, ends)
        alignment, consistency = transport_losses(
            velocity, landing, field, ends, t, self.actor.num_flow_steps, self.actor.cfg.prediction
        )
        reference = self.reference_loss(ends, per_particle, obs)
        # Places of an empty replay count nothing.
        losses = torch.stack([alignment, consistency, reference]) * exists / count(exists)
        alignment, consistency, reference = losses.flatten(1).sum(dim=-1)
        weight = self.settings.reference_coef if self.budget is None else self.budget.weight
        loss = alignment + self.settings.consistency_coef * consistency + weight / self.step_scale * reference
        metrics = {"alignment": alignment, "consistency": consistency, "reference": reference}
        if self.settings.imitation_coef > 0:
            metrics["imitation"] = self.imitation_loss(self.settings.num_particles)
            loss = loss + self.settings.imitation_coef * metrics["imitation"]
        # A few states tell enough: the diagnostics lack a kernel of their own.
        few = (tensor[:64] for tensor in (landing.detach(), ends, gradient))
        metrics |= svgd_diagnostics(*few, **self.kernel_settings)
        if len(gradients) > 1:
            metrics["agreement"] = agreement(gradients)
        metrics["saturation"] = (ends.abs() >= 1.0).float().mean()
        return loss, {name: value.detach() for name, value in metrics.items()}

    def reference_loss(self, ends: torch.Tensor, latent: torch.Tensor, obs: TensorDict) -> torch.Tensor:
        """Squared distance of velocity and reference (B, 1), mean over particles, at the grid's times.

        Each sees the observations (B,) with its own encoder, so that the distance is that of the policies.
        """
        num_steps = self.actor.num_flow_steps
        t = torch.randint(num_steps, (*ends.shape[:-1], 1), device=ends.device) / num_steps
        x = interpolate(torch.randn_like(ends), ends, t)
        with torch.no_grad():
            anchor = self.reference.drift(x, t, self.reference.get_latent(obs).unsqueeze(1).expand_as(latent))
        return (self.actor.drift(x, t, latent) - anchor).square().sum(dim=-1).mean(dim=-1, keepdim=True)

    def actor_step(self, step: int) -> dict[str, torch.Tensor]:
        """One step of the policy, after which the budget's weight follows."""
        metrics = super().actor_step(step)
        if self.budget is not None:
            self.budget.update(averaged(metrics["reference"]) / self.actor.output_dim)
            metrics["reference_weight"] = self.budget.weight.clone()
        return metrics

    def begin_iteration(self) -> None:
        """Measure distances from the present policy (a trust region), unless they are those from the first one."""
        if self.reference_follows:
            self.reference.follow(self.actor)


def agreement(gradients: torch.Tensor) -> torch.Tensor:
    """Mean product of two members' gradients over the mean square of one, of gradients (M, ...); M is at least 2.

    1 where all critics say the same, 0 where what they say is noise.
    """
    members = len(gradients)
    squares = gradients.square().sum() / members
    products = (gradients.sum(dim=0).square().sum() - members * squares) / (members * (members - 1))
    return products / squares.clamp(min=1e-12)


def times_covariance(field: torch.Tensor, particles: torch.Tensor) -> torch.Tensor:
    """Field (B, P, D) times the covariance (B, D, D) of P >= 2 particles (B, P, D), which is never formed.

    A kernel times a constant matrix is a matrix-valued kernel (arXiv 1910.12794). With this one, a step
    goes where the policy varies and spares what it does the same every time; of Gaussian policies it is the one that
    gains most within a bound on the KL divergence.
    """
    centred = particles - particles.mean(dim=1, keepdim=True)
    return (field @ centred.mT) @ centred / (particles.shape[1] - 1)


def transport_losses(
    velocity: torch.Tensor,
    landing: torch.Tensor,
    field: torch.Tensor,
    ends: torch.Tensor,
    t: torch.Tensor,
    num_steps: int,
    prediction: Literal["v", "x", "residual"],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Alignment -w <v, phi> and consistency w^2 |a_x - a|^2 of particles (B, P, D), means over P of shape (B, 1).

    w = 1 / (K (1 - t)) is at most 1, because t <= (K - 1) / K. A net that predicts ends is aligned by -<a_x, phi> / K.
    """
    w = 1.0 / (num_steps * (1.0 - t.squeeze(-1)))
    predicted, weight = (landing, 1.0 / num_steps) if prediction == "x" else (velocity, w)
    alignment = -weight * (predicted * field).sum(dim=-1)
    consistency = w.square() * (landing - ends).square().sum(dim=-1)
    return alignment.mean(dim=-1, keepdim=True), consistency.mean(dim=-1, keepdim=True)
