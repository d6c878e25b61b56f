# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Tasks are registered from strings, with every learner, at almost no cost."""

import importlib
import subprocess
import sys

import gymnasium as gym
import pytest

from flow_rl.configs.compose import entry_points, load
from tests.tasks.conftest import TASK


def test_importing_the_tasks_loads_no_simulator():
    code = "import flow_rl_tasks, sys; print([m for m in ('isaaclab', 'torch', 'warp', 'pxr') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.stdout.strip() == "[]", run.stderr


def test_every_learner_is_an_agent_of_the_task():
    importlib.import_module("flow_rl_tasks")
    kwargs = gym.spec(TASK).kwargs
    for name, target in entry_points().items():
        assert type(kwargs[f"{name}_cfg_entry_point"]()) is load(target)
    assert kwargs["rsl_rl_cfg_entry_point"] is kwargs["score_flow_cfg_entry_point"]


def test_the_summary_says_what_pretraining_sets():
    importlib.import_module("flow_rl_tasks")
    tasks = [spec.kwargs for spec in gym.registry.values() if "summary" in (spec.kwargs or {})]
    assert len(tasks) > 20
    for kwargs in tasks:
        cfg, summary = kwargs["pretrain_cfg_entry_point"](), kwargs["summary"]
        assert summary["horizon"] == cfg.actor.horizon
        assert ["policy", *summary["cameras"]] == cfg.obs_keys
        assert summary["obs_dim"] and summary["action_dim"]


def test_a_task_may_replace_a_learners_configuration():
    from flow_rl_tasks.core.registration import register_task

    settings = ({"all": {"actor.horizon": 2}}, {"reinflow": {"actor.horizon": 3}})
    agents = {"reinflow": "flow_rl.configs.score_flow:ScoreFlowRunnerCfg"}
    register_task("FlowRL-Test-Only", env_cfg="a:B", settings=settings, agents=agents)
    try:
        kwargs = gym.spec("FlowRL-Test-Only").kwargs
        assert type(cfg := kwargs["reinflow_cfg_entry_point"]()) is load(agents["reinflow"])
        assert cfg.actor.horizon == 3  # settings apply to it too
        assert kwargs["rldt_cfg_entry_point"]().actor.horizon == 2
    finally:
        gym.registry.pop("FlowRL-Test-Only")


@pytest.mark.sim
@pytest.mark.parametrize(
    "command",
    [
        ["list_envs"],
        ["zero_agent", "--task", TASK, "--num_envs", "4", "--max_steps", "3", "--viz", "none"],
        ["random_agent", "--task", TASK, "--num_envs", "4", "--max_steps", "3", "--viz", "none", "physics=ovphysx"],
    ],
    ids=lambda command: command[0],
)
def test_stock_commands_know_the_task(command, tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "isaaclab", *command], capture_output=True, text=True, cwd=tmp_path, timeout=300
    )
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-2000:]
    if command[0] == "list_envs":
        assert TASK in run.stdout
