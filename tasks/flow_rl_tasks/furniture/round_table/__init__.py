# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Screw a leg into a round top and insert it into a cross base."""

from flow_rl_tasks.furniture import register_furniture

register_furniture("RoundTable", f"{__name__}.round_table_env_cfg", num_joints=2, wide=("Med",))
