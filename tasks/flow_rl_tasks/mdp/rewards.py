# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Sparse rewards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from isaaclab.managers import ManagerTermBase, RewardTermCfg
from isaaclab.utils import index_fill_

if TYPE_CHECKING:
    from isaaclab.envs import ManagerBasedRLEnv


def term_reward(env: ManagerBasedRLEnv, term: str = "success") -> torch.Tensor:
    """One on the step on which a termination term is true, else zero, shape (E,).

    Divided by the step's duration, by which the reward manager multiplies: with weight 1 the reward is exactly 1.
    """
    return env.termination_manager.get_term(term).float() / env.step_dt


def joints_made(env: ManagerBasedRLEnv) -> torch.Tensor:
    """Greatest number of joints of the furniture that have been made in the episode, shape (E,)."""
    return env.assembly.most_made


class newly_made(ManagerTermBase):
    """What has been made for the first time in the episode since the last step, shape (E,).

    A joint that comes apart and is made again earns nothing. Divided by the step's duration like :func:`term_reward`.

    Params:
        count: Function of the environment, how much has been made in the episode, shape (E,); joints by default.
    """

    def __init__(self, cfg: RewardTermCfg, env: ManagerBasedRLEnv):
        super().__init__(cfg, env)
        self._rewarded = torch.zeros(self.num_envs, dtype=torch.int32, device=self.device)

    def __call__(
        self, env: ManagerBasedRLEnv, count: Callable[[ManagerBasedRLEnv], torch.Tensor] = joints_made
    ) -> torch.Tensor:
        """Reward of this step, shape (E,)."""
        most_made = count(env)
        reward = (most_made - self._rewarded).float() / env.step_dt
        self._rewarded.copy_(most_made)
        return reward

    def reset(self, env_ids: Sequence[int] | torch.Tensor | None = None) -> None:
        """Begin new episodes."""
        index_fill_(self._rewarded, env_ids, 0)
