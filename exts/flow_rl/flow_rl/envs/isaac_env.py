# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Tasks of Isaac Lab that know nothing of chunks, as evaluation and learners take them."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import torch

from flow_rl.utils.check import require


class ChunkedEnv:
    """Executes H actions of a manager-based or direct environment a step, by the environment's own steps.

    All environments of a simulator step together, so one that ends inside a chunk waits for the others: it begins anew
    at once, gets zero actions for what is left of the chunk, and that is not counted. Rewards of a chunk are summed up
    to the end. A task knows success if it has a termination ``success``.
    """

    def __init__(self, env: Any, horizon: int):
        """Wrap an environment whose configuration has ``compute_final_obs`` set."""
        self.env, self.horizon, self.cfg, self.spec = env, horizon, env.cfg, env.spec
        self.num_envs, self.device, self.sim = env.num_envs, env.device, env.sim
        self.step_dt = horizon * float(env.step_dt)
        self.max_episode_length = math.ceil(int(env.max_episode_length) / horizon)
        """Time limit [decisions]."""
        self._width = int(math.prod(env.action_space.shape[1:]))
        terms = getattr(getattr(env, "termination_manager", None), "active_terms", [])
        self._knows_success = "success" in terms
        self.action_manager = SimpleNamespace(total_action_dim=horizon * self._width, active_terms=[])
        self.termination_manager = SimpleNamespace(
            active_terms=["success"] * self._knows_success, get_term=lambda name: {"success": self.solved}[name]
        )
        self.reset_terminated = torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)
        self.solved = torch.zeros_like(self.reset_terminated)
        self._obs: dict[str, torch.Tensor] | None = None

    @property
    def unwrapped(self) -> ChunkedEnv:
        """Itself."""
        return self

    @property
    def observation_manager(self) -> SimpleNamespace:
        """Shapes of the groups, and present observations."""
        shapes = {name: tuple(value.shape[1:]) for name, value in self.observe().items()}
        return SimpleNamespace(group_obs_dim=shapes, compute=self.observe)

    @property
    def episode_length_buf(self) -> torch.Tensor:
        """Ages of the episodes [decisions], shape (E,)."""
        return self.env.episode_length_buf // self.horizon

    @episode_length_buf.setter
    def episode_length_buf(self, value: torch.Tensor) -> None:
        self.env.episode_length_buf = value * self.horizon

    def observe(self) -> dict[str, torch.Tensor]:
        """Return present observations by group, each of shape (E, ...)."""
        if self._obs is None:
            self.reset(self.cfg.seed)
        return dict(self._obs)

    def reset(self, seed: int | None = None) -> tuple[dict[str, torch.Tensor], dict]:
        """Begin anew everywhere."""
        obs, extras = self.env.reset(seed=seed)
        for name, value in obs.items():
            valid = "a tensor: groups that concatenate their terms"
            remedy = "set env.observations.<group>.concatenate_terms=true."
            require(isinstance(value, torch.Tensor), f"observation group {name!r}", type(value).__name__, valid, remedy)
        self._obs = dict(obs)
        return self.observe(), extras

    def step(self, actions: torch.Tensor) -> tuple[dict, torch.Tensor, torch.Tensor, torch.Tensor, dict]:
        """Execute chunks (E, H * A); see :meth:`flow_rl.envs.gym_env.GymEnv.step`."""
        last, log = self.observe(), {}
        rewards = torch.zeros(self.num_envs, device=self.device)
        terminated = torch.zeros_like(self.reset_terminated)
        truncated, solved = torch.zeros_like(terminated), torch.zeros_like(terminated)
        for action in actions.to(self.device).view(self.num_envs, self.horizon, self._width).unbind(1):
            running = ~(terminated | truncated)
            obs, reward, ended, timed_out, extras = self.env.step(action * running.unsqueeze(1))
            rewards += reward * running
            terminated |= ended & running
            truncated |= timed_out & running
            now = (ended | timed_out) & running
            if self._knows_success:
                solved |= self.env.termination_manager.get_term("success") & now
            if "final_obs" in extras:
                final = extras["final_obs"]
                last = {name: torch.where(_along(now, value), final[name], value) for name, value in last.items()}
            log |= extras.get("log", {})
        self._obs = dict(obs)
        self.reset_terminated, self.solved = terminated, solved
        extras = {"time_outs": truncated, "final_obs": last, "log": log}
        return self.observe(), rewards, terminated, truncated, extras


def _along(mask: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """A mask (E,) that selects rows of a value (E, ...)."""
    return mask.view(-1, *[1] * (value.dim() - 1))
