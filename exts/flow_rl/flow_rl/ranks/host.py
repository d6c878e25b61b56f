# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Isaac Lab's ``train`` on several ranks, and on CPUs, which it refuses."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Callable

from . import launcher

NUM_ENVS = "environments side by side, on each rank where there are several"
"""What help says of ``--num_envs``."""


def document(common) -> None:
    """Let the host's help name what the launcher reads; ``common`` is the host's module of that name."""
    add = common.add_common_train_args

    def add_common_train_args(parser: argparse.ArgumentParser, **how) -> None:
        add(parser, **how)
        launcher.add_options(parser)
        parser._option_string_actions["--num_envs"].help = NUM_ENVS

    common.add_common_train_args = add_common_train_args


def extend(common) -> None:
    """Let this process be one of several ranks; ``common`` is the host's module of that name."""
    import isaaclab.app

    common.validate_distributed_device = lambda args: None
    isaaclab.app.launch_simulation = _on_cpus(isaaclab.app.launch_simulation)


def own_device(device: str) -> str:
    """Return the device of this rank: a CPU, or the GPU of its number on this machine."""
    import torch

    if torch.device(device).type == "cpu":
        return device
    local = int(os.getenv("LOCAL_RANK", "0"))
    return f"cuda:{local if local < torch.cuda.device_count() else 0}"


def _on_cpus(launch: Callable) -> Callable:
    """Let the host's launcher of simulations leave ranks on the CPU where they are; it would give each a GPU."""

    @contextlib.contextmanager
    def launch_simulation(cfg, args=None):
        on_cpu = getattr(args, "device", None) == "cpu"
        if on_cpu:
            args.distributed, cfg.sim.device = False, "cpu"
        with launch(cfg, args) as physics:
            if on_cpu:
                args.distributed = True
            yield physics

    return launch_simulation
