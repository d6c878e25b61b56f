# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Runs an exported policy on a Franka through franky: ``python -m flow_rl.deploy.franka``.

Needs what a :class:`flow_rl.deploy.PolicyRunner` needs, and franky-control.
"""

from .arm import FrankaArm, RobotError
from .driver import FrankaDriver, Outcome
from .settings import FrankaCfg

__all__ = ["FrankaArm", "FrankaCfg", "FrankaDriver", "Outcome", "RobotError"]
