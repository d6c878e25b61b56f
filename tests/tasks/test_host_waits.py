# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Within a step, no line of a task's makes the host wait for the device; learners are held in `test_rehearsal`."""

from collections import Counter
from pathlib import Path

import pytest
import torch

import flow_rl
import flow_rl_assets
import flow_rl_tasks
from flow_rl.testing import host_waits

FOLDERS = [Path(package.__file__).parent for package in (flow_rl, flow_rl_assets, flow_rl_tasks)]
HOSTS = ("step", "_reset_idx")
"""Functions of ours that call Isaac Lab's, which waits once a decision for the environments that are done."""


def test_what_waits_is_found():
    values, mask = torch.arange(4.0), torch.tensor([True, False, True, False])
    with host_waits(Path(__file__).parent) as found:
        values[mask] = 0.0
        values[mask].sum().item()
        torch.tensor([1.0])
        if values.equal(values):
            values.nonzero()
        torch.where(mask, values, -values).cpu()
    operations = Counter(place.rpartition(": ")[2] for place in found)
    assert set(operations) == {
        *("index_put_ by a mask", "index by a mask", "_local_scalar_dense", "tensor", "equal", "nonzero", "cpu")
    }
    assert all(place.startswith("tasks/test_host_waits.py:") for place in found)


@pytest.mark.sim
@pytest.mark.parametrize(
    "task",
    [
        "FlowRL-Lift-Franka-Vision",
        "FlowRL-Kitchen-Complete-Franka",
        "FlowRL-Transport-DualFranka",
        "FlowRL-OneLeg-Low-Franka",
    ],
)
def test_no_line_of_a_task_waits(task, make_env):
    with make_env(None, 4, task=task) as env, torch.inference_mode():
        actions = torch.zeros(4, env.action_manager.total_action_dim)
        env.reset()
        env.step(actions)  # constants are made
        env.episode_length_buf[:2] = env.max_episode_length
        with host_waits(*FOLDERS, without=HOSTS) as found:
            for _ in range(2):
                env.step(actions)
    assert not found
