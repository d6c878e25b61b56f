# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""A vectorised environment with the interface of a manager-based one and episodes known in advance."""

from types import SimpleNamespace

import torch


class ToyEnv:
    """Environment e needs ``e + 1`` steps per episode and succeeds in every episode iff e is even.

    The observation is [environment, episode, step], the picture as bright as the step; a success pays 1 at the end.
    """

    def __init__(self, num_envs: int = 4):
        self.num_envs, self.device, self.max_episode_length, self.step_dt = num_envs, "cpu", 20, 0.1
        self.actions = []
        self._success = torch.zeros(num_envs, dtype=torch.bool)
        self.termination_manager = SimpleNamespace(
            active_terms=["success"], get_term=lambda name: {"success": self._success}[name]
        )

    def reset(self, seed=None):
        self.episode, self.time = torch.zeros(self.num_envs), torch.zeros(self.num_envs)
        return self._observe(), {}

    def step(self, actions):
        self.actions.append(actions.clone())
        self.time += 1
        final_obs = self._observe()
        ids = torch.arange(self.num_envs)
        dones = self.time == ids + 1
        self._success = dones & (ids % 2 == 0)
        self.episode += dones
        self.time[dones] = 0
        return (
            self._observe(),
            self._success.float(),
            self._success.clone(),
            dones & ~self._success,
            {"final_obs": final_obs},
        )

    def _observe(self):
        ids = torch.arange(self.num_envs).float()
        picture = (60 * self.time).to(torch.uint8)[:, None, None, None].repeat(1, 48, 64, 3)
        return {"policy": torch.stack((ids, self.episode, self.time), dim=1), "film": picture}


class ToyExpert:
    """Acts with a running number and follows strategy ``environment % 2``."""

    strategies = ("left", "right")

    def __init__(self, env: ToyEnv):
        self.env, self.count = env, 0
        self.strategy = torch.arange(env.num_envs) % 2

    def act(self, obs=None):
        self.count += 1
        return torch.full((self.env.num_envs, 2), float(self.count))

    def reset(self, env_ids):
        pass
