# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Demonstrations played again without looking: do the same actions still solve the task?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from flow_rl.demos.episodes import Episode
from flow_rl.demos.states import set_scene_state
from flow_rl.evaluation.episodes import play


class ReplayPolicy:
    """Plays the actions of one episode in each environment, from where it began if that is known."""

    def __init__(self, env: Any, episodes: Sequence[Episode], holds: torch.Tensor):
        """Prepare the actions.

        Args:
            env: Environment that executes one control step per step.
            episodes: One for each environment.
            holds: Which actions go on after the end of an episode, others become 0, shape (A,).
        """
        self._env, self._episodes = env, episodes
        self._actions = [torch.as_tensor(episode.actions, dtype=torch.float32) for episode in episodes]
        self._holds = holds.cpu()
        self._tick = 0

    def act(self, obs: Any) -> torch.Tensor:
        """Return the next actions, shape (E, A)."""
        rows = [
            actions[self._tick] if self._tick < len(actions) else actions[-1] * self._holds for actions in self._actions
        ]
        self._tick += 1
        return torch.stack(rows).to(self._env.device)

    def reset(self, env_ids: torch.Tensor) -> None:
        """Put all environments to where their episodes began, before the first action; later nothing is begun."""
        if self._tick == 0 and has_starts(self._episodes):
            paths = self._episodes[0].start
            starts = {path: [torch.as_tensor(episode.start[path]) for episode in self._episodes] for path in paths}
            set_scene_state(self._env, {path: torch.stack(rows) for path, rows in starts.items()})


def has_starts(episodes: Sequence[Episode]) -> bool:
    """Whether it is known of all episodes how they began."""
    return all(episode.start for episode in episodes)


def replay(env: Any, episodes: Sequence[Episode], holds: torch.Tensor, *, seed: int) -> list[bool]:
    """Return which episodes solve the task when their actions are played again.

    After its last action the robot holds still until the environment ends the episode.

    Args:
        env: Manager-based environment that executes one control step per step and has a termination ``success``.
        episodes: Episodes, as many at a time as there are environments.
        holds: See :class:`ReplayPolicy`.
        seed: Seed of the environment's resets.
    """
    solved: list[bool] = []
    for first in range(0, len(episodes), env.num_envs):
        batch = list(episodes[first : first + env.num_envs])
        spare = [batch[-1]] * (env.num_envs - len(batch))
        policy = ReplayPolicy(env, batch + spare, holds)
        solved += play(env, policy, seed=seed + first, once=True).tolist()[: len(batch)]
    return solved
