# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Exported policies as a policy of LeRobot's, of type ``flow_rl``; for an environment with LeRobot and onnxruntime.

Its command lines find it by ``--policy.discover_packages_path=flow_rl.deploy.lerobot --policy.type=flow_rl
--policy.package=FOLDER`` where this package can be imported, for instance with ``PYTHONPATH=FOLDER``. The names of the
modules, too, are those by which LeRobot looks for them.
"""

from .configuration_flow_rl import FlowRLConfig

__all__ = ["FlowRLConfig"]
