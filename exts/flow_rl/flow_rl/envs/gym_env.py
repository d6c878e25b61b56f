# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Many Gymnasium environments as one that evaluation and learners take for a manager-based environment of Isaac Lab."""

from __future__ import annotations

import functools
import math
import os
from dataclasses import asdict, dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from flow_rl.utils.check import require

from .batch import Batch, Observations, Workers
from .names import find_spec, make_env
from .wrappers import FILM, Chunks, success


@dataclass
class ChunkCfg:
    """How chunks are executed."""

    horizon: int = 1
    """Control steps of a chunk H."""


@dataclass
class ActionsCfg:
    """Actions, under the names that Isaac Lab's tasks have for them."""

    chunk: ChunkCfg = field(default_factory=ChunkCfg)
    """Chunks."""


@dataclass
class GymEnvCfg:
    """Settings of :class:`GymEnv`; the command line overrides them as ``env.<field>=<value>``."""

    task: str = ""
    """Name of the environment, ``gym:<id>``."""

    num_envs: int = 64
    """Environments side by side."""

    num_workers: int = 0
    """Processes that share them; 0 for this one."""

    device: str = "cpu"
    """Where observations and rewards go; the environments themselves are computed on the CPU."""

    seed: int = 0
    """Seed of the first episodes."""

    max_episode_steps: int | None = None
    """Time limit [control steps]; by default as the environment is registered."""

    kwargs: dict[str, Any] = field(default_factory=dict)
    """Arguments of the environment's constructor."""

    actions: ActionsCfg = field(default_factory=ActionsCfg)
    """How it acts."""

    film: tuple[int, int] | None = None
    """Width and height of pictures that are observed for films; None for none."""

    log_dir: str | None = None
    """Folder of the run, where evaluations are noted."""

    def set_horizon(self, horizon: int) -> None:
        """Execute chunks of this many control steps."""
        self.actions.chunk.horizon = horizon

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for logs."""
        return asdict(self)

    def check(self) -> None:
        """Raise an InputError unless all are valid."""
        for name, value in {"num_envs": self.num_envs, "actions.chunk.horizon": self.actions.chunk.horizon}.items():
            require(isinstance(value, int) and value >= 1, f"env.{name}", value, "an integer >= 1", "leave it out.")
        valid = 0 <= self.num_workers <= self.num_envs
        limits = f"0 (no further process) to --num_envs {self.num_envs}"
        require(valid, "--num_workers", self.num_workers, limits, "use the number of cores.")
        known = self.max_episode_steps or find_spec(self.task).max_episode_steps
        remedy = "set env.max_episode_steps=1000."
        require(known is not None, "env.max_episode_steps", None, "a number of control steps, for this one", remedy)


class GymEnv:
    """Gymnasium environments with what evaluation, collection and learners read of a manager-based environment.

    Episodes that end begin anew in the same step. An episode is solved if the environment reports a success at any
    time in it (``info["success"]`` or ``info["is_success"]``); environments that never report one have no term
    ``success``, and are measured by their returns.
    """

    action_bound = 1.0
    """Actions are clipped to [-1, 1]."""

    def __init__(self, cfg: GymEnvCfg):
        """Make the environments; they are reset by the first use."""
        cfg.check()
        self.cfg, self.num_envs, self.device = cfg, cfg.num_envs, cfg.device
        self.spec = SimpleNamespace(id=cfg.task)
        if cfg.film and "DISPLAY" not in os.environ:
            os.environ.setdefault("MUJOCO_GL", "egl")
        make = functools.partial(
            make_env, cfg.task, cfg.actions.chunk.horizon, cfg.kwargs, cfg.max_episode_steps, cfg.film
        )
        steps = cfg.max_episode_steps or find_spec(cfg.task).max_episode_steps
        self.max_episode_length = math.ceil(steps / cfg.actions.chunk.horizon)
        """Time limit [decisions]."""
        self.step_dt, space, width, self._reports = self._look_at_one(make)
        self._batch = (
            Workers(make, cfg.num_envs, cfg.num_workers, space) if cfg.num_workers else Batch(make, cfg.num_envs)
        )
        shapes = {name: part.shape for name, part in space.spaces.items()}
        self.observation_manager = SimpleNamespace(group_obs_dim=shapes, compute=self.observe)
        self.action_manager = SimpleNamespace(total_action_dim=width, active_terms=[])
        terms = ["success"] if self._reports else []
        self.termination_manager = SimpleNamespace(
            active_terms=terms, get_term=lambda name: {"success": self.solved}[name]
        )
        self.episode_length_buf = torch.zeros(self.num_envs, dtype=torch.long, device=self.device)
        self.reset_terminated = torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)
        self.solved = torch.zeros_like(self.reset_terminated)
        self._obs: dict[str, torch.Tensor] | None = None

    @property
    def unwrapped(self) -> GymEnv:
        """Itself."""
        return self

    def observe(self) -> dict[str, torch.Tensor]:
        """Return present observations by group, each of shape (E, ...)."""
        if self._obs is None:
            self.reset(self.cfg.seed)
        return dict(self._obs)

    def reset(self, seed: int | None = None) -> tuple[dict[str, torch.Tensor], dict]:
        """Begin anew everywhere; without a seed, with one drawn from torch's random numbers."""
        self._obs = self._tensors(self._batch.reset(int(torch.randint(2**31, ())) if seed is None else seed))
        self.episode_length_buf.zero_()
        self.solved.zero_()
        return self.observe(), {}

    def step(self, actions: torch.Tensor) -> tuple[dict, torch.Tensor, torch.Tensor, torch.Tensor, dict]:
        """Execute a decision in each environment.

        Args:
            actions: Chunks, shape (E, H * A), in [-1, 1].

        Returns:
            Observations by group, summed rewards (E,), whether the episode has ended by itself (E,) or by its time
            limit (E,), and ``extras``: ``time_outs``, and ``final_obs`` with the observations before the resets.
        """
        self.observe()
        step = self._batch.step(actions.detach().cpu().numpy())
        last = {name: value.copy() for name, value in step.obs.items()}
        for env_id, obs in step.last.items():
            for name, value in obs.items():
                last[name][env_id] = value
        self._obs = self._tensors(step.obs)
        flags = (step.terminated, step.truncated, step.solved)
        self.reset_terminated, truncated, self.solved = (torch.from_numpy(flag).to(self.device) for flag in flags)
        dones = self.reset_terminated | truncated
        self.episode_length_buf = torch.where(dones, 0, self.episode_length_buf + 1)
        extras = {"time_outs": truncated, "final_obs": self._tensors(last), "log": {}}
        if self._reports:
            ended = dones.sum().clamp(min=1)
            extras["log"]["Metrics/success_rate"] = (self.solved & dones).sum() / ended
        rewards = torch.from_numpy(step.rewards).float().to(self.device)
        return self.observe(), rewards, self.reset_terminated, truncated, extras

    def close(self) -> None:
        """Close the environments."""
        self._batch.close()

    def _look_at_one(self, make: functools.partial) -> tuple[float, Any, int, bool]:
        """Return period [s], observations and actions of one environment, and whether it reports successes."""
        with make() as env:
            inner = env
            while not isinstance(inner, Chunks):
                inner = inner.env
            inner.env.reset(seed=0)
            middle = 0.5 * (inner.env.action_space.low + inner.env.action_space.high)
            info = inner.env.step(middle.astype(inner.env.action_space.dtype))[-1]
            fps = env.metadata.get("render_fps") or 30
            period = float(getattr(env.unwrapped, "dt", 1.0 / fps))
            return period, env.observation_space, env.action_space.shape[0], success(info) is not None

    def _tensors(self, obs: Observations) -> dict[str, torch.Tensor]:
        return {name: torch.from_numpy(np.ascontiguousarray(value)).to(self.device) for name, value in obs.items()}


def add_film(cfg: GymEnvCfg, width: int = 240, height: int = 240) -> str:
    """Let environments observe pictures of themselves, and return the name of that group."""
    cfg.film = (width, height)
    return FILM
