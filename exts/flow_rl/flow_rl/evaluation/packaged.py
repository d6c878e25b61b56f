# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Exported policies in the form that evaluation takes, under conditions that robots have and simulators have not."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from flow_rl.deploy import PolicyPackage, PolicyRunner
from flow_rl.utils.check import require


@dataclass(frozen=True)
class Conditions:
    """What a policy has to put up with."""

    delay: int = 0
    """Age of what the policy sees [control steps]."""

    sensor_noise: float = 0.0
    """Standard deviation of noise on each number of vector observations, as a share of its spread in the demonstrations
    (half its range, or its standard deviation where observations are whitened)."""

    dropped_frames: float = 0.0
    """Probability that a camera gives no picture when the policy looks."""

    def __post_init__(self):
        """Refuse what cannot be."""
        require(self.delay >= 0, "--delay", self.delay, "control steps >= 0", "use 0 for none.")
        require(self.sensor_noise >= 0, "--sensor_noise", self.sensor_noise, ">= 0", "use 0 for none.")
        require(0 <= self.dropped_frames < 1, "--dropped_frames", self.dropped_frames, "[0, 1)", "use 0 for none.")

    def __str__(self) -> str:
        """Name of a row of a table."""
        parts = [f"delay {self.delay}"] * (self.delay > 0)
        parts += [f"sensor noise {self.sensor_noise:g}"] * (self.sensor_noise > 0)
        parts += [f"dropped frames {self.dropped_frames:g}"] * (self.dropped_frames > 0)
        return ", ".join(parts) or "none"


class PackagePolicy:
    """An exported policy where the environment takes one action per step; each environment has its own runner."""

    def __init__(self, package: PolicyPackage, env: Any, conditions: Conditions | None, seed: int = 0, **options: Any):
        """Start the runners.

        Args:
            package: Exported policy.
            env: Manager-based environment whose chunks are single actions.
            conditions: What the policy has to put up with.
            seed: Seed of noise in the policy and of the conditions.
            options: Settings of :class:`flow_rl.deploy.PolicyRunner`.
        """
        check_package(package, env)
        conditions = conditions or Conditions()
        self._package, self._device, self._conditions = package, env.device, conditions
        self._random = np.random.default_rng((seed, 1))
        patience = (conditions.delay + 1) * package.period
        options = {"max_age": max(0.5, patience)} | options
        self._initial = np.array(package.contract["actions"]["at_initial_posture"])
        self.runners = [PolicyRunner(package, seed=seed + 1000 * i, **options) for i in range(env.num_envs)]
        self._delay = options.get("inference_delay", 0)
        self._actions: list[deque[np.ndarray]] = [deque() for _ in self.runners]
        self._past: deque[dict[str, np.ndarray]] = deque(maxlen=conditions.delay + 1)
        self._steps = np.zeros(env.num_envs, dtype=int)
        self._groups: dict[str, list[dict[str, Any]]] = {}
        for term in package.observations:
            self._groups.setdefault(term["group"], []).append(term)
        self.reset(range(env.num_envs))

    def reset(self, env_ids: Any) -> None:
        """Begin new episodes."""
        for i in map(int, env_ids):
            self.runners[i].reset(self._initial)
            self._actions[i].clear()
            self._steps[i] = 0

    def act(self, obs: Any) -> torch.Tensor:
        """Return the next action of each environment, shape (E, A)."""
        names = [*self._groups, *self._package.cameras]
        self._past.append({name: obs[name].cpu().numpy().copy() for name in names})
        for i, runner in enumerate(self.runners):
            if len(self._actions[i]) <= self._delay:
                age = min(self._conditions.delay, int(self._steps[i]))
                now = self._steps[i] * self._package.period
                seen = self._see(self._past[-1 - age], i)
                chunk = runner.act(seen, stamp=now - age * self._package.period, now=now)
                if chunk.is_held:
                    self._actions[i].clear()
                self._actions[i].extend(chunk.actions)
        self._steps += 1
        return torch.from_numpy(np.stack([actions.popleft() for actions in self._actions])).to(self._device)

    def _see(self, obs: dict[str, np.ndarray], i: int) -> dict[str, np.ndarray]:
        """Named observations of one environment, with noise, without dropped frames."""
        seen = {}
        for group, terms in self._groups.items():
            place = 0
            for term in terms:
                size = int(np.prod(term["shape"]))
                spread = self._conditions.sensor_noise * np.array(term["normalisation"]["scale"])
                values = obs[group][i, place : place + size]
                seen[term["name"]] = values + (spread * self._random.standard_normal(size)).astype(np.float32)
                place += size
        for name in self._package.cameras:
            if self._random.random() >= self._conditions.dropped_frames:
                seen[name] = obs[name][i]
        return seen


def check_package(package: PolicyPackage, env: Any) -> None:
    """Raise a ValueError unless a package is for the observations and actions of an environment."""
    manager = env.observation_manager
    groups = dict.fromkeys(term["group"] for term in package.observations)
    there = [
        (name, shape)
        for group in groups
        if group in manager.active_terms
        for name, shape in zip(manager.active_terms[group], manager.group_obs_term_dim[group], strict=True)
    ]
    there += [(name, tuple(manager.group_obs_dim[name])) for name in package.cameras if name in manager.active_terms]
    wanted = [(term["name"], tuple(term["shape"])) for term in package.observations] + list(package.cameras.items())
    size = env.action_manager.total_action_dim // env.cfg.actions.chunk.horizon
    require(
        wanted == there and package.chunk_shape[1] == size,
        "--package",
        f"for {package.contract['task']}: {wanted}, {package.chunk_shape[1]} actions",
        f"one for this environment: {there}, {size} actions",
        "choose its task, and the overrides that it was exported with.",
    )
