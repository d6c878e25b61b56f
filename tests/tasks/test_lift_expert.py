# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The scripted expert solves the task on both engines, in two ways; chunks change nothing about physics."""

import json
import textwrap

import pytest
import torch

from flow_rl.testing import first_episodes
from tests.commands import run_python
from tests.tasks.conftest import TASK

pytestmark = pytest.mark.sim


@pytest.fixture(scope="module")
def env(make_env):
    with make_env(1, 32, "env.episode_length_s=8") as env, torch.inference_mode():
        yield env


def test_each_strategy_solves_the_task(env):
    from flow_rl_tasks.tabletop.lift.expert import LiftExpert

    expert = LiftExpert(env)
    for strategy in range(len(expert.strategies)):
        env.reset(seed=0)
        expert.reset()
        expert.strategy[:] = strategy
        running = torch.ones(env.num_envs, dtype=torch.bool)
        solved = ~running
        for _ in range(80):
            _, _, terminated, truncated, _ = env.step(expert.act())
            solved |= running & env.termination_manager.get_term("success")
            running &= ~(terminated | truncated)
            if not running.any():
                break
        assert solved.float().mean() >= 0.9, expert.strategies[strategy]


def test_strategies_differ_by_a_quarter_turn(env):
    from flow_rl_tasks.tabletop.lift.expert import LiftExpert

    expert = LiftExpert(env)
    yaws = []
    for strategy in range(2):
        env.reset(seed=0)
        expert.reset()
        expert.strategy[:] = strategy
        expert.act()
        yaws.append(expert._grasp_yaw)
    assert torch.allclose((yaws[0] - yaws[1]).abs(), torch.tensor(torch.pi / 2), atol=1e-4)


def test_quality_makes_a_worse_but_reproducible_expert(env):
    from flow_rl_tasks.tabletop.lift.expert import LiftExpert

    fair, again = (first_episodes(env, LiftExpert(env, quality=0.4, seed=1)) for _ in range(2))
    worst = first_episodes(env, LiftExpert(env, quality=0.0, seed=1))
    assert worst.float().mean() < fair.float().mean() < 0.9
    assert torch.equal(fair, again)
    with pytest.raises(ValueError, match="quality=1.5"):
        LiftExpert(env, quality=1.5)


def test_a_chunk_equals_its_actions_one_by_one(env, make_env):
    """Final state after two chunks of four is that after eight single actions, bit by bit."""
    actions = torch.rand(env.num_envs, 8, 7, generator=torch.Generator().manual_seed(0)) * 2.0 - 1.0
    env.reset(seed=7)
    for step in range(8):
        single = env.step(actions[:, step])[0]["policy"]
    env.close()
    with make_env(horizon=4) as chunked:
        chunked.reset(seed=7)
        for half in actions.split(4, dim=1):
            obs = chunked.step(half.flatten(1))[0]["policy"]
        assert torch.equal(obs, single)


def test_the_expert_solves_the_task_on_physx(tmp_path):
    """In a process of its own, which can be given up if it fails."""
    script = f"""
    import json, torch
    torch.set_num_threads(1)
    from flow_rl.cli import launch, options
    from flow_rl_tasks.tabletop.lift.expert import LiftExpert
    from flow_rl.testing import first_episodes
    from tests.tasks.episodes import non_finite
    args, overrides = options.Parser("test").parse(
        ["--task", "{TASK}", "--device", "cpu", "--num_envs", "32", "physics=ovphysx"])
    with launch.launch_env(args, launch.env_config(args, overrides, horizon=1)) as env, torch.inference_mode():
        success = first_episodes(env, LiftExpert(env)).float().mean().item()
        env.reset()
        action = torch.zeros(32, 7)
        action[4] = float("nan")
        env.step(action)
        _, _, terminated, *_ = env.step(torch.zeros(32, 7))
        env.step(torch.zeros(32, 7))
        print("RESULT" + json.dumps([success, non_finite(env), terminated.nonzero().tolist()]))
    """
    run = run_python("-c", textwrap.dedent(script), cwd=tmp_path)
    assert "RESULT" in run.stdout, run.stdout[-2000:] + run.stderr[-2000:]
    success, not_finite, terminated = json.loads(run.stdout.split("RESULT")[1])
    assert success >= 0.9
    assert not not_finite and terminated in ([], [[4]]), "a NaN action stays in its environment"
