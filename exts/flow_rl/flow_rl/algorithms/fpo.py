# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""FPO++ (arXiv 2602.02481) and FPO (arXiv 2507.21053): PPO whose ratio comes from flow-matching losses."""

from __future__ import annotations

import math

import torch
from rsl_rl.env import VecEnv
from rsl_rl.models import MLPModel
from tensordict import TensorDict

from flow_rl.models import FlowPolicy
from flow_rl.objectives import flow_matching_error, ppo_surrogate

from .base import Decision
from .fpo_settings import FpoSettings
from .ppo_base import PpoAlgorithm

TIME_RANGE = 0.005, 0.995
"""Where uniform times lie."""


class Fpo(PpoAlgorithm):
    """PPO on rho = exp(l_old - l), where l is the flow-matching loss of the executed chunk.

    The loss at pairs of noise and time bounds the chunk's negative log-likelihood. Pairs are drawn once, when the chunk
    is executed, and kept, so that old and new loss differ by the policy alone. Chunks come from the flow as it is
    played; where noise is added, the perturbed chunk is both executed and kept. The loss is that of the velocity also
    where an earlier learner left a score drift in the policy, which stays as it is.
    """

    settings_class = FpoSettings
    settings: FpoSettings

    def __init__(self, env: VecEnv, actor: FlowPolicy, critic: MLPModel, settings: FpoSettings, **contract):
        """Build the learner; the base class explains the remaining arguments."""
        num, dim = settings.num_samples, actor.output_dim
        fields = {"chunk": (dim,), "noise": (num, dim), "time": (num, 1), "loss": (num,)}
        super().__init__(env, actor, critic, settings, fields=fields, modules={}, **contract)
        self.actor.output_std = torch.full((1,), settings.perturbation, device=self.device)

    @property
    def name(self) -> str:
        """Both are one learner."""
        return "fpo"

    def explore(self, latent: torch.Tensor) -> Decision:
        """Ends of the flow, perturbed; they are kept with pairs of noise and time and the losses at those."""
        # random, even if the policy is played from zero noise as FPO++ evaluates it
        end = self.actor.sample(latent, torch.randn(len(latent), self.actor.output_dim, device=latent.device))
        chunk = (end + self.settings.perturbation * torch.randn_like(end)).clamp(-1.0, 1.0)
        noise = torch.randn(len(chunk), self.settings.num_samples, chunk.shape[-1], device=chunk.device)
        t = self.draw_times(len(chunk))
        loss = self.matching_losses(chunk, noise, t, latent)
        return Decision(chunk, {"chunk": chunk, "noise": noise, "time": t, "loss": loss})

    def draw_times(self, num: int) -> torch.Tensor:
        """Times of the pairs of as many decisions, shape (num, P, 1)."""
        shape = num, self.settings.num_samples, 1
        if self.settings.times == "grid":
            num_steps = self.actor.num_flow_steps
            return torch.randint(num_steps, shape, device=self.device) / num_steps
        low, high = TIME_RANGE
        return low + (high - low) * torch.rand(shape, device=self.device)

    def matching_losses(
        self, chunk: torch.Tensor, noise: torch.Tensor, t: torch.Tensor, latent: torch.Tensor
    ) -> torch.Tensor:
        """Flow-matching losses of chunks at pairs, shape (B, P).

        Args:
            chunk: Executed chunks, normalised, shape (B, H * A).
            noise: Noises of the pairs, shape (B, P, H * A).
            t: Their times, shape (B, P, 1).
            latent: Latents, shape (B, L).
        """
        latent = latent.unsqueeze(1)  # (B, 1, L)
        chunk = chunk.unsqueeze(1).expand_as(noise)
        error = flow_matching_error(lambda x, t: self.actor.velocity_field(x, t, latent), chunk, noise, t)
        if self.settings.error == "noise":
            error = t * error  # x_0 - (x_t - t v)
        penalty = huber(error, self.settings.huber_delta)
        if self.settings.reduction == "mean":
            loss = penalty.mean(dim=-1)
        elif self.settings.reduction == "rows":
            loss = penalty.sum(dim=-1) / self.actor.action_dim
        else:
            loss = penalty.sum(dim=-1) / math.sqrt(penalty.shape[-1])
        return loss if self.settings.loss_bound is None else loss.clamp(max=self.settings.loss_bound)

    def surrogate_loss(
        self, batch: TensorDict, latent: torch.Tensor, advantage: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Clipped surrogate of the ratios of pairs, or of decisions."""
        settings = self.settings
        loss, old = self.matching_losses(batch["chunk"], batch["noise"], batch["time"], latent), batch["loss"]
        matching = loss.mean()
        if settings.ratio == "decision":
            loss, old = loss.mean(dim=-1), old.mean(dim=-1)
        else:
            advantage = advantage.unsqueeze(-1)
        surrogate = ppo_surrogate(
            -loss,
            -old,
            advantage,
            settings.clip_param,
            log_ratio_bound=settings.log_ratio_bound or math.inf,
            straight_through=True,
            negative=settings.negative,
        )
        saturation = (batch["chunk"].abs() >= 1.0).float().mean()
        return surrogate.loss, self.about(surrogate) | {"matching": matching, "saturation": saturation}


def huber(error: torch.Tensor, delta: float | None) -> torch.Tensor:
    """e^2 up to delta and 2 delta |e| - delta^2 beyond, twice the usual Huber loss; None for e^2 alone."""
    if delta is None:
        return error.square()
    size = error.abs()
    return torch.where(size <= delta, error.square(), 2.0 * delta * size - delta**2)
