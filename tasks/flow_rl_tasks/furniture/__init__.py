# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Furniture assembly: what all furniture tasks share. Each furniture is a folder below this one."""

from flow_rl_tasks.core.registration import register_task, settings

ENV_CFG_MODULES: dict[str, str] = {}
"""Module of each ``<Name>EnvCfg``, from which its vision variant is made."""


def register_furniture(name: str, module: str, num_joints: int, wide: tuple[str, ...] = ()) -> None:
    """Register the Low and the Med task of a furniture, and the vision variant of each.

    Args:
        name: Name within the tasks', such as ``OneLeg``.
        module: Module of the environment configurations ``<name>LowEnvCfg`` and ``<name>MedEnvCfg``.
        num_joints: Number of joints, the greatest return of an episode: 1 or 2.
        wide: Which of ``Low`` and ``Med`` get a net twice as wide, because the usual one underfits its demonstrations.
    """
    agents = f"{__name__}.agents"
    for randomness in ("Low", "Med"):
        task = f"{name}{randomness}"
        ENV_CFG_MODULES[task] = module
        for variant, env_cfg in (
            ("", f"{module}:{task}EnvCfg"),
            ("Vision", f"{__name__}.vision_env_cfg:{task}VisionEnvCfg"),
        ):
            prefix = f"{agents}:Furniture" + "Wide" * (randomness in wide) + variant
            register_task(
                f"FlowRL-{name}-{randomness}-Franka" + (variant and f"-{variant}"),
                env_cfg=env_cfg,
                expert=f"{__name__}.expert:AssemblyExpert",
                env=f"{__name__}.furniture_env:FurnitureEnv",
                agents=settings(prefix + "{}") | {"rldt": f"{prefix}Rldt{num_joints}RunnerCfg"},
            )


from . import lamp, one_leg, round_table  # noqa: E402, F401 - each registers itself with the function above
