# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What every learner must hold, checked on a point mass in seconds, without a simulator."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from rsl_rl.runners import OnPolicyRunner

from flow_rl.configs import learners
from flow_rl.configs.compose import build
from flow_rl.models import FlowPolicy
from flow_rl.utils.checkpoint import load_checkpoint

from .point_mass import FilmedPointMass, PointMass

ENCODER = {"kind": "vit", "output_dim": 8, "patch": 8, "width": 16, "depth": 1, "num_heads": 2, "shift": 2}


def small_config(learner: str = "score_flow", **algorithm: Any) -> dict:
    """Return a learner's configuration as the stock command line passes it to the runner, with small networks.

    Args:
        learner: Name of an installed learner.
        algorithm: Fields of its algorithm. Unless given, it learns from scratch and the actor from the first iteration.
    """
    from importlib.metadata import version

    from isaaclab.utils import to_dict
    from isaaclab_rl.rsl_rl import handle_deprecated_rsl_rl_cfg

    algorithm = {"from_scratch": True, "critic_warmup": 0, **algorithm}
    small = {
        "actor.hidden_dims": [32, 32],
        "critic.hidden_dims": [32, 32],
        "actor.horizon": 2,
        "device": "cpu",
        "num_steps_per_env": 6,
        "max_iterations": 4,
    }
    fields = small | {f"algorithm.{key}": value for key, value in algorithm.items()}
    return to_dict(handle_deprecated_rsl_rl_cfg(build(learner, {learner: fields}), version("rsl-rl-lib")))


def make_runner(
    learner: str, env: PointMass | None = None, log_dir: Path | None = None, pixels: bool = False, **algorithm: Any
) -> OnPolicyRunner:
    """Return the stock runner of a learner on the point mass, seen as a state or through a camera."""
    cfg = small_config(learner, **algorithm)
    if pixels:
        cfg["obs_groups"] = {"actor": ["policy", "front"], "critic": ["policy", "front"]}
        cfg["actor"]["encoder"] = ENCODER
    env = env or (FilmedPointMass(8) if pixels else PointMass())
    return OnPolicyRunner(env, cfg, log_dir=str(log_dir) if log_dir else None, device="cpu")


def tensors(state: Any, prefix: str = "") -> dict[str, torch.Tensor]:
    """Return all tensors of a nested state by their paths."""
    if isinstance(state, torch.Tensor):
        return {prefix: state}
    items = enumerate(state) if isinstance(state, list | tuple) else state.items() if isinstance(state, dict) else ()
    return {path: value for key, item in items for path, value in tensors(item, f"{prefix}.{key}").items()}


def check_learner(learner: str, folder: Path, *, pixels: bool = False, **algorithm: Any) -> None:
    """Check that a learner improves a policy behind the stock runner, resumes exactly, and leaves usable checkpoints.

    Args:
        learner: Its name, by which :func:`flow_rl.configs.learners` finds it.
        folder: An empty folder for checkpoints.
        pixels: Whether actor and critic see through a camera.
        algorithm: Fields of its algorithm, where its defaults do not suit so small a problem.

    Raises:
        AssertionError: If something does not hold; the message says what.
    """
    assert learner in learners(), f"no learner is named {learner!r}: found {', '.join(sorted(learners()))}"
    torch.manual_seed(0)
    runner = make_runner(learner, pixels=pixels, **algorithm)
    assert runner.alg.name == learner, f"its `name` is {runner.alg.name!r}, but it is registered as {learner!r}"
    _check_updates(runner)
    _check_checkpoint(runner, learner, folder / "trained.pt")
    _check_resuming(learner, folder / "half.pt", pixels, algorithm)
    _check_pretrained(learner, runner, folder / "pretrained.pt", pixels, algorithm)
    _check_export(runner, folder)


def _check_updates(runner: OnPolicyRunner) -> None:
    before = copy.deepcopy(runner.alg.get_policy().state_dict())
    runner.learn(2)
    after = runner.alg.get_policy().state_dict()
    assert any(not torch.equal(before[key], after[key]) for key in before), "two updates leave the policy as it was"
    broken = [path for path, value in tensors(runner.alg.save()).items() if not torch.isfinite(value).all()]
    assert not broken, f"two updates leave numbers that are not finite in {', '.join(broken)}"


def _check_checkpoint(runner: OnPolicyRunner, learner: str, path: Path) -> None:
    runner.save(str(path))
    checkpoint = load_checkpoint(path)  # refuses what is no plain data
    assert checkpoint["flow_rl"]["learner"] == learner
    again, policy = FlowPolicy.from_checkpoint(checkpoint), runner.alg.get_policy()
    obs = runner.env.get_observations()
    noise = torch.randn(runner.env.num_envs, runner.env.num_actions)
    expected = policy.sample(policy.get_latent(obs), noise)
    assert torch.equal(again.sample(again.get_latent(obs), noise), expected), "a checkpoint's policy acts differently"


def _check_resuming(learner: str, path: Path, pixels: bool, algorithm: dict[str, Any]) -> None:
    straight = make_runner(learner, (FilmedPointMass if pixels else PointMass)(8), pixels=pixels, **algorithm)
    straight.learn(1)
    straight.save(str(path))
    env = copy.deepcopy(straight.env)
    straight.learn(1)
    torch.manual_seed(99)
    resumed = make_runner(learner, env, pixels=pixels, **algorithm)
    resumed.alg.planned_iterations -= 1  # what is left of its schedules
    resumed.load(str(path))
    torch.randn(7)
    resumed.learn(1)
    expected, found = tensors(straight.alg.save()), tensors(resumed.alg.save())
    assert expected.keys() == found.keys(), "a resumed run keeps other parts than an undisturbed one"
    differ = [key for key, value in expected.items() if not torch.equal(value, found[key])]
    assert not differ, f"a resumed run differs from an undisturbed one in {', '.join(differ)}"


def _check_pretrained(
    learner: str, trained: OnPolicyRunner, path: Path, pixels: bool, algorithm: dict[str, Any]
) -> None:
    policy = trained.alg.get_policy()
    torch.save(pretrained(policy), path)
    runner = make_runner(learner, pixels=pixels, **algorithm | {"from_scratch": False})
    runner.load(str(path))
    assert runner.current_learning_iteration == 0, "iterations do not count from 0 after pretraining"
    found = runner.alg.get_policy().state_dict()
    differ = [key for key, value in policy.state_dict().items() if not torch.equal(value, found[key])]
    assert not differ, f"learning does not begin with the pretrained policy: {', '.join(differ)}"
    runner.learn(1)


def _check_export(runner: OnPolicyRunner, folder: Path) -> None:
    runner.export_policy_to_jit(str(folder))
    assert (folder / "policy.pt").is_file()
    torch.jit.load(folder / "policy.pt")


def pretrained(policy: FlowPolicy, **changes: Any) -> dict:
    """Return a checkpoint of pretraining with this policy's parameters; ``changes`` falsify its description."""
    from flow_rl.utils.checkpoint import describe

    return {
        "actor_state_dict": {key: value.clone() for key, value in policy.state_dict().items()},
        "iter": 0,
        "infos": None,
        "flow_rl": describe({**policy.settings, **changes}, stage="pretrain", learner=None, task="PointMass"),
    }
