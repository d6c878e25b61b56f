# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Kitchen, the analogue of Franka Kitchen: four of seven things to do at a counter, in any order.

The things are a microwave's door, a kettle, two knobs, a light switch, a sliding and a hinged cabinet door. The three
tasks differ in what the demonstrations show: ``Complete``, all four targets in order; ``Partial``, in some episodes the
targets and in others other things; ``Mixed``, never all four targets in one episode. Randomised at each reset are the
place of the kettle and, slightly, the joints of the arm.
"""

from flow_rl_tasks import papers
from flow_rl_tasks.core.registration import register_with_vision
from flow_rl_tasks.settings import KITCHEN, highest_return

for _name, _goal in {"Complete": "", "Partial": "", "Mixed": "Mixed"}.items():
    register_with_vision(
        f"FlowRL-Kitchen-{_name}-Franka",
        env_cfg=f"{__name__}.kitchen_env_cfg:Kitchen{_goal}EnvCfg",
        expert=f"{__name__}.expert:{_name}Expert",
        settings=(KITCHEN, highest_return(4.0)),
        paper=papers.KITCHEN_MIXED if _name == "Mixed" else papers.KITCHEN,
        obs_dim=35,
        vision_obs_dim=9,
        action_dim=9,
    )
