# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Environments shared by the tests of tasks: few models, so that few kernels are compiled."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
import torch

TASK = "FlowRL-Lift-Franka"


@pytest.fixture(scope="session")
def make_env() -> Callable[..., AbstractContextManager]:
    """Factory of the lift environment on Newton and the CPU: ``with make_env(horizon=4) as env``."""
    from flow_rl_tasks import launch

    torch.set_num_threads(1)

    def make(horizon: int, num_envs: int = 32) -> AbstractContextManager:
        words = ["--task", TASK, "--device", "cpu", "--num_envs", str(num_envs), "physics=newton_mjwarp"]
        args, overrides = launch.Parser("test").parse(words)
        return launch.launch_env(args, launch.env_config(args, overrides, horizon=horizon))

    return make
