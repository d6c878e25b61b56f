# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Conditions that end an episode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from isaaclab.managers import SceneEntityCfg, TerminationTermCfg
from isaaclab.utils.math import quat_apply_inverse

from .observations import body_point_w, lies_at

if TYPE_CHECKING:
    from isaaclab.envs import ManagerBasedRLEnv

ROBOT = SceneEntityCfg("robot")
OBJECT = SceneEntityCfg("object")


def lifted(
    env: ManagerBasedRLEnv, height: float, highest: float = 1.0, object_cfg: SceneEntityCfg = OBJECT
) -> torch.Tensor:
    """Whether the centre of an object is above a height [m], and not thrown beyond the ``highest`` one, shape (E,)."""
    z = env.scene[object_cfg.name].data.root_pos_w.torch[:, 2] - env.scene.env_origins[:, 2]
    return (z > height) & (z < highest)


def placed(
    env: ManagerBasedRLEnv,
    robot_cfg: SceneEntityCfg,
    offset: tuple[float, float, float],
    place: tuple[float, float],
    tolerance: tuple[float, float],
    height: float,
    clearance: float,
    span: tuple[float, float] = (0.0, 0.0),
    object_cfg: SceneEntityCfg = OBJECT,
) -> torch.Tensor:
    """Whether an object lies at its place and the tool has gone away, in whichever direction, shape (E,).

    Args:
        env: The environment.
        robot_cfg: Robot and the body that carries the tool.
        offset: Tool in the frame of that body [m].
        place: Centre x and y of the place in the frame of the environment [m].
        tolerance: Greatest distance of the object's centre along x and along y [m].
        height: Greatest height of the object's centre [m].
        clearance: Least distance of the tool from the line below; nobody can hold the object from there [m].
        span: From where to where along the object's x axis the line goes by which it can be held [m].
        object_cfg: The object.
    """
    data = env.scene[object_cfg.name].data
    tool = body_point_w(env, robot_cfg, offset) - data.root_pos_w.torch
    x, y, z = quat_apply_inverse(data.root_quat_w.torch, tool).unbind(dim=1)
    distance = torch.stack((x - x.clamp(*span), y, z), dim=1).norm(dim=1)
    return lies_at(env, place, tolerance, height, object_cfg) & (distance > clearance)


def all_of(env: ManagerBasedRLEnv, terms: Sequence[TerminationTermCfg]) -> torch.Tensor:
    """Whether all of several conditions hold, shape (E,)."""
    return torch.stack([term.func(env, **term.params) for term in terms]).all(dim=0)


def dropped(env: ManagerBasedRLEnv, height: float, objects: Sequence[str] = ("object",)) -> torch.Tensor:
    """Whether the centre of any object is below a height [m], as after falling off the table, shape (E,)."""
    heights = torch.stack([env.scene[name].data.root_pos_w.torch[:, 2] for name in objects], dim=1)
    return (heights - env.scene.env_origins[:, 2:] < height).any(dim=1)


def non_finite(
    env: ManagerBasedRLEnv, robot_cfg: SceneEntityCfg = ROBOT, objects: Sequence[str] = ("object",)
) -> torch.Tensor:
    """Whether the state of the robot or of an object contains NaN or infinity, shape (E,)."""
    robot = env.scene[robot_cfg.name].data
    state = [robot.joint_pos.torch, robot.joint_vel.torch]
    for name in objects:
        data = env.scene[name].data
        state += [data.root_link_pose_w.torch, data.root_com_vel_w.torch]
    return ~torch.isfinite(torch.cat(state, dim=1)).all(dim=1)


def assembled(env: ManagerBasedRLEnv) -> torch.Tensor:
    """Whether all joints of the furniture are made, shape (E,)."""
    return env.assembly.complete()
