# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Registration of a task together with all learners, from strings and plain data only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import gymnasium as gym

from flow_rl.configs.compose import PRETRAIN, Settings, combined, concerning, entry_points, factory
from flow_rl_tasks import papers
from flow_rl_tasks.settings import PRESETS, VISION

DEFAULT_LEARNER = "score_flow"
"""Learner behind ``rsl_rl_cfg_entry_point``, that is, without ``--agent``."""

DEFAULT_HORIZON = 4
"""Actions in a chunk unless a task sets it; as in the policy's configuration, which takes long to import."""


def register_task(
    task_id: str,
    env_cfg: str,
    expert: str | None = None,
    settings: Sequence[Settings] = (),
    paper: Settings | None = None,
    agents: Mapping[str, str] | None = None,
    env: str = "flow_rl_tasks.core.env:ManipulationEnv",
    obs_dim: int | None = None,
    action_dim: int | None = None,
) -> None:
    """Register a manager-based task with Gymnasium.

    Each learner found by :func:`flow_rl.configs.learners` is registered as ``<learner>_cfg_entry_point``, so that
    ``--agent <learner>_cfg_entry_point`` selects it, with the settings of the task.

    Args:
        task_id: Name of the task, such as ``FlowRL-Lift-Franka``.
        env_cfg: ``"module:Class"`` of the environment configuration.
        expert: ``"module:Class"`` of the scripted expert, if there is one.
        settings: What the task sets for pretraining and the learners; the last one wins.
        paper: What `presets=paper` sets for this task, besides what it sets for all.
        agents: ``"module:Class"`` per learner to which settings apply, instead of the learner's own configuration.
        env: ``"module:Class"`` of the environment.
        obs_dim: Numbers that a policy sees besides pictures.
        action_dim: Numbers of an action. What these two say is listed by ``flow-rl tasks``, which starts no simulator.
    """
    presets = PRESETS | {"paper": combined(papers.ALL, paper or {})}
    kwargs = {
        f"{name}_cfg_entry_point": factory(name, settings, presets, base=(agents or {}).get(name))
        for name in entry_points()
    }
    kwargs["rsl_rl_cfg_entry_point"] = kwargs[f"{DEFAULT_LEARNER}_cfg_entry_point"]
    if expert is not None:
        kwargs["expert_entry_point"] = expert
    fields = {path: value for record in settings for path, value in concerning(PRETRAIN, record).items()}
    kwargs["summary"] = {
        "obs_dim": obs_dim,
        "action_dim": action_dim,
        "horizon": fields.get("actor.horizon", DEFAULT_HORIZON),
        "cameras": [name for name in fields.get("obs_keys", ()) if name != "policy"],
    }
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
    obs_dim: int | None = None,
    vision_obs_dim: int | None = None,
    **options: str | int | Settings,
) -> None:
    """Register a task and ``<task_id>-Vision``, which is seen through cameras; see :func:`register_task`.

    Args:
        task_id: Name of the task that is seen as a state.
        env_cfg: ``"module:<Name>EnvCfg"``; the same module has ``<Name>VisionEnvCfg``.
        settings: What both set.
        vision: What the second sets after that.
        obs_dim: Numbers that a policy sees of the first.
        vision_obs_dim: Numbers that it sees of the second besides pictures.
        options: Further arguments of both.
    """
    register_task(task_id, env_cfg, settings=settings, obs_dim=obs_dim, **options)
    vision_cfg = env_cfg.removesuffix("EnvCfg") + "VisionEnvCfg"
    settings = (*settings, *vision)
    register_task(f"{task_id}-Vision", vision_cfg, settings=settings, obs_dim=vision_obs_dim, **options)
