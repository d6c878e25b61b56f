# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What learners share that follow a clipped surrogate (PPO, arXiv 1707.06347) of some ratio of new to old policy."""

from __future__ import annotations

from abc import abstractmethod

import torch
from rsl_rl.env import VecEnv
from rsl_rl.models import MLPModel
from tensordict import TensorDict
from torch import nn

from flow_rl.models import Anchor, FlowPolicy
from flow_rl.objectives import PpoSurrogate, value_loss
from flow_rl.ranks.collective import averaged, standardised

from .on_policy import OnPolicyAlgorithm
from .ppo_settings import PpoSettings


class PpoAlgorithm(OnPolicyAlgorithm):
    """Critic and surrogate in one loss, a pull to the pretrained policy, an end to iterations that lead too far.

    A learner says what the ratio is.
    """

    settings_class = PpoSettings
    settings: PpoSettings

    def __init__(
        self,
        env: VecEnv,
        actor: FlowPolicy,
        critic: MLPModel,
        settings: PpoSettings,
        *,
        modules: dict[str, nn.Module],
        **contract,
    ):
        """Build the learner; the base class explains the remaining arguments."""
        self.anchor = Anchor(actor) if settings.bc_coef > 0 else None
        if self.anchor is not None:
            modules = modules | {"bc": self.anchor}
        super().__init__(env, actor, critic, settings, modules=modules, **contract)

    @abstractmethod
    def surrogate_loss(
        self, batch: TensorDict, latent: torch.Tensor, advantage: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Loss of the policy, and scalars for the log with those of :meth:`about`.

        Args:
            batch: A mini-batch.
            latent: Its latents under the present policy, shape (B, L).
            advantage: Its advantages, normalised, shape (B,).
        """

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
        """The learner's loss on advantages normalised over all ranks, and the pull to the pretrained policy."""
        latent = self.actor.get_latent(batch["obs"])
        loss, metrics = self.surrogate_loss(batch, latent, standardised(batch["advantage"]))
        if self.anchor is not None:
            metrics["bc"] = self.settings.bc_coef * self.anchor_loss(latent, batch["obs"])
            loss = loss + metrics["bc"]
        return loss, {name: value.detach() for name, value in metrics.items()}

    def about(self, surrogate: PpoSurrogate) -> dict[str, torch.Tensor]:
        """Return what the log says of a surrogate."""
        return {
            "surrogate": surrogate.loss,
            "ratio": surrogate.ratio.mean(),
            "ratio_error": (surrogate.ratio - 1.0).abs().max(),
            "kl": surrogate.kl,
            "clip_fraction": surrogate.clip_fraction,
        }

    def anchor_loss(self, latent: torch.Tensor, obs: TensorDict) -> torch.Tensor:
        """Mean squared distance of the policy's chunks from the anchor's, from the same noise (ReinFlow's W2)."""
        noise = torch.randn(latent.shape[0], self.actor.output_dim, device=latent.device)
        anchored = self.anchor.sample(self.anchor.get_latent(obs), noise)
        return (self.actor.sample(latent, noise) - anchored).square().mean()

    def stop_early(self, log: list[dict[str, torch.Tensor]]) -> bool:
        """Stop when the epoch moved the policy too far; all ranks decide alike."""
        if self.settings.target_kl is None:
            return False
        kl = averaged(torch.stack([entry["kl"] for entry in log]).mean())
        return bool(kl > self.settings.target_kl)

    def finish_iteration(self, log: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        """Return the first ratios' distance from 1, which is nothing but rounding."""
        return {"ratio_error_first": log[0]["ratio_error"]}
