# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What every task must hold, checked on a running environment."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import torch

from flow_rl.configs.compose import PRETRAIN, entry_points, load, resolve


@contextlib.contextmanager
def make_env(
    task: str, num_envs: int, *overrides: str, horizon: int | None = None, seed: int = 0, device: str = "cpu"
) -> Iterator[Any]:
    """Start the simulation of a task and yield its manager-based environment; closes both.

    Environments may follow each other in one process, on different engines too.

    Args:
        task: Name of a registered task.
        num_envs: Number of environments E.
        overrides: Words of a command line, such as ``physics=ovphysx`` or ``env.episode_length_s=8``.
        horizon: Actions in a chunk; the task's own when None, 1 for its expert.
        seed: Seed of the environment.
        device: Where to simulate.

    Raises:
        InputError: If there is no such task, or an override cannot be followed.
    """
    from flow_rl.cli import launch, options

    words = ["--task", task, "--device", device, "--num_envs", str(num_envs), "--seed", str(seed)]
    args, words = options.Parser("test").parse([*words, *overrides])
    with launch.launch_env(args, launch.env_config(args, words, horizon=horizon)) as env:
        yield env


def first_episodes(env: Any, expert: Any) -> torch.Tensor:
    """Let an expert act until each environment has finished an episode.

    Args:
        env: The manager-based environment, which executes one action per step: made with ``horizon=1``.
        expert: Scripted expert of that environment.

    Returns:
        Whether the first episode of each environment was solved, shape (E,).
    """
    env.reset(seed=0)
    expert.reset()
    solved = torch.zeros(env.num_envs, dtype=torch.bool, device=env.device)
    running = ~solved
    while running.any():
        _, _, terminated, truncated, _ = env.step(expert.act())
        solved |= running & env.termination_manager.get_term("success")
        running &= ~(terminated | truncated)
        expert.reset((terminated | truncated).nonzero().squeeze(-1))
    return solved


def check_task(env: Any, steps: int = 4) -> None:
    """Check that a task starts the same for a seed, reports what learners need, and has settings that suit it.

    Args:
        env: The manager-based environment, two copies or more.
        steps: Decisions to take with random actions.

    Raises:
        AssertionError: If something does not hold; the message says what.
    """
    _check_settings(env)
    _check_sizes(env)
    first, _ = env.reset(seed=0)
    again, _ = env.reset(seed=0)
    for name, group in first.items():
        assert torch.equal(group, again[name]), f"observations {name!r} differ after reset(seed=0)"
        assert len(group) == env.num_envs, f"observations {name!r} have shape {tuple(group.shape)}"
    size = env.action_manager.total_action_dim
    for _ in range(steps):
        action = 2 * torch.rand(env.num_envs, size, device=env.device) - 1
        obs, reward, terminated, truncated, extras = env.step(action)
        assert {name: group.shape for name, group in obs.items()} == {name: g.shape for name, g in first.items()}
        assert reward.shape == terminated.shape == truncated.shape == (env.num_envs,)
        assert reward.isfinite().all(), "a reward is not finite"
        if truncated.any() and not env.cfg.is_finite_horizon:
            assert "final_obs" in extras, "time limits are not failures here, but extras['final_obs'] is missing"


def _check_settings(env: Any) -> None:
    """Every learner and pretraining decide as often as the environment does, and see what it shows."""
    kwargs = gym.spec(env.spec.id).kwargs
    groups = set(env.observation_manager.group_obs_dim)
    horizon = env.cfg.actions.chunk.horizon
    for name in entry_points():
        target = kwargs[f"{name}_cfg_entry_point"]
        cfg = resolve((target if callable(target) else load(target))())
        assert cfg.actor.horizon == horizon, f"{name}: agent.actor.horizon={cfg.actor.horizon}, the task's is {horizon}"
        seen = cfg.obs_keys if name == PRETRAIN else [group for names in cfg.obs_groups.values() for group in names]
        assert set(seen) <= groups, f"{name} wants {sorted(set(seen) - groups)}; the task shows {sorted(groups)}"


def _check_sizes(env: Any) -> None:
    """What the registration says of observations and actions, if it says anything, is so."""
    summary = gym.spec(env.spec.id).kwargs.get("summary", {})
    sizes = {
        "obs_dim": math.prod(env.observation_manager.group_obs_dim["policy"]),
        "action_dim": env.action_manager.total_action_dim // env.cfg.actions.chunk.horizon,
    }
    for name, size in sizes.items():
        said = summary.get(name)
        assert said in (None, size), f"the registration says {name}={said}, the task's is {size}"
