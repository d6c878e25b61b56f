# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Environments of others as rsl_rl's runner takes them."""

from __future__ import annotations

from typing import Any

import torch
from rsl_rl.env import VecEnv
from tensordict import TensorDict

from .gym_env import GymEnv
from .isaac_env import ChunkedEnv


class ChunkVecEnv(VecEnv):
    """Wraps environments of chunks for rsl_rl, as Isaac Lab's ``RslRlVecEnvWrapper`` wraps its own."""

    def __init__(self, env: GymEnv | ChunkedEnv):
        """Wrap the environments."""
        self.env, self.num_envs, self.device = env, env.num_envs, env.device
        self.num_actions = env.action_manager.total_action_dim
        self.max_episode_length = env.max_episode_length

    @property
    def unwrapped(self) -> GymEnv | ChunkedEnv:
        """What is wrapped."""
        return self.env

    @property
    def cfg(self) -> Any:
        """Settings of the environments."""
        return self.env.cfg

    @property
    def episode_length_buf(self) -> torch.Tensor:
        """Ages of the episodes [decisions], shape (E,)."""
        return self.env.episode_length_buf

    @episode_length_buf.setter
    def episode_length_buf(self, value: torch.Tensor) -> None:
        self.env.episode_length_buf = value

    def get_observations(self) -> TensorDict:
        """Return present observations by group."""
        return TensorDict(self.env.observe(), batch_size=[self.num_envs])

    def step(self, actions: torch.Tensor) -> tuple[TensorDict, torch.Tensor, torch.Tensor, dict]:
        """Execute chunks (E, H * A)."""
        obs, rewards, terminated, truncated, extras = self.env.step(actions)
        dones = (terminated | truncated).long()
        return TensorDict(obs, batch_size=[self.num_envs]), rewards, dones, extras
