# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Conditions that end an episode."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from isaaclab.managers import SceneEntityCfg

if TYPE_CHECKING:
    from isaaclab.envs import ManagerBasedRLEnv

ROBOT = SceneEntityCfg("robot")
OBJECT = SceneEntityCfg("object")


def lifted(env: ManagerBasedRLEnv, height: float, object_cfg: SceneEntityCfg = OBJECT) -> torch.Tensor:
    """Whether the centre of an object is above a height [m], shape (E,)."""
    return env.scene[object_cfg.name].data.root_pos_w.torch[:, 2] - env.scene.env_origins[:, 2] > height


def dropped(env: ManagerBasedRLEnv, height: float, object_cfg: SceneEntityCfg = OBJECT) -> torch.Tensor:
    """Whether the centre of an object is below a height [m], as after falling off the table, shape (E,)."""
    return env.scene[object_cfg.name].data.root_pos_w.torch[:, 2] - env.scene.env_origins[:, 2] < height


def non_finite(
    env: ManagerBasedRLEnv, robot_cfg: SceneEntityCfg = ROBOT, object_cfg: SceneEntityCfg = OBJECT
) -> torch.Tensor:
    """Whether the state of the robot or of an object contains NaN or infinity, shape (E,)."""
    robot, rigid_object = env.scene[robot_cfg.name].data, env.scene[object_cfg.name].data
    state = torch.cat(
        (
            robot.joint_pos.torch,
            robot.joint_vel.torch,
            rigid_object.root_link_pose_w.torch,
            rigid_object.root_com_vel_w.torch,
        ),
        dim=1,
    )
    return ~torch.isfinite(state).all(dim=1)
