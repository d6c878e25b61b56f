# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Can, the analogue of Robomimic's task of this name.

A Franka Panda takes a can out of one bin and puts it into its compartment of another. Randomised at each reset are
where the can stands and, slightly, the joints of the arm. The task is solved when the can is in the compartment and
the gripper has left it.
"""

from flow_rl_tasks import papers
from flow_rl_tasks.core.registration import register_with_vision

register_with_vision(
    "FlowRL-Can-Franka",
    env_cfg=f"{__name__}.can_env_cfg:CanEnvCfg",
    expert=f"{__name__}.expert:CanExpert",
    paper=papers.CAN,
    obs_dim=23,
    vision_obs_dim=9,
    action_dim=7,
)
