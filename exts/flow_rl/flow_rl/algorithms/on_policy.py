# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What on-policy learners of flow policies share: rollouts, advantages, epochs of mini-batches."""

from __future__ import annotations

from abc import abstractmethod

import torch
from tensordict import TensorDict
from torch import nn

from flow_rl.kernels import lambda_scan
from flow_rl.objectives import calibration_error, explained_variance, generalized_advantages
from flow_rl.storage.reward_scaler import RewardScaler
from flow_rl.storage.rollout import RolloutStorage
from flow_rl.utils.check import require

from .base import Decision, FlowAlgorithm, kept_groups


class OnPolicyAlgorithm(FlowAlgorithm):
    """Learning from the present rollout. A learner says what it explores with, what it keeps, and its loss."""

    reward_scaler: RewardScaler | None = None
    """What rewards are divided by, if by anything."""

    def remember(self, obs: TensorDict, num_steps: int, fields: dict[str, tuple[int, ...]]) -> dict[str, nn.Module]:
        """Make room for a rollout."""
        settings = self.settings
        decisions = num_steps * obs.batch_size[0]
        require(
            decisions >= 2 * settings.num_mini_batches,
            "agent.algorithm.num_mini_batches",
            settings.num_mini_batches,
            f"at most half the {decisions} decisions of an iteration (num_steps_per_env x num_envs)",
            "lower it, or raise agent.num_steps_per_env.",
        )
        require(
            self.actor.selector is None,
            "agent.actor.selector.kind",
            self.actor.cfg.selector.kind,
            "'none' for this learner, whose critic does not judge chunks",
            "leave it out, or use an off-policy learner.",
        )
        self.kept = kept_groups(self.actor, self.critic)
        self.storage = RolloutStorage(obs.select(*self.kept), num_steps, fields, self.device)
        if not settings.scale_rewards:
            return {}
        self.reward_scaler = RewardScaler(obs.batch_size[0], settings.gamma)
        return {"reward_scaler": self.reward_scaler}

    """
    What a learner adds.
    """

    @abstractmethod
    def losses(self, batch: TensorDict) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Loss of a mini-batch, and detached scalars for the log."""

    def stop_early(self, log: list[dict[str, torch.Tensor]]) -> bool:
        """Whether the epoch that left these scalars shall be the last of the iteration."""
        return False

    def finish_iteration(self, log: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        """Leave in the policy what playing it needs, and return scalars beyond those of :meth:`losses`."""
        return {}

    """
    The stock runner's contract.
    """

    @staticmethod
    def critic_dim(num_actions: int) -> int:
        """One value."""
        return 1

    def begin_training(self) -> None:
        """Begin the running returns of environments anew where they have been reset."""
        if self.reward_scaler is not None:
            self.reward_scaler.returns.mul_(self.env.episode_length_buf.to(self.device) > 0)

    def keep(self, obs: TensorDict, decision: Decision) -> None:
        """Keep the decision, and the value of what it was made upon."""
        self.storage.record(obs=obs.select(*self.kept), value=self.critic(obs).squeeze(-1), **decision.record)

    def process_env_step(self, obs: TensorDict, rewards: torch.Tensor, dones: torch.Tensor, extras: dict) -> None:
        """Keep what followed. Time limits arrive as `time_outs`, with the last observations as `final_obs`."""
        terminated, truncated = self.door.ends(dones, extras)
        if "final_obs" in extras and not self.settings.time_limit_is_terminal:
            value = self.critic(self.door.final_obs(extras, self.final_groups)).squeeze(-1)
            terminal_value = torch.where(truncated, value, 0.0)
        else:
            terminal_value = torch.zeros_like(rewards)
        self.storage.record(reward=rewards, terminated=terminated, truncated=truncated, terminal_value=terminal_value)
        self.storage.advance()

    def compute_returns(self, obs: TensorDict) -> None:
        """Advantages and returns of the finished rollout, given the observations that follow it."""
        self.door.check_final_obs()
        data = self.storage.data
        rewards = data["reward"]
        if self.reward_scaler is not None:
            self.reward_scaler.update(rewards, data["terminated"] | data["truncated"])
            rewards = self.reward_scaler(rewards)
        last_values = self.critic(self.door(obs)).squeeze(-1)
        ends = data["terminated"], data["truncated"], data["terminal_value"]
        advantages = generalized_advantages(
            rewards, data["value"], last_values, *ends, self.settings.gamma, self.settings.lam, scan=lambda_scan
        )
        data["advantage"].copy_(advantages)
        data["return"].copy_(advantages + data["value"])

    def update(self) -> dict[str, float]:
        """Epochs of mini-batches over the rollout, then one step of every schedule. Returns the means for the log."""
        self._apply_schedules()
        self.probe.begin(self.actor)
        log: list[dict[str, torch.Tensor]] = []
        with self.stopwatch.phase("update"):
            for _ in range(self.settings.num_learning_epochs):
                first = len(log)
                for batch in self.storage.mini_batches(self.settings.num_mini_batches):
                    loss, metrics = self.losses(batch)
                    log.append(metrics | self.optimizer.minimize(loss))
                if self.stop_early(log[first:]):
                    break
        data = self.storage.data
        self.critic.update_normalization(data["obs"].flatten(0, 1))
        scalars = {
            **self.finish_iteration(log),
            "explained_variance": explained_variance(data["value"], data["return"]),
            "calibration_error": calibration_error(data["value"].flatten(), data["return"].flatten()),
            "mean_value": data["value"].mean(),
        }
        if self.reward_scaler is not None:
            scalars["reward_scale"] = self.reward_scaler.scale
        numbers = self._numbers(scalars, log)
        self.storage.clear()
        return self.finish_update(numbers)

    def compile(self, mode: str) -> None:
        """Compile the velocity net and the critic."""
        self.actor.velocity.compile(mode=mode)
        self.critic.mlp.compile(mode=mode)
