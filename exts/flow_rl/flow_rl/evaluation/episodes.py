# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Measuring and filming a policy in a vectorised environment."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from flow_rl.utils.progress import progress_bar

from .film import FilmWriter, tile
from .jerk import Jerk
from .statistics import mean_interval, wilson_interval


class Policy(Protocol):
    """What evaluation needs from a policy."""

    def act(self, obs: Any) -> torch.Tensor:
        """Return one decision per environment, shape (E, H*A)."""

    def reset(self, env_ids: torch.Tensor) -> None:
        """Begin a new episode in these environments."""


@torch.inference_mode()
def evaluate(
    env: Any, policy: Policy, num_episodes: int, *, seed: int, horizon: int, progress: bool = True
) -> dict[str, Any]:
    """Return success rate and mean return with their 95 % intervals, mean length, speed, jerk, and a digit per episode.

    Digits are 1 for solved episodes, environment by environment: two policies with the same seed and as many
    environments meet the same first starts. Where no term ``success`` exists, rate, interval and digits are None. Jerk
    is that of :class:`.jerk.Jerk`: the mean over the numbers of an action, and each of them.

    Each environment contributes the same number of episodes, its first ones, so that short episodes do not weigh more;
    ``num_episodes`` is rounded up accordingly.

    Args:
        env: Manager-based environment, if possible with a termination ``success``.
        policy: Policy to measure.
        num_episodes: Least number of episodes.
        seed: Seed of environment and policy.
        horizon: Control steps that one environment step executes, H.
        progress: Whether to show a progress bar.
    """
    quota = math.ceil(num_episodes / env.num_envs)
    zeros = torch.zeros(env.num_envs, device=env.device)
    episodes, lengths = zeros.long(), zeros.clone()
    running_return, running_length = zeros.clone(), zeros.clone()
    outcomes = torch.zeros(env.num_envs, quota, dtype=torch.bool, device=env.device)
    totals = torch.zeros(env.num_envs, quota, device=env.device)
    knows_success, jerk = has_success(env), Jerk()

    obs, _ = env.reset(seed=seed)
    torch.manual_seed(seed)
    policy.reset(torch.arange(env.num_envs, device=env.device))
    steps, start = 0, time.perf_counter()
    with progress_bar(quota * env.num_envs, "evaluate", "episode", show=progress) as bar:
        while bool((episodes < quota).any()):
            actions = policy.act(obs)
            obs, rewards, terminated, truncated, _ = env.step(actions)
            steps += 1
            running_return += rewards
            running_length += horizon
            dones = terminated | truncated
            jerk.add(actions.unflatten(1, (horizon, -1)), episodes < quota, dones)
            counted = dones & (episodes < quota)
            env_ids = counted.nonzero().flatten()
            totals[env_ids, episodes[env_ids]] = running_return[env_ids]
            if knows_success:
                outcomes[env_ids, episodes[env_ids]] = env.termination_manager.get_term("success")[env_ids]
            lengths += torch.where(counted, running_length, 0.0)
            episodes += counted
            running_return[dones] = 0.0
            running_length[dones] = 0.0
            env_ids = dones.nonzero().flatten()
            if len(env_ids) > 0:
                policy.reset(env_ids)
                total = int(episodes.sum())
                if knows_success:
                    bar.set_postfix(success=f"{int(outcomes.sum()) / max(total, 1):.1%}", refresh=False)
                bar.update(total - bar.n)
    seconds = time.perf_counter() - start

    jerks = jerk.means()
    total, num_successes = int(episodes.sum()), int(outcomes.sum())
    mean = float(totals.double().mean())
    deviation = float(totals.double().std()) if total > 1 else 0.0
    return {
        "success": num_successes / total if knows_success else None,
        "ci95": list(wilson_interval(num_successes, total)) if knows_success else None,
        "episodes": total,
        "mean_return": mean,
        "return_std": deviation,
        "return_ci95": list(mean_interval(mean, deviation, total)),
        "mean_episode_length": float(lengths.sum()) / total,
        "jerk": jerks and sum(jerks) / len(jerks),
        "jerk_of_actions": jerks,
        "outcomes": "".join(str(int(solved)) for solved in outcomes.flatten().tolist()) if knows_success else None,
        "env_steps_per_s": steps * horizon * env.num_envs / seconds,
    }


