# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Where chunks of actions lead the tool, if the arm follows; to be shown, not to be controlled with."""

from __future__ import annotations

import functools
import math

import torch

from isaaclab.envs.mdp.actions.joint_actions import RelativeJointPositionAction
from isaaclab.envs.mdp.actions.task_space_actions import DifferentialInverseKinematicsAction
from isaaclab.managers import ActionTerm
from isaaclab.utils.math import quat_apply, quat_from_angle_axis

from flow_rl_assets.franka import HAND_BODY, TCP_OFFSET

from .constants import constant
from .pose_action import Rot6dPoseAction, bounded


@functools.singledispatch
def planned_path(term: ActionTerm, actions: torch.Tensor) -> torch.Tensor | None:
    """Positions of the tool [m] now and after each action, in the world; None for terms that do not move it.

    Terms of a new kind register their own function here.

    Args:
        term: Action term whose turn each action is for one control tick.
        actions: Raw actions of any number N of chunks per environment, shape (N, E, H, A).

    Returns:
        Positions, shape (N, E, H + 1, 3).
    """
    return None


@planned_path.register
def _(term: DifferentialInverseKinematicsAction, actions: torch.Tensor) -> torch.Tensor:
    """Poses: the commanded positions, at the speed at which the term approaches them."""
    relative, max_step = term.cfg.controller.use_relative_mode, math.inf
    if isinstance(term, Rot6dPoseAction):
        relative, max_step = term.cfg.relative, term.cfg.max_step
    commands = (actions * term._scale.unsqueeze(1) + term._offset.unsqueeze(1))[..., :3]
    path = [term._compute_frame_pose()[0].expand(len(actions), -1, -1)]
    for command in commands.unbind(dim=2):
        path.append(path[-1] + bounded(command if relative else command - path[-1], max_step))
    path = torch.stack(path, dim=2)  # (N, E, H + 1, 3)
    root = term._asset.data.root_pose_w.torch[:, None]
    return root[..., :3] + quat_apply(root[..., 3:].expand(*path.shape[:-1], 4), path)


@planned_path.register
def _(term: RelativeJointPositionAction, actions: torch.Tensor) -> torch.Tensor:
    """Changes of the Panda's joints: forward kinematics from the present posture, as a product of rotations.

    A joint turns what is further out about the z axis of its link, where joints and links now are.
    """
    robot, offset = term._asset, constant(TCP_OFFSET, term.device)
    turns = torch.nn.functional.pad((actions * term._scale).cumsum(dim=2), (0, 0, 1, 0))  # (N, E, H + 1, A)
    poses = robot.data.body_link_pose_w.torch
    hand = poses[:, robot.find_bodies(HAND_BODY)[0][0]]
    tool = hand[:, :3] + quat_apply(hand[:, 3:], offset.expand(len(hand), 3))
    path = tool[:, None].expand(*turns.shape[:-1], 3)
    names = [name.replace("joint", "link") for name in term._joint_names]
    links = poses[:, robot.find_bodies(names, preserve_order=True)[0]]  # (E, A, 7)
    axes = quat_apply(links[..., 3:], constant((0.0, 0.0, 1.0), term.device).expand(*links.shape[:-1], 3))
    for joint in reversed(range(len(names))):
        centre, axis = links[:, None, joint, :3], axes[:, None, joint].expand_as(path)
        turn = quat_from_angle_axis(turns[..., joint].flatten(), axis.flatten(0, 2)).view(*path.shape[:-1], 4)
        path = centre + quat_apply(turn, path - centre)
    return path
