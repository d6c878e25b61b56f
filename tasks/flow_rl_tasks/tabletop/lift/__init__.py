# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Lift, the analogue of Robomimic's task of this name.

A Franka Panda grasps a 5 cm cube on a table and lifts it. Randomised at each reset are the position of the cube, its
yaw (over a quarter turn, which covers all that can be told apart) and, slightly, the joints of the arm. The task is
solved when the cube's centre is 10 cm above where it rested.
"""

from flow_rl_tasks.core.registration import register_with_vision

register_with_vision(
    "FlowRL-Lift-Franka",
    env_cfg=f"{__name__}.lift_env_cfg:LiftEnvCfg",
    expert=f"{__name__}.expert:LiftExpert",
    obs_dim=19,
    vision_obs_dim=9,
    action_dim=7,
)
