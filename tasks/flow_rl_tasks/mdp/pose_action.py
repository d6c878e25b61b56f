# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Poses of the tool, relative or absolute, with a continuous representation of rotations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from isaaclab.envs.mdp.actions.task_space_actions import DifferentialInverseKinematicsAction
from isaaclab.utils.math import (
    axis_angle_from_quat,
    matrix_from_quat,
    quat_conjugate,
    quat_from_angle_axis,
    quat_mul,
    quat_unique,
)

from .pose_cache import once_per_state

if TYPE_CHECKING:
    from isaaclab.envs import ManagerBasedEnv

    from .actions_cfg import Rot6dPoseActionCfg


class PoseAction(DifferentialInverseKinematicsAction):
    """The stock term, which asks for the tool's pose twice per action; experts and viewers ask it too."""

    def _compute_frame_pose(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Pose of the tool in the frame of the robot's base, shapes (E, 3) and (E, 4), computed once per state."""
        offset = self.cfg.body_offset
        frame = None if offset is None else (*offset.pos, *offset.rot)
        return once_per_state(self._asset, ("frame", self._body_idx, frame), super()._compute_frame_pose)


class Rot6dPoseAction(PoseAction):
    """Moves the tool towards a pose: position (3) and the first two columns of a rotation matrix (6).

    Both are ``offset + scale * action`` in the axes of the robot's base, from the tool's pose or, if absolute, from the
    base. The columns are orthonormalised (Zhou et al., 2019, "On the Continuity of Rotation Representations in Neural
    Networks"). Per control tick the tool is led at most ``max_step`` [m] and ``max_turn`` [rad] further: distant poses
    are approached at a bounded speed.
    """

    cfg: Rot6dPoseActionCfg

    def __init__(self, cfg: Rot6dPoseActionCfg, env: ManagerBasedEnv):
        super().__init__(cfg, env)
        if not isinstance(self._joint_ids, slice):
            self._joint_ids = torch.tensor(self._joint_ids, device=self.device)
        self._damping = 1e-4 * torch.eye(6, device=self.device)
        # An absolute action of zeros has no direction: it means a gripper that points down.
        down = torch.tensor((1.0, 0.0, 0.0, 0.0, -1.0, 0.0), device=self.device)
        self._default = torch.zeros_like(down) if cfg.relative else 1e-3 * down

    @property
    def action_dim(self) -> int:
        """Size of an action, 9."""
        return 9

    def process_actions(self, actions: torch.Tensor) -> None:
        """Take actions, shape (E, 9)."""
        self._raw_actions.copy_(actions)
        self._processed_actions.copy_(actions * self._scale + self._offset)
        pos, quat = self._processed_actions[:, :3], quat_from_rot6d(self._processed_actions[:, 3:] + self._default)
        tool_pos, tool_quat = self._compute_frame_pose()
        if self.cfg.relative:
            pos, quat = tool_pos + pos, quat_mul(quat, tool_quat)
        pos, quat = step_towards(tool_pos, tool_quat, pos, quat, self.cfg.max_step, self.cfg.max_turn)
        self._ik_controller.set_command(torch.cat((pos, quat), dim=1), tool_pos, tool_quat)

    def apply_actions(self) -> None:
        """Set joint targets."""
        joint_pos = self._asset.data.joint_pos.torch[:, self._joint_ids]
        target, command = joint_pos + self.joint_step(), self._asset.actuators.target_command
        command.set_position_index(value=target, joint_ids=self._joint_ids)

    def joint_step(self) -> torch.Tensor:
        """How far each joint shall move [rad], shape (E, 7).

        Inverse kinematics, and in its null space a pull towards the arm's initial posture.
        """
        tool_pos, tool_quat = self._compute_frame_pose()
        data = self._asset.data
        joint_pos = data.joint_pos.torch[:, self._joint_ids]
        jacobian = self._compute_frame_jacobian()
        target = self._ik_controller.compute(tool_pos, tool_quat, jacobian, joint_pos)
        pull = self.cfg.posture_gain * (data.default_joint_pos.torch[:, self._joint_ids] - joint_pos).unsqueeze(2)
        across = jacobian.transpose(1, 2)
        # solve_ex neither waits for the device nor raises for the environment whose state is broken
        seen = torch.linalg.solve_ex(jacobian @ across + self._damping, jacobian @ pull).result
        step = target - joint_pos + (pull - across @ seen).squeeze(2)
        target = joint_pos + step.clamp(-self.cfg.max_joint_step, self.cfg.max_joint_step)
        limits = data.soft_joint_pos_limits.torch[:, self._joint_ids]
        return target.clamp(limits[..., 0], limits[..., 1]) - joint_pos

    def raw_action(self, pos: torch.Tensor, quat: torch.Tensor) -> torch.Tensor:
        """Action that leads to a pose in the frame of the robot's base, shape (E, 9)."""
        if self.cfg.relative:
            tool_pos, tool_quat = self._compute_frame_pose()
            pos, quat = pos - tool_pos, quat_mul(quat, quat_conjugate(tool_quat))
        matrix = matrix_from_quat(quat)
        return (torch.cat((pos, matrix[:, :, 0], matrix[:, :, 1]), dim=1) - self._offset) / self._scale


def quat_from_rot6d(rot6d: torch.Tensor) -> torch.Tensor:
    """Orientation (x, y, z, w) from two columns of a rotation matrix, orthonormalised, shapes (E, 6) and (E, 4)."""
    x = rot6d[:, :3]
    is_zero = x.norm(dim=1, keepdim=True) < 1e-6
    x = torch.nn.functional.normalize(torch.where(is_zero, torch.eye(3, device=x.device)[0], x), dim=1)
    y = rot6d[:, 3:] - (x * rot6d[:, 3:]).sum(dim=1, keepdim=True) * x
    # Parallel columns leave the turn about x open: take the direction across that is surest.
    smallest = torch.nn.functional.one_hot(x.abs().argmin(dim=1), 3).to(x.dtype)
    across = torch.linalg.cross(x, smallest)
    y = torch.nn.functional.normalize(torch.where(y.norm(dim=1, keepdim=True) > 1e-6, y, across), dim=1)
    return quat_from_matrix(torch.stack((x, y, torch.linalg.cross(x, y)), dim=2))


def quat_from_matrix(matrix: torch.Tensor) -> torch.Tensor:
    """Orientation (x, y, z, w) of rotation matrices, shapes (E, 4) and (E, 3, 3).

    Rows of q q^T, which are linear in the matrix, are all multiples of q; the longest is divided by its length. Isaac
    Lab's function gives the same, but indexes by masks, for which the host waits.
    """
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = (row.unbind(1) for row in matrix.unbind(1))
    rows = (
        (1 + xx - yy - zz, xy + yx, xz + zx, zy - yz),
        (xy + yx, 1 - xx + yy - zz, yz + zy, xz - zx),
        (xz + zx, yz + zy, 1 - xx - yy + zz, yx - xy),
        (zy - yz, xz - zx, yx - xy, 1 + xx + yy + zz),
    )
    outer = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)
    longest = outer.diagonal(dim1=1, dim2=2).argmax(dim=1)
    row = outer.gather(1, longest[:, None, None].expand(-1, 1, 4)).squeeze(1)
    return torch.nn.functional.normalize(row, dim=1)


def bounded(shift: torch.Tensor, max_step: float | torch.Tensor) -> torch.Tensor:
    """Shifts in their directions, at most ``max_step`` [m] long, shape (..., 3)."""
    return shift * (max_step / shift.norm(dim=-1, keepdim=True).clamp(min=1e-9)).clamp(max=1.0)


def step_towards(
    pos: torch.Tensor,
    quat: torch.Tensor,
    target_pos: torch.Tensor,
    target_quat: torch.Tensor,
    max_step: float | torch.Tensor,
    max_turn: float | torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pose on the way to a target, at most ``max_step`` [m] and ``max_turn`` [rad] away; shapes (E, 3) and (E, 4)."""
    shift = bounded(target_pos - pos, max_step)
    turn = axis_angle_from_quat(quat_unique(quat_mul(target_quat, quat_conjugate(quat))))  # (E, 3)
    angle = turn.norm(dim=1)
    axis = turn / angle.unsqueeze(1).clamp(min=1e-9)
    return pos + shift, quat_mul(quat_from_angle_axis(angle.clamp(max=max_turn), axis), quat)
