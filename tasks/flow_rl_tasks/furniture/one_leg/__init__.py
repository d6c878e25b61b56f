# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Screw a leg into the top of a square table."""

from flow_rl_tasks.furniture import register_furniture

register_furniture("OneLeg", f"{__name__}.one_leg_env_cfg", num_joints=1)
