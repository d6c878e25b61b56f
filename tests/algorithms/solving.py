# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Two problems that each learner solves within a minute: a clone that is too slow, and one between two good actions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rsl_rl.env import VecEnv
from rsl_rl.runners import OnPolicyRunner

from flow_rl.configs.compose import set_field
from flow_rl.configs.pretrain import PretrainCfg
from flow_rl.demos.reader import Demos
from flow_rl.models import FlowPolicy
from flow_rl.pretrain.trainer import pretrain
from flow_rl.testing import PointMass, bandit, small_config
from tests.algorithms.conftest import success

NUM_ENVS = 64
SIZES = [64, 64]

ON_POLICY = {"learning_rate": 1e-3, "final_learning_rate": 3e-4, "clip_param": 0.1}
OFF_POLICY = {"learning_rate": 1e-3, "final_learning_rate": 3e-4, "critic_warmup": 4, "num_actor_updates": 64}
BANDIT = {"gamma": 0.0, "learning_rate": 4e-4, "final_learning_rate": 1e-4}
OWN: dict[str, dict[str, Any]] = {
    "dppo": {"algorithm.clip_param_base": 0.1},
    "ppo": {"algorithm.std": 0.3},
    "resip": {"actor.head.scale": 0.5},
    "residual": {"actor.head.scale": 1.0},
}
"""What single learners need: trust regions as large as the others', noise that tells the bandit's peaks apart, and
corrections that reach them."""


def slow_points(num: int = 256, speed: float = 0.18, noise: float = 0.3, limit: int = 16) -> Demos:
    """Demonstrations of the point mass, single velocities that lead to the goal too slowly, with noise."""
    generator = torch.Generator().manual_seed(0)
    env = PointMass(num, horizon=1, limit=limit)
    obs, actions = [], []
    for _ in range(limit):
        obs.append(env.position)
        velocity = -speed * env.position / env.position.norm(dim=-1, keepdim=True)
        actions.append((velocity + noise * torch.randn(num, 2, generator=generator)).clamp(-1, 1))
        env.position = env.position + 0.25 * actions[-1]
    return Demos(*(torch.stack(each, dim=1).flatten(0, 1).numpy() for each in (obs, actions)), np.full(num, limit))


def broad_actions(num: int = 2048, mean: float = 0.1, std: float = 0.5) -> Demos:
    """Demonstrations of the bandit, from one Gaussian between the two best actions.

    Four steps of Euler's make about half of its deviation. It is a little nearer to one of them, or a policy that is
    itself a Gaussian would stay where it is.
    """
    actions = std * np.random.default_rng(0).standard_normal((num, 2)) + [mean, 0.0]
    return Demos(np.zeros((num, 1), np.float32), actions.clip(-1, 1).astype(np.float32), np.full(num, 1))


@dataclass
class Problem:
    """What is to be solved."""

    demonstrations: Callable[[], Demos]
    make_env: Callable[[int], VecEnv]
    horizon: int
    settings: dict[str, Any]
    measure: Callable[[FlowPolicy], float]
    """How well a policy does without exploration noise."""
    solved: float
    """How well it must do."""
    num_iterations: int
    """Budget, also the length of all schedules."""


PROBLEMS = {
    "point_mass": Problem(slow_points, PointMass, 2, {}, success, 0.9, 40),
    "bandit": Problem(
        broad_actions, bandit.Bandit, 1, BANDIT, lambda policy: bandit.measure(policy)["reward"], 0.8, 60
    ),
}


def clone(problem: Problem, actor: dict[str, Any], path: Path) -> None:
    """Pretrain a policy of the kind that a learner's configuration names."""
    cfg = PretrainCfg(seed=0, device="cpu", num_steps=1000, batch_size=256)
    cfg.actor.horizon, cfg.actor.hidden_dims, cfg.actor.prediction = problem.horizon, SIZES, actor["prediction"]
    cfg.actor.sampler.kind = actor["sampler"]["kind"]
    torch.manual_seed(0)
    pretrain(cfg, problem.demonstrations(), output=path, task="PointMass", progress=False)


def solve(learner: str, problem: Problem, seed: int, base: Path | None) -> list[float]:
    """Fine-tune a clone, or learn from nothing if there is none, until all is solved twice or the budget is spent.

    Returns:
        What is solved before it and after every second iteration.
    """
    off_policy = "num_actor_updates" in small_config(learner)["algorithm"]
    settings = (OFF_POLICY if off_policy else ON_POLICY) | problem.settings
    cfg = small_config(learner, from_scratch=base is None, **settings)
    for path, value in OWN.get(learner, {}).items():
        set_field(cfg, path, value)
    cfg["actor"] |= {"hidden_dims": SIZES, "horizon": problem.horizon}
    cfg["critic"]["hidden_dims"] = SIZES
    cfg |= {"max_iterations": problem.num_iterations, "num_steps_per_env": 16}
    torch.manual_seed(seed)
    runner = OnPolicyRunner(problem.make_env(NUM_ENVS), cfg, device="cpu")
    if base is not None:
        runner.load(str(base))
    solved = [problem.measure(runner.alg.get_policy())]
    for _ in range(0, problem.num_iterations, 2):
        if min(solved[-2:]) >= problem.solved:
            break
        runner.learn(2)
        solved.append(problem.measure(runner.alg.get_policy()))
    return solved
