# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""ResiP (arXiv 2407.16677): a Gaussian correction of a frozen policy, learnt by PPO."""

from __future__ import annotations

import math

import torch
from rsl_rl.env import VecEnv
from rsl_rl.models import MLPModel
from tensordict import TensorDict
from torch import nn
from torch.distributions import Normal

from flow_rl.models import FlowPolicy
from flow_rl.objectives import ppo_surrogate

from .base import Decision
from .ppo_base import PpoAlgorithm
from .resip_settings import ResipSettings


class Resip(PpoAlgorithm):
    """PPO on d ~ N(tanh(h(s, b)), sigma^2), with a = clip(b + c d, -1, 1) executed and b the frozen flow's chunk.

    The likelihood is that of d given b. Played without noise, d is its mean: the policy's head.
    """

    settings_class = ResipSettings
    settings: ResipSettings
    keeps_base = True

    def __init__(
        self,
        env: VecEnv,
        actor: FlowPolicy,
        critic: MLPModel,
        settings: ResipSettings,
        **contract,
    ):
        """Build the learner; the base class explains the remaining arguments."""
        actor.freeze_base()
        log_std = torch.full((actor.output_dim,), math.log(settings.init_std))
        self.noise = nn.ParameterDict({"log_std": nn.Parameter(log_std, requires_grad=settings.learn_std)})
        fields = {"base": (actor.output_dim,), "correction": (actor.output_dim,), "log_prob": ()}
        super().__init__(env, actor, critic, settings, fields=fields, modules={"noise": self.noise}, **contract)
        self._show_std()

    @property
    def name(self) -> str:
        """ResiP."""
        return "resip"

    def explore(self, latent: torch.Tensor) -> Decision:
        """The base's chunks plus freshly sampled corrections; both and the likelihood are kept."""
        base = self.actor.flow(latent)[-1].clamp(-1.0, 1.0)
        corrections = self.corrections(base, latent)
        drawn = corrections.sample()
        record = {"base": base, "correction": drawn, "log_prob": corrections.log_prob(drawn).sum(dim=-1)}
        return Decision((base + self.actor.head.scale * drawn).clamp(-1.0, 1.0), record)

    def corrections(self, base: torch.Tensor, latent: torch.Tensor) -> Normal:
        """Distribution of corrections (B, H * A), in units of the scale, of the base's chunks (B, H * A)."""
        mean = self.actor.head.correction(base, latent)
        return Normal(mean, self.noise["log_std"].exp().expand_as(mean), validate_args=False)

    def surrogate_loss(
        self, batch: TensorDict, latent: torch.Tensor, advantage: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Clipped surrogate of the corrections' likelihood ratios, and entropy bonus."""
        corrections = self.corrections(batch["base"], latent)
        surrogate = ppo_surrogate(
            corrections.log_prob(batch["correction"]).sum(dim=-1),
            batch["log_prob"],
            advantage,
            self.settings.clip_param,
            log_ratio_bound=20.0,  # a sum over the chunk may move far, and shall be called back from there, too
        )
        entropy = corrections.entropy().sum(dim=-1).mean()
        executed = batch["base"] + self.actor.head.scale * batch["correction"]
        metrics = self.about(surrogate) | {
            "entropy": entropy,
            "correction": corrections.mean.abs().mean(),
            "saturation": (executed.abs() >= 1.0).float().mean(),
        }
        return surrogate.loss - self.settings.entropy_coef * entropy, metrics

    def finish_iteration(self, log: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        """Return the mean deviation in normalised action units, and the first ratios' distance from 1."""
        self._show_std()
        return super().finish_iteration(log) | {"sigma": self.actor.output_std.mean()}

    def _show_std(self) -> None:
        self.actor.output_std = self.actor.head.scale * self.noise["log_std"].detach().exp()
