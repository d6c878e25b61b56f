# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Termination term that remembers what happened inside a chunk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from isaaclab.managers import ManagerTermBase, TerminationTermCfg
from isaaclab.utils import index_fill_

if TYPE_CHECKING:
    from isaaclab.envs import ManagerBasedRLEnv


def ended(env: ManagerBasedRLEnv, env_ids: Sequence[int] | torch.Tensor | slice) -> torch.Tensor:
    """Which of the environments that are being reset have played an episode to its end, shape (N,).

    Metrics count these only: episodes that someone breaks off with ``env.reset()`` say nothing.
    """
    return env.reset_buf[env_ids] & (env.episode_length_buf[env_ids] > 0)


class Latch(ManagerTermBase):
    """True from the first control tick on which a condition held, until the environment is reset.

    Managers look at the simulation only at the end of an environment step; without a latch, an event that comes and
    goes inside a chunk is lost. Logs ``Metrics/<name>_rate``, the share of the environments whose last episode had the
    event, ``Metrics/<name>_known``, the share of all environments that this is of, and ``Metrics/<name>_count``, the
    number of such episodes so far. At first only short episodes have ended, which tend to be those with the event.

    Params:
        term: Condition, a :class:`TerminationTermCfg` whose function returns booleans of shape (E,).
        metric: Name under which the event is logged.
        action: Name of the :class:`ChunkAction` term whose ticks are watched.
    """

    def __init__(self, cfg: TerminationTermCfg, env: ManagerBasedRLEnv):
        super().__init__(cfg, env)
        self._term: TerminationTermCfg = cfg.params["term"]
        self._metric = cfg.params["metric"]
        self._latched = torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)
        self._last_episode = torch.zeros_like(self._latched)
        self._finished = torch.zeros_like(self._latched)
        self._count = torch.zeros((), dtype=torch.long, device=self.device)
        env.action_manager.get_term(cfg.params.get("action", "chunk")).add_tick_callback(self._look)

    def __call__(
        self, env: ManagerBasedRLEnv, term: TerminationTermCfg, metric: str, action: str = "chunk"
    ) -> torch.Tensor:
        """Whether the condition has held in the current episode, shape (E,)."""
        self._look()
        return self._latched.clone()

    def reset(self, env_ids: Sequence[int] | torch.Tensor | None = None) -> None:
        """Begin new episodes, and log the old ones."""
        env_ids = slice(None) if env_ids is None else env_ids
        over = ended(self._env, env_ids)
        self._count += (self._latched[env_ids] & over).sum()
        self._last_episode[env_ids] = torch.where(over, self._latched[env_ids], self._last_episode[env_ids])
        self._finished[env_ids] |= over
        index_fill_(self._latched, env_ids, False)
        log = self._env.extras.setdefault("log", {})
        log[f"Metrics/{self._metric}_rate"] = self._last_episode.sum() / self._finished.sum().clamp(min=1)
        log[f"Metrics/{self._metric}_known"] = self._finished.float().mean()
        log[f"Metrics/{self._metric}_count"] = self._count.clone()

    def _look(self) -> None:
        self._latched |= self._term.func(self._env, **self._term.params)
