# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Transport, the analogue of Robomimic's task of this name.

Two Franka Pandas face each other across a table. The first takes the lid off a bin, takes a hammer out of it and hands
it over in the air; the second throws a cube of trash out of the bin where the hammer belongs, takes the hammer and puts
it there. Randomised at each reset are, slightly, position and yaw of lid, hammer and cube, and the joints of the arms.
The task is solved when the hammer is in its bin, the cube in that for trash, and both grippers have left them.
"""

from flow_rl_tasks.core.registration import register_with_vision
from flow_rl_tasks.settings import TRANSPORT, seen_by

register_with_vision(
    "FlowRL-Transport-DualFranka",
    env_cfg=f"{__name__}.transport_env_cfg:TransportEnvCfg",
    expert=f"{__name__}.expert:TransportExpert",
    settings=(TRANSPORT,),
    vision=(seen_by("front", "wrist", "wrist_2"),),
    obs_dim=59,
    vision_obs_dim=18,
    action_dim=14,
)
