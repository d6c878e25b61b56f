# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Chunked actions: one environment step executes several actions of stock action terms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from isaaclab.actuators import ImplicitActuatorCfg
from isaaclab.managers import ActionTerm
from isaaclab.utils import index_fill_
from isaaclab.utils.buffers import DelayBuffer
from isaaclab.utils.configclass import instantiate

from .plans import planned_path

if TYPE_CHECKING:
    from isaaclab.envs import ManagerBasedEnv

    from .actions_cfg import ChunkActionCfg


class ChunkAction(ActionTerm):
    """Executes the H actions of a chunk one after the other, each for an equal share of the environment step.

    The raw action is the chunk (H, A), flattened row by row. Each action of the chunk is handed to the inner terms
    once, on its first tick, and so is inverse kinematics; the resulting targets are held over the remaining ticks.

    Whoever needs to see what happens inside a chunk registers with :meth:`add_tick_callback`, as
    :class:`~flow_rl_tasks.mdp.Latch` does.
    """

    cfg: ChunkActionCfg

    def __init__(self, cfg: ChunkActionCfg, env: ManagerBasedEnv):
        super().__init__(cfg, env)
        self._ticks_per_action = ticks_per_action(cfg.horizon, env.cfg.decimation)
        refuse_explicit_actuators(env)
        self._terms: list[ActionTerm] = [
            instantiate(term_cfg, env) for term_cfg in cfg.terms.__dict__.values() if term_cfg is not None
        ]
        self._sizes = [term.action_dim for term in self._terms]
        self._raw_actions = torch.zeros(self.num_envs, self.action_dim, device=self.device)
        self._processed_actions = torch.zeros(self.num_envs, cfg.horizon, sum(self._sizes), device=self.device)
        self._delay = None
        if cfg.max_latency > 0:
            self._delay = DelayBuffer(cfg.max_latency, self.num_envs, self.device, hold_prob=1.0)
        self._recent = torch.zeros(self.num_envs, cfg.max_latency, sum(self._sizes), device=self.device)
        self._ages = torch.arange(cfg.max_latency, device=self.device)
        self._tick = 0
        self._callbacks: list[Callable[[], None]] = []

    @property
    def action_dim(self) -> int:
        """Size of a flattened chunk, H * A."""
        return self.cfg.horizon * sum(self._sizes)

    @property
    def raw_actions(self) -> torch.Tensor:
        """Chunk as it arrived, shape (E, H * A)."""
        return self._raw_actions

    @property
    def processed_actions(self) -> torch.Tensor:
        """Chunk as it is executed, shape (E, H, A)."""
        return self._processed_actions

    @property
    def terms(self) -> tuple[ActionTerm, ...]:
        """Inner terms that execute one action of the chunk."""
        return tuple(self._terms)

    @property
    def latency(self) -> torch.Tensor:
        """Control ticks by which actions are executed late in this episode, shape (E,)."""
        if self._delay is None:
            return torch.zeros(self.num_envs, dtype=torch.int, device=self.device)
        return self._delay.time_lags

    @property
    def under_way(self) -> torch.Tensor:
        """Last actions that are still to be executed, the newest first, shape (E, max_latency, A); else zeros."""
        return self._recent * (self.latency.unsqueeze(1) > self._ages).unsqueeze(2)

    def columns(self, index: int) -> slice:
        """Numbers of an action that the inner term at ``index`` executes."""
        first = sum(self._sizes[:index])
        return slice(first, first + self._sizes[index])

    def add_tick_callback(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` after each tick but the last, which the managers of the environment see themselves."""
        self._callbacks.append(callback)

    def process_actions(self, actions: torch.Tensor) -> None:
        """Take a new chunk, shape (E, H * A)."""
        self._raw_actions.copy_(actions)
        self._processed_actions.copy_(self._single_actions(self._raw_actions))
        self._tick = 0

    def planned_paths(self, chunks: torch.Tensor) -> torch.Tensor:
        """Where chunks lead the tool of each of R arms from its present pose, positions in the world [m].

        Args:
            chunks: Any number N of chunks per environment, shape (N, E, H * A).

        Returns:
            Positions now and after each action, shape (R, N, E, H + 1, 3); R is 0 if no term says where it leads.
        """
        actions = self._single_actions(chunks).split(self._sizes, dim=-1)
        paths = [planned_path(term, action) for term, action in zip(self._terms, actions, strict=True)]
        paths = [path for path in paths if path is not None]
        return torch.stack(paths) if paths else chunks.new_zeros(0, *chunks.shape[:2], self.cfg.horizon + 1, 3)

    def apply_actions(self) -> None:
        """Begin a control tick: hand over the action whose turn it is."""
        if self._env._physics_handles_decimation:
            raise RuntimeError(
                "The physics engine runs the whole decimation loop by itself, so only the first action of each chunk"
                " would be executed. Use ImplicitActuatorCfg, or set sim.use_newton_actuators=False."
            )
        if self._tick > 0:
            for callback in self._callbacks:
                callback()
        index, offset = divmod(self._tick, self._ticks_per_action)
        if offset == 0:
            action = self._processed_actions[:, index]
            if self._delay is not None:
                self._recent = torch.cat((action.unsqueeze(1), self._recent[:, :-1]), dim=1)
                action = self._delay.compute(action)
            for term, term_action in zip(self._terms, action.split(self._sizes, dim=1), strict=True):
                term.process_actions(term_action)
                term.apply_actions()
        self._tick += 1

    def reset(self, env_ids: Sequence[int] | torch.Tensor | None = None) -> None:
        """Forget the chunk, so that a new episode never receives the rest of an old one."""
        index_fill_(self._raw_actions, env_ids, 0.0)
        index_fill_(self._processed_actions, env_ids, 0.0)
        if self._delay is not None:
            self._delay.reset(env_ids)
            index_fill_(self._recent, env_ids, 0.0)
        for term in self._terms:
            term.reset(env_ids)

    def _single_actions(self, chunks: torch.Tensor) -> torch.Tensor:
        """Actions as they are executed, shape (..., H, A), of chunks (..., H * A)."""
        actions, limit = chunks.unflatten(-1, (self.cfg.horizon, -1)), self.cfg.limit
        return actions if limit is None else actions.clamp(-limit, limit)


def ticks_per_action(horizon: int, decimation: int) -> int:
    """Number of simulation steps for which each action of a chunk lasts."""
    if horizon < 1 or decimation % horizon:
        divisors = [h for h in range(1, decimation + 1) if decimation % h == 0]
        raise ValueError(
            f"actions.chunk.horizon={horizon} does not divide decimation={decimation}; valid horizons are {divisors}."
            " Use env_cfg.set_horizon(h) to change both together."
        )
    return decimation // horizon


def refuse_explicit_actuators(env: ManagerBasedEnv) -> None:
    """Raise for actuators that are computed outside the engine's step; they silently break chunks.

    With them Newton runs the whole decimation loop in one call, and PhysX holds torques over all substeps.
    """
    for name, articulation in env.scene.articulations.items():
        for group, actuator_cfg in articulation.cfg.actuators.items():
            if not isinstance(actuator_cfg, ImplicitActuatorCfg):
                raise ValueError(
                    f"scene.{name}.actuators[{group!r}] is {type(actuator_cfg).__name__}, an explicit actuator; chunked"
                    " actions need implicit ones: use ImplicitActuatorCfg."
                )
