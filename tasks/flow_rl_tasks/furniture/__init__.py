# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Furniture assembly: what all furniture tasks share. Each furniture is a folder below this one."""

from flow_rl_tasks import papers
from flow_rl_tasks.core.registration import register_task
from flow_rl_tasks.settings import FURNITURE, FURNITURE_VISION, VISION, WIDE, highest_return

ENV_CFG_MODULES: dict[str, str] = {}
"""Module of each ``<Name>EnvCfg``, from which its vision variant is made."""


def register_furniture(name: str, module: str, num_joints: int, wide: tuple[str, ...] = ()) -> None:
    """Register the Low and the Med task of a furniture, and the vision variant of each.

    Args:
        name: Name within the tasks', such as ``OneLeg``.
        module: Module of the environment configurations ``<name>LowEnvCfg`` and ``<name>MedEnvCfg``.
        num_joints: Number of joints, the greatest return of an episode; it takes one more part than joints.
        wide: Which of ``Low`` and ``Med`` get a net twice as wide, because the usual one underfits its demonstrations.
    """
    for randomness in ("Low", "Med"):
        task = f"{name}{randomness}"
        ENV_CFG_MODULES[task] = module
        task_id = f"FlowRL-{name}-{randomness}-Franka"
        settings = (FURNITURE, highest_return(float(num_joints)), *([WIDE] if randomness in wide else []))
        vision_cfg = f"{__name__}.vision_env_cfg:{task}VisionEnvCfg"
        for variant_id, env_cfg, variant, num_poses in (
            (task_id, f"{module}:{task}EnvCfg", (), num_joints + 1),
            (f"{task_id}-Vision", vision_cfg, (VISION, FURNITURE_VISION), 0),
        ):
            register_task(
                variant_id,
                env_cfg=env_cfg,
                expert=f"{__name__}.expert:AssemblyExpert",
                env=f"{__name__}.furniture_env:FurnitureEnv",
                settings=(*settings, *variant),
                paper=papers.FURNITURE,
                obs_dim=16 + 9 * num_poses,
                action_dim=10,
            )


from . import lamp, one_leg, round_table  # noqa: E402, F401 - each registers itself with the function above
