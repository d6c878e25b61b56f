# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Observations in the frame of the environment; non-finite values are read as zero.

A broken environment is reset by its ``non_finite`` termination, but its last observation still reaches the learner.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from isaaclab.managers import SceneEntityCfg
from isaaclab.utils.math import matrix_from_quat, quat_apply, quat_conjugate, quat_mul

from .constants import constant
from .pose_cache import once_per_state

if TYPE_CHECKING:
    from isaaclab.envs import ManagerBasedEnv

ROBOT = SceneEntityCfg("robot")
OBJECT = SceneEntityCfg("object")


def measured(units: str, frame: str) -> Callable[[Callable], Callable]:
    """Say in which units and which frame an observation is given; the contract of exported policies repeats it."""

    def mark(func: Callable) -> Callable:
        func.units, func.frame = units, frame
        return func

    return mark


def finite(values: torch.Tensor) -> torch.Tensor:
    """Values with NaN and infinities replaced by zero."""
    return torch.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)


def canonical_quat(quat: torch.Tensor, component: int) -> torch.Tensor:
    """The one of q and -q whose given component (x, y, z, w) is not negative; both are the same rotation."""
    return torch.where(quat[:, component : component + 1] < 0.0, -quat, quat)


def rot6d(quat: torch.Tensor) -> torch.Tensor:
    """First two columns of the rotation matrices of quaternions (x, y, z, w), shapes (E, 6) and (E, 4)."""
    matrix = matrix_from_quat(quat)
    return torch.cat((matrix[:, :, 0], matrix[:, :, 1]), dim=1)


@measured("m", "environment")
def body_frame_pos(env: ManagerBasedEnv, robot_cfg: SceneEntityCfg, offset: tuple[float, float, float]) -> torch.Tensor:
    """Position [m] of a point fixed to a body of the robot, shape (E, 3)."""
    return finite(body_point_w(env, robot_cfg, offset) - env.scene.env_origins)


@measured("-", "environment")
def body_frame_quat(env: ManagerBasedEnv, robot_cfg: SceneEntityCfg, positive: int = 0) -> torch.Tensor:
    """Orientation (x, y, z, w) of a body that mostly points down, shape (E, 4).

    The sign makes x positive, which for a gripper pointing down jumps only at a yaw of 180 degrees. For a robot that is
    turned by as much, make y ``positive`` (1).
    """
    quat = env.scene[robot_cfg.name].data.body_quat_w.torch[:, robot_cfg.body_ids].squeeze(1)
    return finite(canonical_quat(quat, positive))


@measured("-", "environment")
def body_rot6d(env: ManagerBasedEnv, robot_cfg: SceneEntityCfg) -> torch.Tensor:
    """Orientation of a body as the first two columns of its rotation matrix, shape (E, 6)."""
    return finite(rot6d(env.scene[robot_cfg.name].data.body_quat_w.torch[:, robot_cfg.body_ids].squeeze(1)))


@measured("m/s, rad/s", "environment")
def body_frame_vel(env: ManagerBasedEnv, robot_cfg: SceneEntityCfg, offset: tuple[float, float, float]) -> torch.Tensor:
    """Linear velocity [m/s] of a point fixed to a body, and the body's angular velocity [rad/s], shape (E, 6)."""
    data = env.scene[robot_cfg.name].data
    velocity = data.body_link_vel_w.torch[:, robot_cfg.body_ids].squeeze(1)
    arm = body_point_w(env, robot_cfg, offset) - data.body_pos_w.torch[:, robot_cfg.body_ids].squeeze(1)
    linear = velocity[:, :3] + torch.linalg.cross(velocity[:, 3:], arm)
    return finite(torch.cat((linear, velocity[:, 3:]), dim=1))


@measured("m", "joint")
def gripper_width(env: ManagerBasedEnv, robot_cfg: SceneEntityCfg) -> torch.Tensor:
    """Distance between the two fingers [m], the sum of their joints, shape (E, 1)."""
    return joint_pos(env, robot_cfg).sum(dim=1, keepdim=True)


@measured("rad or m", "joint")
def joint_pos(env: ManagerBasedEnv, robot_cfg: SceneEntityCfg) -> torch.Tensor:
    """Joint positions [rad or m], shape (E, J)."""
    return finite(env.scene[robot_cfg.name].data.joint_pos.torch[:, robot_cfg.joint_ids])


@measured("m", "environment")
def object_pos(env: ManagerBasedEnv, object_cfg: SceneEntityCfg = OBJECT) -> torch.Tensor:
    """Position [m] of an object, shape (E, 3)."""
    return finite(env.scene[object_cfg.name].data.root_pos_w.torch - env.scene.env_origins)


@measured("-", "environment")
def object_quat(env: ManagerBasedEnv, object_cfg: SceneEntityCfg = OBJECT) -> torch.Tensor:
    """Orientation (x, y, z, w) of an object, shape (E, 4), with w positive."""
    return finite(canonical_quat(env.scene[object_cfg.name].data.root_quat_w.torch, 3))


@measured("-", "environment")
def object_rot6d(env: ManagerBasedEnv, object_cfg: SceneEntityCfg = OBJECT) -> torch.Tensor:
    """Orientation of an object as the first two columns of its rotation matrix, shape (E, 6)."""
    return finite(rot6d(env.scene[object_cfg.name].data.root_quat_w.torch))


