# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Tests that other packages can import: what every learner and every task must hold, on small environments."""

from .learners import check_learner, make_runner, small_config
from .point_mass import FilmedPointMass, PointMass
from .tasks import check_task, first_episodes, make_env
from .waits import host_waits

__all__ = [
    "FilmedPointMass",
    "PointMass",
    "check_learner",
    "check_task",
    "first_episodes",
    "host_waits",
    "make_env",
    "make_runner",
    "small_config",
]
