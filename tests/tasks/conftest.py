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
    from flow_rl import testing

    torch.set_num_threads(1)

    def make(
        horizon: int | None,
        num_envs: int = 32,
        *more: str,
        task: str = TASK,
        physics: str = "newton_mjwarp",
        seed: int = 0,
    ) -> AbstractContextManager:
        return testing.make_env(task, num_envs, f"physics={physics}", *more, horizon=horizon, seed=seed)

    return make
