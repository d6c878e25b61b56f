# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Square, the analogue of Robomimic's task of this name.

A Franka Panda takes a square nut by its handle and puts it over a square peg, with 3 mm to spare on each side.
Randomised at each reset are where the nut lies, its yaw (all directions) and, slightly, the joints of the arm. The task
is solved when the nut is on the lower half of the peg and the gripper has left it.
"""

from flow_rl_tasks import papers
from flow_rl_tasks.core.registration import register_with_vision
from flow_rl_tasks.settings import SQUARE

register_with_vision(
    "FlowRL-Square-Franka",
    env_cfg=f"{__name__}.square_env_cfg:SquareEnvCfg",
    expert=f"{__name__}.expert:SquareExpert",
    settings=(SQUARE,),
    paper=papers.SQUARE,
    obs_dim=23,
    vision_obs_dim=9,
    action_dim=7,
)
