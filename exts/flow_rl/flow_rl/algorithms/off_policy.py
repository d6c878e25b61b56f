# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What off-policy learners of flow policies share: replay and order of the updates."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from itertools import repeat
from typing import Literal

import torch
from tensordict import TensorDict
from torch import nn

from flow_rl.demos.trajectories import demonstration_replay
from flow_rl.flows import interpolate
from flow_rl.ranks.collective import count
from flow_rl.storage.replay import TrajectoryReplay
from flow_rl.utils.check import require

from .base import Decision, FlowAlgorithm, kept_groups
from .optimizer import ParameterGroup
from .selection import Selection
from .td_critic import TdCritic


class OffPolicyAlgorithm(FlowAlgorithm):
    """Learning from the past with an ensemble of action values. A learner says how it explores and moves the policy.

    From the first decision to the numbers for the log nothing waits for the device.
    """

    def remember(self, obs: TensorDict, num_steps: int, fields: dict[str, tuple[int, ...]]) -> dict[str, nn.Module]:
        """Make room for trajectories, and copy the critic as its target."""
        settings, num_envs = self.settings, obs.batch_size[0]
        self.num_subsets = self.critic.num_members if settings.disjoint else 1
        self.selection = None if self.actor.selector is None else Selection(self)
        self.td_critic = TdCritic(self.critic, settings)
        self.replay = TrajectoryReplay(
            obs.select(*kept_groups(self.actor, self.critic)),
            {"action": (self.actor.output_dim,), **fields},
            capacity=settings.capacity * num_envs,
            max_length=int(self.env.max_episode_length),
            num_subsets=self.num_subsets,
            balanced=settings.balance_successes,
        )
        self.demonstrations: TrajectoryReplay | None = None
        if not settings.save_replay:
            self.unsaved.add("replay")  # for its size
        return {"target": self.td_critic.target, "replay": self.replay}

    """
    What a learner adds.
    """

    @abstractmethod
    def actor_loss(self, batch: TensorDict) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Loss of the policy at states (B,), and detached scalars for the log."""

    def judged(self, decision: Decision) -> torch.Tensor:
        """Of a decision, what the critic judges and the replay keeps as its action, shape (E, H * A)."""
        return decision.chunk

    def begin_iteration(self) -> None:  # noqa: B027 (a learner need not care)
        """Take note that the policy is about to change, once in each iteration in which it does."""

    def schedule(self) -> Iterator[Literal["critic", "actor"]]:
        """Whose turn it is in an iteration, as often as the settings say; while the critic warms up, "actor" is void.

        All steps of the critic come first. Who alternates takes the critic's targets from an older policy than its
        own, unless `target_repeat` is 1.
        """
        yield from repeat("critic", self.settings.num_critic_updates)
        yield from repeat("actor", self.settings.num_actor_updates)

    def next_chunks(self, obs: TensorDict) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Chunks to end returns with, and what is added to their values, such as an entropy.

        Returns:
            `bootstrap_draws` of the policy for each of N observations, shape (draws, N, H * A), and (draws, N) or None.
        """
        latent = self.actor.get_latent(obs)
        draws = [self.flow(latent)[-1].clamp(-1.0, 1.0) for _ in range(self.settings.bootstrap_draws)]
        return torch.stack(draws), None

    def imitation_loss(self, draws: int = 1) -> torch.Tensor:
        """Squared distance of the velocity from that of lines from fresh noise to chunks that led to a success.

        At the grid's times, from so many draws of noise and time per chunk; zero while the replay knows no success.
        For learners whose settings are :class:`ImitationSettings`.
        """
        settings, num_steps = self.settings, self.actor.num_flow_steps
        share = settings.imitation_new_fraction
        batch = self.replay.sample(settings.actor_batch_size, 1, new_fraction=share, split=False, successes=True)[0]
        shape = (len(batch), draws)
        latent = self.actor.get_latent(batch["obs"][:, 0]).unsqueeze(1).expand(*shape, -1)
        chunks = batch["action"].expand(*shape, -1)  # (B, P, D)
        noise = torch.randn_like(chunks)
        t = torch.randint(num_steps, (*shape, 1), device=chunks.device) / num_steps
        velocity = self.actor.drift(interpolate(noise, chunks, t), t, latent)
        error = (velocity - (chunks - noise)).square().sum(dim=-1).mean(dim=-1, keepdim=True)
        return (error * batch["valid"]).sum() / count(batch["valid"])

    """
    The stock runner's contract.
    """

    def more_groups(self) -> dict[str, ParameterGroup]:
        """What chooses among chunks, at the critic's rate."""
        return {} if self.selection is None else {"selector": self.selection.group()}

    @staticmethod
    def critic_dim(num_actions: int) -> int:
        """A chunk is an input of the critic."""
        return num_actions

    @property
    def final_groups(self) -> list[str]:
        """All that trajectories keep."""
        return self.replay.groups

    def begin_training(self) -> None:
        """Drop the trajectories that a restart has broken, and read demonstrations where they are not there yet.

        Not before: the policy that has been loaded says how actions are normalised and images are seen.
        """
        self.replay.align(self.env.episode_length_buf)
        if self.settings.demonstrations is not None and self.demonstrations is None:
            self.demonstrations = demonstration_replay(
                self.settings.demonstrations,
                self.replay,
                self.door.sources(self.replay.groups),
                self.door,
                self.actor.action_normalizer,
                self.actor.action_dim,
                self.num_subsets,
            )
            self.demonstrations.prepare(1, self.settings.window)

    def decide(self, obs: TensorDict) -> Decision:
        """Choose chunks at observations (E,), the best of several if the policy selects and the critic has learnt."""
        selects = self.selection is not None and self.settings.select_in_rollout and not self.warming_up
        return self.selection.decide(obs) if selects else super().decide(obs)

    def keep(self, obs: TensorDict, decision: Decision) -> None:
        """Begin the next step of the present trajectories."""
        self.replay.begin_step(obs, action=self.judged(decision), **decision.record)
        with torch.inference_mode(False), torch.no_grad():  # or what it keeps could not be loaded again
            self.critic.update_normalization(obs)

    def process_env_step(self, obs: TensorDict, rewards: torch.Tensor, dones: torch.Tensor, extras: dict) -> None:
        """Keep what followed. Time limits arrive as `time_outs`, with the last observations as `final_obs`."""
        terminated, truncated = self.door.ends(dones, extras)
        obs = final_obs = self.door(obs)
        if "final_obs" in extras and not self.settings.time_limit_is_terminal:
            final_obs = self.door.final_obs(extras, self.final_groups)
        self.replay.end_step(rewards, terminated, truncated, obs, final_obs)

    def compute_returns(self, obs: TensorDict) -> None:
        """Nothing: returns are estimated from the replay, again and again."""

    def update(self) -> dict[str, float]:
        """Improve critic and policy from the replay; returns the means for the log."""
        self.door.check_final_obs()
        self.probe.begin(self.actor)
        self.replay.prepare(1, self.settings.window)
        # what the critic says of the newest chunks before it learns from them
        foresight = self.td_critic.foresight(self.sample_critic(new_fraction=1.0, split=False))
        known = self.replay.statistics() | self.replay.ages(self.settings.new_fraction) | foresight
        numbers = self._numbers(known, self.improve())
        self._check_value_range(numbers["min_return"], numbers["max_return"])
        return self.finish_update(numbers)

    def improve(self) -> list[dict[str, torch.Tensor]]:
        """All updates of an iteration, without waiting for the device; returns scalars for the log."""
        self._apply_schedules()
        log: list[dict[str, torch.Tensor]] = []
        windows = self._critic_batches()
        first = step = (self.iteration - self.settings.critic_warmup) * self.settings.num_actor_updates
        for turn in self.schedule():
            if turn == "critic":
                with self.stopwatch.phase("critic"):
                    log.append(self.td_critic.step(next(windows), self.optimizer))
            elif not self.warming_up:
                with self.stopwatch.phase("actor"):
                    if step == first:
                        self.begin_iteration()
                    log.append(self.actor_step(step))
                    if self.selection is not None:
                        log[-1] |= self.selection.step(self.states())
                step += 1
        return log

    def compile(self, mode: str) -> None:
        """Compile the K-step sampler and the critic's loss; in "reduce-overhead" mode they become CUDA graphs."""
        self.flow = torch.compile(self.flow, mode=mode)
        self.td_critic.compile(mode)

    """
    Details.
    """

    def flow(self, latent: torch.Tensor) -> torch.Tensor:
        """States (K + 1, B, H * A) of the policy's flow from fresh noise."""
        return self.actor.flow(latent, torch.randn(latent.shape[0], self.actor.output_dim, device=latent.device))

    def sample_critic(self, new_fraction: float | None = None, split: bool = True) -> TensorDict:
        """Windows for `target_repeat` steps of the critic, with the members' common targets."""
        num = self.settings.target_repeat * self.settings.critic_batch_size
        new_fraction = self.settings.new_fraction if new_fraction is None else new_fraction
        batch = self.windows(num, self.settings.window, new_fraction, split)
        selects = self.selection is not None and self.settings.select_in_backup
        return self.td_critic.add_targets(batch, self.selection.next_chunks if selects else self.next_chunks)

    def states(self) -> TensorDict:
        """Decisions (B, 1) of the replay for a step of the policy."""
        return self.windows(self.settings.actor_batch_size, 1, self.settings.new_fraction, split=False)[0]

    def windows(self, num: int, window: int, new_fraction: float, split: bool) -> TensorDict:
        """Windows of the replay, (S, num) or (1, num), of which a share are demonstrations' unless all shall be new."""
        if self.demonstrations is None or new_fraction == 1.0:
            return self.replay.sample(num, window, new_fraction=new_fraction, split=split)
        shown = round(num * self.settings.demonstration_fraction)
        own = self.replay.sample(num - shown, window, new_fraction=new_fraction, split=split)
        both = torch.cat([own, self.demonstrations.sample(shown, window, new_fraction=0.0, split=split)], dim=1)
        return both[:, torch.randperm(num, device=both.device)]  # single steps take them one after the other

    def actor_step(self, step: int) -> dict[str, torch.Tensor]:
        """One step of the policy on states from the replay; the learning rate rises over the run's first ones."""
        rate = self.optimizer.group("actor")
        full, rate["lr"] = rate["lr"], rate["lr"] * min(1.0, (step + 1) / max(self.settings.warmup_steps, 1))
        loss, metrics = self.actor_loss(self.states())
        norms = self.optimizer.minimize(loss)
        rate["lr"] = full
        return metrics | {"grad_norm_actor": norms["grad_norm_actor"]}

    def _critic_batches(self) -> Iterator[TensorDict]:
        """Batches for single steps of the critic."""
        while True:
            yield from self.sample_critic().chunk(self.settings.target_repeat, dim=1)

    def _check_value_range(self, min_return: float, max_return: float) -> None:
        """Complain about trajectories that earn less or more than targets may be, on whichever rank."""
        if self.settings.value_range is None:
            return
        low, high = self.settings.value_range
        require(
            low - 1e-4 <= min_return and max_return <= high + 1e-4,
            "agent.algorithm.value_range",
            self.settings.value_range,
            f"a range that contains the returns seen, from {min_return:g} to {max_return:g}",
            "set it to [0, number of successes in an episode], or to null for tasks with dense rewards.",
        )
