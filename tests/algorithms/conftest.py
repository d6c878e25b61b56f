# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Runners on the point mass, small enough for unit tests."""

from __future__ import annotations

import os

import pytest
import torch
from rsl_rl.runners import OnPolicyRunner

from flow_rl.testing import PointMass, small_config
from flow_rl.testing.learners import pretrained  # noqa: F401


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    """One thread, a fixed seed, no network."""
    monkeypatch.setitem(os.environ, "WANDB_MODE", "offline")
    torch.set_num_threads(1)
    torch.manual_seed(0)


make_cfg = small_config


@pytest.fixture
def make_runner(tmp_path):
    """Build a stock runner: `make_runner(learner, env=None, log=False, **algorithm settings)`."""

    def make(learner: str = "score_flow", env: PointMass | None = None, log: bool = False, cfg=None, **algorithm):
        cfg = cfg or make_cfg(learner, **algorithm)
        return OnPolicyRunner(env or PointMass(), cfg, log_dir=str(tmp_path) if log else None, device="cpu")

    return make


def collect(runner: OnPolicyRunner):
    """One rollout without an update, as the runner does it; returns the algorithm."""
    alg, obs = runner.alg, runner.env.get_observations()
    alg.train_mode()
    with torch.inference_mode():
        for _ in range(runner.cfg["num_steps_per_env"]):
            obs, rewards, dones, extras = runner.env.step(alg.act(obs))
            alg.process_env_step(obs, rewards, dones, extras)
        alg.compute_returns(obs)
    return alg


def success(policy, steps: int = 24) -> float:
    """Share of finished episodes that reached the goal without exploration noise."""
    torch.manual_seed(7)
    env = PointMass(128)
    obs, won, ended = env.get_observations(), 0, 0
    with torch.inference_mode():
        for _ in range(steps):
            obs, rewards, dones, _ = env.step(policy(obs))
            won, ended = won + rewards.sum(), ended + dones.sum()
    return float(won / ended)
