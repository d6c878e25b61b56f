# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Registration of a task together with all learners, from strings and plain data only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import gymnasium as gym

from flow_rl.configs.compose import Settings, entry_points, factory
from flow_rl_tasks.settings import PRESETS, VISION

DEFAULT_LEARNER = "score_flow"
"""Learner behind ``rsl_rl_cfg_entry_point``, that is, without ``--agent``."""


def register_task(
    task_id: str,
    env_cfg: str,
    expert: str | None = None,
    settings: Sequence[Settings] = (),
    agents: Mapping[str, str] | None = None,
    env: str = "flow_rl_tasks.core.env:ManipulationEnv",
) -> None:
    """Register a manager-based task with Gymnasium.

    Each learner found by :func:`flow_rl.configs.learners` is registered as ``<learner>_cfg_entry_point``, so that
    ``--agent <learner>_cfg_entry_point`` selects it, with the settings of the task.

    Args:
        task_id: Name of the task, such as ``FlowRL-Lift-Franka``.
        env_cfg: ``"module:Class"`` of the environment configuration.
        expert: ``"module:Class"`` of the scripted expert, if there is one.
        settings: What the task sets for pretraining and the learners; the last one wins.
        agents: ``"module:Class"`` per learner to which settings apply, instead of the learner's own configuration.
        env: ``"module:Class"`` of the environment.
    """
    kwargs = {
        f"{name}_cfg_entry_point": factory(name, settings, PRESETS, base=(agents or {}).get(name))
        for name in entry_points()
    }
    kwargs["rsl_rl_cfg_entry_point"] = kwargs[f"{DEFAULT_LEARNER}_cfg_entry_point"]
    if expert is not None:
        kwargs["expert_entry_point"] = expert
    gym.register(
        id=task_id,
        entry_point=env,
        disable_env_checker=True,
        kwargs={"env_cfg_entry_point": env_cfg, "default_agent": "rsl_rl", **kwargs},
    )


def register_with_vision(
    task_id: str,
    env_cfg: str,
    settings: Sequence[Settings] = (),
    vision: Sequence[Settings] = (VISION,),
    **options: str,
) -> None:
    """Register a task and ``<task_id>-Vision``, which is seen through cameras; see :func:`register_task`.

    Args:
        task_id: Name of the task that is seen as a state.
        env_cfg: ``"module:<Name>EnvCfg"``; the same module has ``<Name>VisionEnvCfg``.
        settings: What both set.
        vision: What the second sets after that.
        options: Further arguments of both.
    """
    register_task(task_id, env_cfg, settings=settings, **options)
    vision_cfg = env_cfg.removesuffix("EnvCfg") + "VisionEnvCfg"
    register_task(f"{task_id}-Vision", vision_cfg, settings=(*settings, *vision), **options)
