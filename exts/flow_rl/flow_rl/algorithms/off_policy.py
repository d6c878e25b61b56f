# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What off-policy learners of flow policies share: replay, ensemble critic with targets, order of the updates."""

from __future__ import annotations

import copy
from abc import abstractmethod
from typing import Literal, get_args

import torch
from rsl_rl.env import VecEnv
from tensordict import TensorDict
from torch import nn

from flow_rl.kernels import lambda_scan
from flow_rl.models import FlowPolicy, QEnsemble
from flow_rl.storage.replay import TrajectoryReplay
from flow_rl.utils.check import require, require_choice

from .base import Decision, FlowAlgorithm, kept_groups

CRITIC_BATCH = ("latent", "action", "targets", "valid")
"""What the critic's loss needs of sampled windows."""

Bootstrap = Literal["min", "mean"]
"""How the members' values of the next decision become one."""


class OffPolicyAlgorithm(FlowAlgorithm):
    """Learning from the past with an ensemble of action values. A learner says how it explores and moves the policy.

    From the first decision to the numbers for the log nothing waits for the device.
    """

    def __init__(  # noqa: D417 (the configs have a sentence for each setting)
        self,
        env: VecEnv,
        actor: FlowPolicy,
        critic: QEnsemble,
        *,
        obs: TensorDict,
        num_steps: int,
        fields: dict[str, tuple[int, ...]],
        modules: dict[str, nn.Module],
        device: str,
        capacity: int,
        new_fraction: float,
        balance_successes: bool,
        save_replay: bool,
        num_critic_updates: int,
        critic_batch_size: int,
        window: int,
        target_repeat: int,
        bootstrap: Bootstrap,
        bootstrap_draws: int,
        target_momentum: float,
        value_range: list[float] | None,
        value_lam: float | None,
        disjoint: bool,
        num_actor_updates: int,
        actor_batch_size: int,
        warmup_steps: int,
        **contract,
    ):
        """Build the bookkeeping; the learner's config explains the settings, the base class the remaining ones.

        Args:
            env: The environments.
            actor: The policy to improve.
            critic: Action values.
            obs: One step's observations.
            num_steps: Decisions per environment and iteration.
            fields: Shape per decision of what the learner keeps besides the chunk.
            modules: The learner's own networks.
            device: Where learning happens.
        """
        _check_settings(locals())
        num_envs = obs.batch_size[0]
        self.new_fraction, self.window = new_fraction, window
        self.num_critic_updates, self.critic_batch_size = num_critic_updates, critic_batch_size
        self.target_repeat, self.target_momentum = target_repeat, target_momentum
        self.bootstrap, self.bootstrap_draws, self.value_range = bootstrap, bootstrap_draws, value_range
        self.num_actor_updates, self.actor_batch_size = num_actor_updates, actor_batch_size
        self.warmup_steps = warmup_steps
        self.value_lam = contract["lam"] if value_lam is None else value_lam

        self.target = copy.deepcopy(critic.mlp).requires_grad_(False)
        self.replay = TrajectoryReplay(
            obs.select(*kept_groups(actor, critic)).to(device),
            {"action": (actor.output_dim,), **fields},
            capacity=capacity * num_envs,
            max_length=int(env.max_episode_length),
            num_subsets=critic.num_members if disjoint else 1,
            balanced=balance_successes,
        )
        modules = modules | {"target": self.target, "replay": self.replay}
        super().__init__(env, actor, critic, modules=modules, device=device, **contract)
        if not save_replay:
            self.unsaved.add("replay")  # for its size

    """
    What a learner adds.
    """

    @abstractmethod
    def actor_loss(self, batch: TensorDict) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Loss of the policy at states (B,), and detached scalars for the log."""

    def begin_iteration(self) -> None:  # noqa: B027 (a learner need not care)
        """Take note that the policy is about to change."""

    """
    The stock runner's contract.
    """

    @staticmethod
    def critic_dim(num_actions: int) -> int:
        """A chunk is an input of the critic."""
        return num_actions

    @property
    def final_groups(self) -> list[str]:
        """All that trajectories keep."""
        return self.replay.groups

    def begin_training(self) -> None:
        """Drop the trajectories that a restart has broken."""
        self.replay.align(self.env.episode_length_buf)

    def keep(self, obs: TensorDict, decision: Decision) -> None:
        """Begin the next step of the present trajectories."""
        self.replay.begin_step(obs, action=decision.chunk, **decision.record)
        with torch.inference_mode(False), torch.no_grad():  # or what it keeps could not be loaded again
            self.critic.update_normalization(obs)

    def process_env_step(self, obs: TensorDict, rewards: torch.Tensor, dones: torch.Tensor, extras: dict) -> None:
        """Keep what followed. Time limits arrive as `time_outs`, with the last observations as `final_obs`."""
        terminated, truncated = self._ends(dones, extras)
        obs = final_obs = self.observe(obs)
        if "final_obs" in extras and not self.time_limit_is_terminal:
            final_obs = self.final_obs(extras)
        self.replay.end_step(rewards, terminated, truncated, obs, final_obs)

    def compute_returns(self, obs: TensorDict) -> None:
        """Nothing: returns are estimated from the replay, again and again."""

    def update(self) -> dict[str, float]:
        """Improve critic and policy from the replay; returns the means for the log."""
        self._check_final_obs()
        self.replay.prepare(1, self.window)
        scalars = self.replay.statistics() | {"foresight": self.foresight()}
        numbers = self._numbers(scalars, self.improve())
        self._check_value_range(numbers["min_return"], numbers["max_return"])
        self.iteration += 1
        return numbers

    def improve(self) -> list[dict[str, torch.Tensor]]:
        """All updates of an iteration, without waiting for the device; returns scalars for the log."""
        self._apply_schedules()
        log = []
        for _ in range(self.num_critic_updates // self.target_repeat):
            batch = self.sample_critic()
            for part in batch.chunk(self.target_repeat, dim=1):
                log.append(self.critic_step(part))
        if not self.warming_up:
            self.begin_iteration()
            first = (self.iteration - self.critic_warmup) * self.num_actor_updates
            for step in range(first, first + self.num_actor_updates):
                log.append(self.actor_step(step))
        return log

    def compile(self, mode: str) -> None:
        """Compile the K-step sampler and the critic's loss; in "reduce-overhead" mode they become CUDA graphs."""
        self.flow = torch.compile(self.flow, mode=mode)
        self.critic_loss = torch.compile(self.critic_loss, mode=mode)

    """
    Critic.
    """

    def flow(self, latent: torch.Tensor) -> torch.Tensor:
        """States (K + 1, B, H * A) of the policy's flow from fresh noise."""
        return self.actor.flow(latent, torch.randn(latent.shape[0], self.actor.output_dim, device=latent.device))

    @torch.no_grad()
    def foresight(self) -> torch.Tensor:
        """Correlation of what the critic says of the newest chunks, before it learns from them, with their targets.

        Of a dueling critic it is A's, which also says what V has missed of states. Without any, the policy follows
        noise.
        """
        batch = self.sample_critic(new_fraction=1.0, split=False)
        latent, action, targets, valid = (batch[name].flatten(1, 2) for name in CRITIC_BATCH)
        said, target = self.critic.estimates(latent, action)[..., -1].mean(dim=0), targets[0, :, -1]  # (N,)
        weight = valid[0] / valid[0].sum().clamp(min=1)
        said, target = (x - (weight * x).sum() for x in (said, target))
        spread = ((weight * said.square()).sum() * (weight * target.square()).sum()).sqrt()
        return (weight * said * target).sum() / spread.clamp(min=1e-12)

    @torch.no_grad()
    def sample_critic(self, new_fraction: float | None = None, split: bool = True) -> TensorDict:
        """Windows for `target_repeat` steps of the critic, with the members' common `targets`, one for each estimate.

        Those are returns; a dueling critic's V gets its own, and its A the difference of returns and V.
        """
        num = self.target_repeat * self.critic_batch_size
        new_fraction = self.new_fraction if new_fraction is None else new_fraction
        batch = self.replay.sample(num, self.window, new_fraction=new_fraction, split=split)
        obs = batch.pop("obs")
        batch["latent"] = self.critic.get_latent(obs[:, :, :-1])
        if self.critic.dueling:
            values = self.state_values(obs.flatten()).view(*obs.batch_size)
            value, following = values[..., :-1], values[..., 1:]
            far, near = (self._returns(batch, following, lam) for lam in (self.value_lam, self.lam))
            targets = [far, near - value]
        else:
            following = self.next_values(obs[:, :, 1:].flatten()).view(batch["reward"].shape)
            targets = [self._returns(batch, following, self.lam)]
        batch["targets"] = torch.stack(targets, dim=-1)
        return batch

    def state_values(self, obs: TensorDict) -> torch.Tensor:
        """Values (N,) of observations (N,), by the target of a dueling critic."""
        return self._combine(self.target.value(self.critic.get_latent(obs).unsqueeze(0)).squeeze(-1))

    def next_values(self, obs: TensorDict) -> torch.Tensor:
        """Values (N,) of the policy at observations (N,), by the target critic and fresh chunks."""
        latent, chunks = self.critic.get_latent(obs), self.next_chunks(obs)
        pairs = torch.cat([torch.cat([latent, chunk], dim=-1) for chunk in chunks])
        values = self.target(pairs.unsqueeze(0)).squeeze(-1)  # (M, draws * N)
        return self._combine(values.view(len(values), len(chunks), -1).mean(dim=1))

    def next_chunks(self, obs: TensorDict) -> list[torch.Tensor]:
        """Chunks (N, H * A) of the policy at observations (N,), `bootstrap_draws` of them, to end returns with."""
        latent = self.actor.get_latent(obs)
        return [self.flow(latent)[-1].clamp(-1.0, 1.0) for _ in range(self.bootstrap_draws)]

    def critic_loss(
        self, latent: torch.Tensor, action: torch.Tensor, targets: torch.Tensor, valid: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Sum over members of half the mean squared error, and values (M, N).

        Inputs are (M or 1, N, ...); targets have a last dimension for the critic's estimates.
        """
        estimates = self.critic.estimates(latent, action)  # (M, N, F)
        error = (estimates - targets).square().sum(dim=-1) * valid
        count = valid.sum(dim=-1, keepdim=True).expand(len(estimates), 1).clamp(min=1)
        return 0.5 * (error / count).sum(), estimates.sum(dim=-1)

    def critic_step(self, batch: TensorDict) -> dict[str, torch.Tensor]:
        """One step of all members, each on its own trajectories, then of the targets."""
        latent, action, targets, valid = (batch[name].flatten(1, 2) for name in CRITIC_BATCH)
        loss, values = self.critic_loss(latent, action, targets, valid)
        norms = self.optimizer.minimize(loss)
        with torch.no_grad():
            parameters = list(self.target.parameters()), list(self.critic.mlp.parameters())
            torch._foreach_lerp_(*parameters, 1.0 - self.target_momentum)
            count = valid.sum().clamp(min=1)
            mean = (targets[..., 0] * valid).sum() / count
            return {
                "critic": loss.detach(),
                "q_mean": (values.mean(dim=0) * valid).sum() / count,
                "q_spread": values.std(dim=0, correction=0).mean(),
                "target_mean": mean,
                "grad_norm_critic": norms["grad_norm_critic"],
            }

    """
    Actor.
    """

    def actor_step(self, step: int) -> dict[str, torch.Tensor]:
        """One step of the policy on states from the replay; the learning rate rises over the run's first ones."""
        rate = self.optimizer.group("actor")
        full, rate["lr"] = rate["lr"], rate["lr"] * min(1.0, (step + 1) / max(self.warmup_steps, 1))
        batch = self.replay.sample(self.actor_batch_size, 1, new_fraction=self.new_fraction, split=False)
        loss, metrics = self.actor_loss(batch[0])
        norms = self.optimizer.minimize(loss)
        rate["lr"] = full
        return metrics | {"grad_norm_actor": norms["grad_norm_actor"]}

    """
    Details.
    """

    def _combine(self, values: torch.Tensor) -> torch.Tensor:
        """The members' values (M, N) as one (N,), within the bounds."""
        value = values.amin(dim=0) if self.bootstrap == "min" else values.mean(dim=0)
        return value if self.value_range is None else value.clamp(*self.value_range)

    def _returns(self, batch: TensorDict, next_values: torch.Tensor, lam: float) -> torch.Tensor:
        """TD(lambda) returns of windows (S, N, W)."""
        # The scan runs over the first dimension, time.
        columns = [batch["reward"], next_values, batch["terminated"], batch["truncated"]]
        reward, *others = (column.flatten(0, 1).T for column in columns)
        return lambda_scan(reward, *others, self.gamma, lam).T.reshape(next_values.shape)

    def _check_value_range(self, min_return: float, max_return: float) -> None:
        """Complain about trajectories that earn less or more than targets may be, on all ranks alike."""
        if self.value_range is None:
            return
        if self.world_size > 1:
            ends = torch.tensor([-min_return, max_return], device=self.device)
            torch.distributed.all_reduce(ends, op=torch.distributed.ReduceOp.MAX)
            min_return, max_return = -ends[0].item(), ends[1].item()
        low, high = self.value_range
        require(
            low - 1e-4 <= min_return and max_return <= high + 1e-4,
            "agent.algorithm.value_range",
            self.value_range,
            f"a range that contains the returns seen, from {min_return:g} to {max_return:g}",
            "set it to [0, number of successes in an episode], or to null for tasks with dense rewards.",
        )


def _check_settings(given: dict) -> None:
    """Check the settings that every off-policy learner has."""
    field = "agent.algorithm."
    least = {"capacity": 2, "num_critic_updates": 1, "critic_batch_size": 1, "window": 1, "target_repeat": 1}
    least |= {"bootstrap_draws": 1, "num_actor_updates": 1, "actor_batch_size": 1, "warmup_steps": 0}
    for name, low in least.items():
        require(given[name] >= low, field + name, given[name], f"an integer >= {low}", f"use the default of {name}.")
    updates, repeat = given["num_critic_updates"], given["target_repeat"]
    require(
        updates % repeat == 0,
        field + "target_repeat",
        repeat,
        f"a divisor of num_critic_updates = {updates}",
        "targets are computed for that many steps at once.",
    )
    for name in ("new_fraction", "target_momentum"):
        require(0.0 <= given[name] <= 1.0, field + name, given[name], "[0, 1]", f"use the default of {name}.")
    require_choice(field + "bootstrap", given["bootstrap"], get_args(Bootstrap))
    lam = given["value_lam"]
    require(lam is None or 0.0 <= lam <= 1.0, field + "value_lam", lam, "[0, 1] or null", "use null: the same as lam.")
    limits = given["value_range"]
    require(
        limits is None or (len(limits) == 2 and limits[0] < limits[1]),
        field + "value_range",
        limits,
        "[low, high] with low < high, or null",
        "use [0, number of successes in an episode].",
    )