def has_success(env: Any) -> bool:
    """Whether an environment can say what a success is, by a term of its terminations."""
    return "success" in env.termination_manager.active_terms


@torch.inference_mode()
def play(env: Any, policy: Policy, *, seed: int, once: bool) -> torch.Tensor:
    """Play for the viewers of an environment, and return which first episodes succeeded, shape (E,).

    Args:
        env: Manager-based environment with a termination ``success``.
        policy: Policy to play.
        seed: Seed of environment and policy.
        once: Whether to end when the first episode of each environment is over; else when the last viewer is closed.
    """
    obs, _ = env.reset(seed=seed)
    torch.manual_seed(seed)
    policy.reset(torch.arange(env.num_envs, device=env.device))
    sim = getattr(env, "sim", None)  # Gymnasium's environments have neither simulator nor viewer
    if sim is not None:
        sim.render()
    running = torch.ones(env.num_envs, dtype=torch.bool, device=env.device)
    solved = torch.zeros_like(running)
    with progress_bar(int(env.max_episode_length), "play", "step", show=once) as bar:
        while (sim is None or sim.is_running()) and not (once and not running.any()):
            obs, _, terminated, truncated, _ = env.step(policy.act(obs))
            dones = terminated | truncated
            solved |= running & dones & env.termination_manager.get_term("success")
            running &= ~dones
            policy.reset(dones.nonzero().flatten())
            bar.update()
    return solved


@torch.inference_mode()
def filmed_episodes(
    env: Any, policy: Policy, *, group: str, seed: int, horizon: int
) -> Iterator[tuple[np.ndarray, list[str]]]:
    """Run one episode per environment and yield, at its start and after each control step, how all of them stand.

    Args:
        env: Environment that executes one control step per step.
        policy: Policy to film; its chunks are executed open loop, as in training.
        group: Observation group that is a camera picture, shape (E, height, width, 3), uint8.
        seed: Seed of environment and policy.
        horizon: Chunk length of the policy, H.

    Yields:
        Pictures, shape (E, height, width, 3), and the mark of each environment, see
        :func:`flow_rl.evaluation.film.tile`; both are changed in place by the next step.
    """
    getattr(env, "final_obs_groups", set()).add(group)  # their last pictures too
    marks = ["running"] * env.num_envs
    obs, _ = env.reset(seed=seed)
    torch.manual_seed(seed)
    policy.reset(torch.arange(env.num_envs, device=env.device))
    images = obs[group].cpu().numpy().copy()
    max_length = int(env.max_episode_length)
    with progress_bar(max_length, "film", "step") as bar:
        yield images, marks
        for tick in range(max_length):
            if tick % horizon == 0:
                chunk = policy.act(obs).reshape(env.num_envs, horizon, -1)  # (E, H, A)
            obs, _, terminated, truncated, extras = env.step(chunk[:, tick % horizon])
            running = [env_id for env_id, mark in enumerate(marks) if mark == "running"]
            images[running] = obs[group].cpu().numpy()[running]
            success = env.termination_manager.get_term("success") if has_success(env) else None
            for env_id in (terminated | truncated).nonzero().flatten().tolist():
                if marks[env_id] == "running":  # its tile keeps the last picture before the reset
                    marks[env_id] = "ended" if success is None else "success" if bool(success[env_id]) else "failure"
                    images[env_id] = extras["final_obs"][group][env_id].cpu().numpy()
            bar.update()
            yield images, marks
            if "running" not in marks:
                break


def record_film(
    env: Any, policy: Policy, path: str | Path, *, group: str, seed: int, horizon: int, title: str, hold: float = 1.5
) -> int:
    """Film one episode per environment, one picture per control step, and return the number of successes.

    Args:
        env: Environment that executes one control step per step.
        policy: Policy to film.
        path: File to write, ending in .mp4.
        group: Observation group that is a camera picture; see :func:`filmed_episodes`.
        seed: Seed of environment and policy.
        horizon: Chunk length of the policy, H.
        title: Header; the time is added.
        hold: How long the last picture stays [s].
    """
    fps = 1.0 / env.step_dt
    with FilmWriter(path, fps) as film:
        for tick, (images, marks) in enumerate(filmed_episodes(env, policy, group=group, seed=seed, horizon=horizon)):
            picture = tile(images, marks, f"{title}  {tick * env.step_dt:.1f} s")
            film.add(picture)
        film.add(picture, repeat=round(hold * fps))
    return marks.count("success")
