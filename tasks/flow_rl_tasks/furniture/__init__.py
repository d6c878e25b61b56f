# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Furniture assembly: what all furniture tasks share. Each furniture is a folder beside this one."""

from flow_rl_tasks.registration import register_task


def register_furniture(name: str, module: str, num_joints: int) -> None:
    """Register the Low and the Med task of a furniture.

    Args:
        name: Name within the tasks', such as ``OneLeg``.
        module: Module of the environment configurations ``<name>LowEnvCfg`` and ``<name>MedEnvCfg``.
        num_joints: Number of joints, the greatest return of an episode: 1 or 2.
    """
    agents = f"{__name__}.agents"
    for randomness in ("Low", "Med"):
        register_task(
            f"FlowRL-{name}-{randomness}-Franka",
            env_cfg=f"{module}:{name}{randomness}EnvCfg",
            expert=f"{__name__}.expert:AssemblyExpert",
            env=f"{__name__}.furniture_env:FurnitureEnv",
            agents={
                "pretrain": f"{agents}:FurniturePretrainCfg",
                "score_flow": f"{agents}:FurnitureScoreFlowRunnerCfg",
                "reinflow": f"{agents}:FurnitureReinFlowRunnerCfg",
                "rldt": f"{agents}:FurnitureRldt{num_joints}RunnerCfg",
            },
        )
