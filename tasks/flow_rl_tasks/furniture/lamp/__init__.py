# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Screw a bulb into a lamp's base and place the hood over it."""

from flow_rl_tasks.furniture import register_furniture

register_furniture("Lamp", f"{__name__}.lamp_env_cfg", num_joints=2)
