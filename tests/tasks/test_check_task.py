# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The importable check passes for tasks of ours, and notices settings that do not suit them."""

import gymnasium as gym
import pytest
import torch

from flow_rl.testing import check_task


@pytest.mark.sim
@pytest.mark.parametrize("task", ["FlowRL-Square-Franka", "FlowRL-Lift-Franka-Vision"])
def test_tasks_pass(task, make_env, monkeypatch):
    with make_env(None, 2, task=task, physics="ovphysx") as env, torch.inference_mode():
        check_task(env)
        with monkeypatch.context() as context:
            context.setitem(gym.spec(task).kwargs["summary"], "obs_dim", 1)
            with pytest.raises(AssertionError, match=r"the registration says obs_dim=1, the task's is"):
                check_task(env)
        env.cfg.actions.chunk.horizon = 3
        with pytest.raises(AssertionError, match=r"agent.actor.horizon=4, the task's is 3"):
            check_task(env)
