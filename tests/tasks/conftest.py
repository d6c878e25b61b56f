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
    """Factory of environments on the CPU, by default lift on Newton: ``with make_env(horizon=4) as env``.

    Environments follow each other in one process, on different engines too, once the one before is closed.
    """
    from flow_rl.cli import launch, options

    torch.set_num_threads(1)

    def make(
        horizon: int | None,
        num_envs: int = 32,
        *more: str,
        task: str = TASK,
        physics: str = "newton_mjwarp",
        seed: int = 0,
    ) -> AbstractContextManager:
        words = ["--task", task, "--device", "cpu", "--num_envs", str(num_envs), "--seed", str(seed)]
        args, overrides = options.Parser("test").parse([*words, f"physics={physics}", *more])
        return launch.launch_env(args, launch.env_config(args, overrides, horizon=horizon))

    return make
