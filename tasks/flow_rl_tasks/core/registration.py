# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Registration of a task together with all learners, from strings only."""

from __future__ import annotations

import gymnasium as gym

from flow_rl.configs import learners

DEFAULT_LEARNER = "score_flow"
"""Learner behind ``rsl_rl_cfg_entry_point``, that is, without ``--agent``."""


def register_task(
    task_id: str,
    env_cfg: str,
    expert: str | None = None,
    agents: dict[str, str] | None = None,
    env: str = "flow_rl_tasks.core.env:ManipulationEnv",
) -> None:
    """Register a manager-based task with Gymnasium.

    Each learner found in :mod:`flow_rl.configs` is registered as ``<learner>_cfg_entry_point``, so that
    ``--agent <learner>_cfg_entry_point`` selects it.

    Args:
        task_id: Name of the task, such as ``FlowRL-Lift-Franka``.
        env_cfg: ``"module:Class"`` of the environment configuration.
        expert: ``"module:Class"`` of the scripted expert, if there is one.
        agents: ``"module:Class"`` per learner name, instead of or in addition to the learners' own configurations.
        env: ``"module:Class"`` of the environment.
    """
    entry_points = {**learners(), **(agents or {})}
    kwargs = {f"{name}_cfg_entry_point": entry_point for name, entry_point in entry_points.items()}
    if DEFAULT_LEARNER in entry_points:
        kwargs["rsl_rl_cfg_entry_point"] = entry_points[DEFAULT_LEARNER]
        kwargs["default_agent"] = "rsl_rl"
    if expert is not None:
        kwargs["expert_entry_point"] = expert
    gym.register(
        id=task_id,
        entry_point=env,
        disable_env_checker=True,
        kwargs={"env_cfg_entry_point": env_cfg, **kwargs},
    )


def settings(template: str) -> dict[str, str]:
    """Settings of pretraining and of the learners, ``template`` being ``"module:Prefix{}"``; see `register_task`."""
    names = {
        "pretrain": "Pretrain",
        "score_flow": "ScoreFlowRunner",
        "reinflow": "ReinFlowRunner",
        "rldt": "RldtRunner",
    }
    return {learner: template.format(f"{name}Cfg") for learner, name in names.items()}


def register_vision_task(task_id: str, **entry_points: str) -> None:
    """Register the variant of a task that is seen through cameras, ``<task_id>-Vision``; see :func:`register_task`."""
    register_task(f"{task_id}-Vision", agents=settings("flow_rl_tasks.variations.vision:Vision{}"), **entry_points)
