# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What holds for the terms of all families of tasks, on PhysX."""

from __future__ import annotations

import collections
import sys

import pytest
import torch
from torch.overrides import TorchFunctionMode

pytestmark = pytest.mark.sim

TASKS = ("Lift-Franka", "Can-Franka", "Transport-DualFranka", "OneLeg-Low-Franka", "Kitchen-Complete-Franka")
NUM_ENVS = 2
STEPS = 20


@pytest.fixture(scope="module", params=TASKS)
def env(request, make_env):
    """Each task after some random steps."""
    generator = torch.Generator().manual_seed(0)
    with make_env(1, NUM_ENVS, task=f"FlowRL-{request.param}", physics="ovphysx") as env, torch.inference_mode():
        env.reset(seed=0)
        for _ in range(STEPS):
            env.step(2.0 * torch.rand(NUM_ENVS, env.action_manager.total_action_dim, generator=generator) - 1.0)
        yield env


class Uploads(TorchFunctionMode):
    """Counts where our files make tensors of Python numbers, or index by Python lists: each waits for a GPU."""

    def __init__(self):
        super().__init__()
        self.found = collections.Counter()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        uploads = func in (torch.tensor, torch.as_tensor, torch.Tensor.new_tensor)
        if func in (torch.Tensor.__getitem__, torch.Tensor.__setitem__):
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            uploads = any(isinstance(item, list) for item in index)
        caller = sys._getframe(1)
        if uploads and "flow_rl_tasks" in caller.f_code.co_filename:
            self.found[f"{caller.f_code.co_filename}:{caller.f_lineno}"] += 1
        return func(*args, **(kwargs or {}))


def test_steps_copy_no_constants_to_the_device(env):
    with Uploads() as uploads:
        env.step(torch.zeros(NUM_ENVS, env.action_manager.total_action_dim))
    assert not uploads.found
