# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""A task of Isaac Lab's kind that knows nothing of chunks learns by the same commands."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
import torch

from flow_rl.cli import collect, evaluate, launch, pretrain, stock, train_foreign
from flow_rl.demos.reader import load_demos
from tests.envs import plain_task  # noqa: F401 - registers the task

TASK = "Plain-Turn-v0"
DEVICE = ["--task", TASK, "--device", "cpu"]

pytestmark = pytest.mark.sim


def test_chunks_are_executed_by_the_tasks_own_steps():
    """Rewards are summed up to the end inside a chunk; what follows it is a new episode that has waited."""
    args = argparse.Namespace(task=TASK, seed=0, num_envs=3, device="cpu", visualizer=None, num_workers=0)
    cfg = launch.env_config(args, ["physics=ovphysx"], horizon=4)
    with launch.launch_env(args, cfg) as env:
        assert env.max_episode_length == 3 and env.action_manager.total_action_dim == 28
        assert env.observation_manager.group_obs_dim == {"policy": (7,)}
        env.reset(seed=0)
        still = torch.zeros(3, 28)
        ends = []
        for _ in range(3):
            obs, rewards, terminated, truncated, extras = env.step(still)
            ends.append(truncated.tolist())
        assert ends == [[False] * 3, [False] * 3, [True] * 3] and not env.solved.any()
        assert not torch.equal(extras["final_obs"]["policy"], obs["policy"])
        # one environment arrives inside the first chunk, the others hold still
        env.reset(seed=1)
        fast = still.clone()
        fast[1, ::7] = 2.5  # of the first joint, in all four ticks
        for _ in range(2):
            obs, rewards, terminated, truncated, extras = env.step(fast)
            if terminated.any():
                break
        assert terminated.tolist() == [False, True, False] and env.termination_manager.get_term("success")[1]
        assert float(extras["final_obs"]["policy"][1, 0]) > 0.35 > float(obs["policy"][1, 0])
        assert float(rewards[1]) > float(rewards[0]) and env.episode_length_buf.shape == (3,)


@pytest.mark.slow
def test_commands_lead_from_a_function_to_a_finetuned_policy(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    env, small = [*DEVICE, "physics=ovphysx"], ["agent.actor.horizon=2", "agent.actor.hidden_dims=[16]"]
    expert = ["--expert", "tests.envs.plain_task:turn", "--quality", "0.9", "--num_demos", "4", "--num_envs", "4"]
    collect.main([*env, *expert, "--output", "demos.hdf5"])
    assert load_demos("demos.hdf5").action_dim == 7
    pretrain.main([*DEVICE, "--demos", "demos.hdf5", *small, "agent.num_steps=30", "--output", "clone.pt"])
    words = [*env, "--agent", "rldt", "--checkpoint", "clone.pt", "--num_envs", "4", "--max_iterations", "3", *small]
    words += ["agent.num_steps_per_env=5", "agent.eval_interval=3", "agent.eval_episodes=4"]
    words += ["agent.algorithm.num_critic_updates=4", "agent.algorithm.target_repeat=2"]
    assert stock.is_foreign(["train", *words]) and not stock.is_foreign(["train", "--task", TASK])
    train_foreign.main(words)
    (run,) = Path("logs/rsl_rl/rldt").iterdir()
    noted = [json.loads(line) for line in (run / "evaluations.jsonl").read_text().splitlines()]
    assert [entry["env_steps"] for entry in noted] == [0, 3 * 4 * 5 * 2] and noted[-1]["success"] is not None
    policy = ["--checkpoint", str(run / "model_2.pt"), "--num_episodes", "4", "--num_envs", "4"]
    evaluate.main([*env, *policy, "--output", "out.json"])
    assert json.loads(Path("out.json").read_text())["episodes"] == 4