@measured("m, -", "axes of the environment, counted from the tool")
def object_poses(
    env: ManagerBasedEnv,
    robot_cfg: SceneEntityCfg,
    offset: tuple[float, float, float],
    names: list[str],
    rotation: str = "rot6d",
) -> torch.Tensor:
    """Poses of objects, one after the other, shape (E, 9 or 7 of each).

    Each is the vector [m] from a point fixed to a body of the robot, and the orientation, both along the axes of the
    environment: small differences of position show best from near. The rotation "rot6d" is the first two columns of a
    matrix, "quat" is (x, y, z, w) with w positive, which jumps when a part passes a half turn.
    """
    turned = {"rot6d": object_rot6d, "quat": object_quat}[rotation]
    objects = [SceneEntityCfg(name) for name in names]
    poses = [(object_rel_pos(env, robot_cfg, offset, item), turned(env, item)) for item in objects]
    return torch.cat([values for pose in poses for values in pose], dim=1)


@measured("m", "axes of the environment, counted from the tool")
def object_rel_pos(
    env: ManagerBasedEnv,
    robot_cfg: SceneEntityCfg,
    offset: tuple[float, float, float],
    object_cfg: SceneEntityCfg = OBJECT,
) -> torch.Tensor:
    """Vector [m] from a point fixed to a body of the robot to an object, shape (E, 3)."""
    return finite(env.scene[object_cfg.name].data.root_pos_w.torch - body_point_w(env, robot_cfg, offset))


@measured("-", "body of the robot")
def object_rel_quat(
    env: ManagerBasedEnv, robot_cfg: SceneEntityCfg, object_cfg: SceneEntityCfg = OBJECT
) -> torch.Tensor:
    """Orientation (x, y, z, w) of an object as seen from a body of the robot, shape (E, 4).

    The sign makes x positive, as for :func:`body_frame_quat`.
    """
    body = env.scene[robot_cfg.name].data.body_quat_w.torch[:, robot_cfg.body_ids].squeeze(1)
    quat = quat_mul(quat_conjugate(body), env.scene[object_cfg.name].data.root_quat_w.torch)
    return finite(canonical_quat(quat, 0))


@measured("m", "axes of the environment, counted from the object")
def object_to_place(
    env: ManagerBasedEnv, place: tuple[float, float, float], object_cfg: SceneEntityCfg = OBJECT
) -> torch.Tensor:
    """Vector [m] from an object to a place in the frame of the environment, shape (E, 3)."""
    pos = object_pos(env, object_cfg)
    return constant(place, pos.device) - pos


@measured("-", "environment")
def object_is_inside(
    env: ManagerBasedEnv,
    place: tuple[float, float],
    tolerance: tuple[float, float],
    height: float,
    object_cfg: SceneEntityCfg = OBJECT,
) -> torch.Tensor:
    """One for an object that lies at its place, else zero, shape (E, 1); see :func:`lies_at`."""
    return lies_at(env, place, tolerance, height, object_cfg).float().unsqueeze(1)


@measured("-", "as the actions")
def last_actions(env: ManagerBasedEnv, action_name: str = "chunk") -> torch.Tensor:
    """Last actions that are still to be executed because of latency, the newest first, shape (E, max_latency * A).

    Zeros stand in place of those that have been executed. Who corrects errors that these will correct overshoots.
    """
    return finite(env.action_manager.get_term(action_name).under_way.flatten(1))


@measured("control steps", "-")
def latency(env: ManagerBasedEnv, action_name: str = "chunk") -> torch.Tensor:
    """Control steps by which actions are executed late in this episode, shape (E, 1)."""
    return env.action_manager.get_term(action_name).latency.float().unsqueeze(1)


def lies_at(
    env: ManagerBasedEnv,
    place: tuple[float, float],
    tolerance: tuple[float, float],
    height: float,
    object_cfg: SceneEntityCfg = OBJECT,
) -> torch.Tensor:
    """Whether an object lies at its place, shape (E,).

    Args:
        env: The environment.
        place: Centre x and y of the place in the frame of the environment [m].
        tolerance: Greatest distance of the object's centre along x and along y [m].
        height: Greatest height of the object's centre [m].
        object_cfg: The object.
    """
    x, y, z = (env.scene[object_cfg.name].data.root_pos_w.torch - env.scene.env_origins).unbind(dim=1)
    return ((x - place[0]).abs() < tolerance[0]) & ((y - place[1]).abs() < tolerance[1]) & (z < height)


def body_point_w(env: ManagerBasedEnv, robot_cfg: SceneEntityCfg, offset: tuple[float, float, float]) -> torch.Tensor:
    """Position [m] in the world of a point fixed to a body of the robot, shape (E, 3)."""
    robot = env.scene[robot_cfg.name]

    def compute() -> torch.Tensor:
        pos = robot.data.body_pos_w.torch[:, robot_cfg.body_ids].squeeze(1)
        quat = robot.data.body_quat_w.torch[:, robot_cfg.body_ids].squeeze(1)
        return pos + quat_apply(quat, constant(offset, pos.device).expand_as(pos))

    return once_per_state(robot, ("point", str(robot_cfg.body_ids), *offset), compute)
