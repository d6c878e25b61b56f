# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Runners on the point mass, small enough for unit tests."""

from __future__ import annotations

import importlib
import os

import pytest
import torch
from rsl_rl.runners import OnPolicyRunner

from flow_rl.configs import learners
from flow_rl.models import FlowPolicy
from flow_rl.utils.checkpoint import describe
from tests.point_mass import PointMass


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    """One thread, a fixed seed, no network."""
    monkeypatch.setitem(os.environ, "WANDB_MODE", "offline")
    torch.set_num_threads(1)
    torch.manual_seed(0)


def make_cfg(learner: str = "score_flow", **algorithm) -> dict:
    """The learner's own configuration as the stock command line would pass it, with small networks."""
    from isaaclab.utils import to_dict
    from isaaclab_rl.rsl_rl import handle_deprecated_rsl_rl_cfg

    module, name = learners()[learner].split(":")
    cfg = getattr(importlib.import_module(module), name)()
    cfg.actor.hidden_dims, cfg.critic.hidden_dims, cfg.actor.horizon = [32, 32], [32, 32], 2
    cfg.device, cfg.num_steps_per_env, cfg.max_iterations = "cpu", 6, 4
    for key, value in {"from_scratch": True, "critic_warmup": 0, **algorithm}.items():
        assert hasattr(cfg.algorithm, key), key
        setattr(cfg.algorithm, key, value)
    return to_dict(handle_deprecated_rsl_rl_cfg(cfg, "5.5.1"))


@pytest.fixture
def make_runner(tmp_path):
    """Build a stock runner: `make_runner(learner, env=None, log=False, **algorithm settings)`."""

    def make(learner: str = "score_flow", env: PointMass | None = None, log: bool = False, cfg=None, **algorithm):
        cfg = cfg or make_cfg(learner, **algorithm)
        return OnPolicyRunner(env or PointMass(), cfg, log_dir=str(tmp_path) if log else None, device="cpu")

    return make


def pretrained(policy: FlowPolicy, **changes) -> dict:
    """A pretraining checkpoint with this policy's parameters; `changes` falsify its description."""
    return {
        "actor_state_dict": {k: v.clone() for k, v in policy.state_dict().items()},
        "iter": 0,
        "infos": None,
        "flow_rl": describe({**policy.settings, **changes}, stage="pretrain", learner=None, task="PointMass"),
    }


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
