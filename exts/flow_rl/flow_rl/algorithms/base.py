# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What all learners of flow policies share: the stock runner's contract, optimiser, checkpoints, ranks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import chain
from typing import NamedTuple

import torch
from rsl_rl.env import VecEnv
from tensordict import TensorDict
from torch import nn

from flow_rl.models import CriticView, FlowPolicy
from flow_rl.ranks.collective import merged
from flow_rl.utils.check import require
from flow_rl.utils.rng import set_rng_state
from flow_rl.utils.stopwatch import Stopwatch

from .checkpoint import load_into, saved, saved_own
from .construct import construct
from .door import Door
from .evaluator import Evaluator
from .log import to_host
from .optimizer import GroupedAdamW, ParameterGroup
from .parts import Parts
from .probe import Probe
from .settings import LearnerSettings


class Decision(NamedTuple):
    """What a learner does in every environment."""

    chunk: torch.Tensor
    """Normalised chunks to execute, shape (E, H * A)."""
    record: dict[str, torch.Tensor] = {}
    """What to keep of them, by the names of the learner's fields, each of leading shape (E)."""


class FlowAlgorithm(ABC):
    """Actor, critic, their optimiser and their checkpoints. Two bases say what is collected, learners how to improve.

    A step of the optimiser whose gradients are not finite is left out, on the device, and counted.
    """

    settings_class: type[LearnerSettings]
    """Type of the learner's settings."""
    sampler = "flow"
    """Kind of sampler of the policies that it improves."""
    keeps_base = False
    """Whether it leaves the flow as it is, so that a policy that somebody else made may stand in its place."""

    def __init__(
        self,
        env: VecEnv,
        actor: FlowPolicy,
        critic: nn.Module,
        settings: LearnerSettings,
        *,
        obs: TensorDict,
        num_steps: int,
        num_iterations: int,
        device: str,
        multi_gpu_cfg: dict | None,
        view: CriticView | None,
        fields: dict[str, tuple[int, ...]],
        modules: dict[str, nn.Module],
    ):
        """Build the bookkeeping.

        Args:
            env: The environments.
            actor: The policy to improve.
            critic: What judges it.
            settings: The learner's.
            obs: One step's observations.
            num_steps: Decisions per environment and iteration T.
            num_iterations: Iterations from here on, and length of the schedules.
            device: Where learning happens.
            multi_gpu_cfg: Ranks, as the stock runner describes them.
            view: What the critic sees of images, if it sees any.
            fields: Shape per decision of what the learner keeps besides what its base does.
            modules: The learner's own networks; those that learn belong to the actor's parameter group.
        """
        kind = actor.cfg.sampler.kind
        require(
            kind == self.sampler or actor.base is not None,
            "agent.actor.sampler.kind",
            kind,
            f"{self.sampler!r} for this learner",
            f"use a policy made by flow-rl pretrain with agent.actor.sampler.kind={self.sampler}, or another learner.",
        )
        self.env, self.settings = env, settings
        spec = getattr(getattr(env, "unwrapped", env), "spec", None)
        self.task = spec.id if spec else None
        self.device = device
        self.world_size = multi_gpu_cfg["world_size"] if multi_gpu_cfg else 1
        self.rank = multi_gpu_cfg["global_rank"] if multi_gpu_cfg else 0

        self.actor, self.critic = actor.to(device), critic.to(device)
        self.door = Door(env, view, device, settings.time_limit_is_terminal)
        self.probe = Probe(actor, obs, num_steps)
        self.stopwatch = Stopwatch(device)
        self.unsaved: set[str] = set()
        """Names of parts that checkpoints leave out."""
        modules = modules | self.remember(obs.to(device), num_steps, fields) | {"probe": self.probe}
        if view is not None:
            modules["view"] = view
        modules = {name: module.to(device) for name, module in modules.items()}
        self.parts = Parts(actor=self.actor, critic=self.critic, **modules)
        more = self.more_groups()
        taken = {id(parameter) for group in more.values() for parameter in group.parameters}
        mine = [parameter for parameter in self.actor_parameters() if id(parameter) not in taken]
        groups = {
            "actor": ParameterGroup(mine, settings.learning_rate, settings.final_learning_rate),
            "critic": ParameterGroup(
                list(critic.parameters()), settings.critic_learning_rate, settings.final_critic_learning_rate
            ),
            **more,
        }
        self.optimizer = GroupedAdamW(
            groups,
            weight_decay=settings.weight_decay,
            max_grad_norm=settings.max_grad_norm,
            world_size=self.world_size,
        )
        self.step_scale = 1.0
        self.evaluator: Evaluator | None = None
        """What measures the policy while it learns, if anything does."""
        self.planned_iterations, self.iteration = num_iterations, 0
        self.num_iterations = num_iterations
        """Iteration at which training and its schedules end; further on by those that lie behind a checkpoint."""
        self.policy_loaded = actor.base is not None
        self.rng_state: dict | None = None
        self.own_state: dict | None = None
        """What another rank than 0 shall go on with of its own, as :meth:`save_own` gave it."""
        self._apply_schedules()

    """
    What a base or a learner adds.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the learner, as in :func:`flow_rl.configs.learners`."""

    @staticmethod
    @abstractmethod
    def critic_dim(num_actions: int) -> int:
        """Size that the critic is built with, given the size of a flattened chunk."""

    @abstractmethod
    def remember(self, obs: TensorDict, num_steps: int, fields: dict[str, tuple[int, ...]]) -> dict[str, nn.Module]:
        """Make room for what an iteration collects, and return the modules among it; arguments are the constructor's.

        Actor, critic and settings are there already.
        """

    @abstractmethod
    def explore(self, latent: torch.Tensor) -> Decision:
        """Choose chunks at latents (E, L)."""

    def decide(self, obs: TensorDict) -> Decision:
        """Choose chunks at observations (E,)."""
        return self.explore(self.actor.get_latent(obs))

    @abstractmethod
    def keep(self, obs: TensorDict, decision: Decision) -> None:
        """Keep a decision and the observations that it was made upon."""

    @abstractmethod
    def process_env_step(self, obs: TensorDict, rewards: torch.Tensor, dones: torch.Tensor, extras: dict) -> None:
        """Keep what followed. Time limits arrive as `time_outs`, with the last observations as `final_obs`."""

    @abstractmethod
    def compute_returns(self, obs: TensorDict) -> None:
        """Close the rollout, given the observations that follow it."""

    @abstractmethod
    def update(self) -> dict[str, float]:
        """Improve critic and policy; numbers for the log."""

    @abstractmethod
    def compile(self, mode: str) -> None:
        """Let torch.compile have what is worth compiling, in one of its modes."""

    def policy_replaced(self) -> None:
        """Take note that a pretrained policy has been loaded: what is a copy of the policy follows it."""
        self.parts.follow_actor()

    def more_groups(self) -> dict[str, ParameterGroup]:
        """What of a learner's own modules moves at another rate than the actor, such as a temperature."""
        return {}

    def begin_training(self) -> None:  # noqa: B027 (a base need not care)
        """Take note that steps of the environments follow, perhaps after a restart or after resets."""

    def scale_steps(self, scale: float) -> None:
        """Let the policy move by this share of what the settings say."""
        self.step_scale = scale
        for name in self.optimizer.groups.keys() - {"critic"}:
            self.optimizer.scales[name] = scale

    def stand_still(self) -> None:
        """Let the optimiser forget where the policy was going."""
        for name in self.optimizer.groups.keys() - {"critic"}:
            for parameter in self.optimizer.groups[name].parameters:
                self.optimizer.state.pop(parameter, None)

    """
    The stock runner's contract.
    """

    @classmethod
    def construct_algorithm(cls, obs: TensorDict, env: VecEnv, cfg: dict, device: str) -> FlowAlgorithm:
        """Build actor, critic and learner from the runner's configuration."""
        return construct(cls, obs, env, cfg, device)

    def act(self, obs: TensorDict) -> torch.Tensor:
        """Exploratory chunks in the environment's units, shape (E, H * A)."""
        if self.evaluator is not None and self.evaluator.obs is not None:
            obs, self.evaluator.obs = self.evaluator.obs.to(self.device), None
        self.probe.see(obs)
        with self.stopwatch.phase("act"):
            obs = self.door(obs)
            self.door.forget()
            decision = self.decide(obs)
            self.keep(obs, decision)
            return self.actor.action_normalizer.inverse(decision.chunk)

    def train_mode(self) -> None:
        """Switch to learning, which needs a pretrained policy unless `from_scratch` is set."""
        require(
            self.policy_loaded or self.settings.from_scratch,
            "--checkpoint",
            None,
            "a policy made by flow-rl pretrain or by an earlier training",
            f"make one with flow-rl pretrain --task {self.task or '<task>'} --demos <file.hdf5>, or "
            "learn from a random policy with agent.algorithm.from_scratch=true.",
        )
        require(
            self.settings.critic_warmup < self.num_iterations,
            "agent.algorithm.critic_warmup",
            self.settings.critic_warmup,
            f"less than the {self.num_iterations} iterations after which training ends, or the policy never learns",
            "lower it, or raise agent.max_iterations.",
        )
        self._apply_schedules()
        self.parts.train()
        if self.rng_state is not None:
            set_rng_state(self.rng_state)
        self.rng_state = None
        self.door.ask_for(self.final_groups)
        self.begin_training()
        if self.evaluator is not None:
            self.evaluator.begin()

    def eval_mode(self) -> None:
        """Switch to inference."""
        self.parts.train(False)

    def get_policy(self) -> FlowPolicy:
        """The policy alone, as it is played and exported."""
        return self.actor

    @property
    def learning_rate(self) -> float:
        """Present learning rate of the actor."""
        return self.optimizer.group("actor")["lr"]

    def save(self) -> dict:
        """Everything that learning depends on, as tensors and plain values only; of rank 0 where there are several."""
        return saved(self)

    def save_own(self) -> dict:
        """What of that another rank than 0 has of its own."""
        return saved_own(self)

    def load(self, loaded_dict: dict, load_cfg: dict | None = None, strict: bool = True) -> bool:
        """Go on from a checkpoint of this learner, or begin with the policy of any other.

        Returns:
            Whether the runner shall go on from the checkpoint's iteration.
        """
        self.door.forget()
        return load_into(self, loaded_dict, load_cfg, strict)

    def broadcast_parameters(self) -> None:
        """Give every rank the parameters and running statistics of rank 0."""
        self.parts.broadcast()

    """
    Details.
    """

    def actor_parameters(self) -> list[nn.Parameter]:
        """Parameters that shape behaviour: the policy's and those of the learner's own networks."""
        modules = [module for name, module in self.parts.items() if name != "critic"]
        return [p for p in chain.from_iterable(m.parameters() for m in modules) if p.requires_grad]

    @property
    def final_groups(self) -> list[str]:
        """Groups behind the door that are read of an episode's last observation."""
        return self.critic.obs_groups

    @property
    def progress(self) -> float:
        """Share of the schedules that lies behind, from 0 to 1."""
        return self.iteration / max(self.num_iterations - 1, 1)

    @property
    def warming_up(self) -> bool:
        """Whether only the critic learns yet."""
        return self.iteration < self.settings.critic_warmup

    def finish_update(self, numbers: dict[str, float]) -> dict[str, float]:
        """Count an iteration, and evaluate the policy if it is time to; numbers for the log."""
        self.iteration += 1
        return numbers if self.evaluator is None else numbers | self.evaluator.after_iteration()

    def _apply_schedules(self) -> None:
        self.optimizer.schedule(self.progress)

    def _numbers(self, scalars: dict[str, torch.Tensor], log: list[dict[str, torch.Tensor]]) -> dict[str, float]:
        """Scalars and the means of the logged ones, over all ranks; everything crosses to the host at once."""
        moves = self.probe.measure(self.actor, self.env)
        scalars = {**scalars, **moves, "skipped_steps": self.optimizer.skipped_steps}
        numbers = merged(to_host(scalars, log) | self.stopwatch.read())
        if (skipped := int(numbers["skipped_steps"])) > 0:
            print(
                f"[flow_rl] {skipped} optimiser steps of iteration {self.iteration} were left out, because their "
                "gradients were not finite. If this goes on, lower agent.algorithm.critic_learning_rate, or bound the "
                "gradients with agent.algorithm.max_grad_norm=1.0."
            )
        self.optimizer.skipped_steps.zero_()
        rates = {f"{name}_learning_rate": self.optimizer.group(name)["lr"] for name in self.optimizer.groups}
        return numbers | {name: rate for name, rate in rates.items() if name != "actor_learning_rate"}


def kept_groups(actor: FlowPolicy, critic: nn.Module) -> list[str]:
    """Groups of observations that are read again when learners learn."""
    return list(dict.fromkeys([*actor.obs_groups, *critic.obs_groups]))
