# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Privileged observations of an assembly, for critics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from isaaclab.managers import ManagerTermBase, ObservationTermCfg
from isaaclab.utils.math import combine_frame_transforms, matrix_from_quat, subtract_frame_transforms

from .observations import body_point_w, finite

if TYPE_CHECKING:
    from isaaclab.assets import BaseRigidObjectData
    from isaaclab.envs import ManagerBasedEnv
    from isaaclab.managers import SceneEntityCfg


class JointStates(ManagerTermBase):
    """How far each joint of ``env.assembly`` is from being made, and where the tool is, shape (E, 23 * J).

    For each joint: position of the part's frame in the nearest receiving frame, squashed by tanh at 10 cm, 2 cm and
    5 mm (9 numbers), the part's z axis (3) and two components of its x axis (2) there, position of the tool in the
    frame of the part, squashed at 10 cm and 2 cm (6), the turn as a share of the thread's, and whether the peg is
    engaged and the joint is made. All of it follows from poses and the past, but a network would need far more data
    to find the millimetres in differences of poses.
    """

    POSITION_SCALES = (0.1, 0.02, 0.005)
    TOOL_SCALES = (0.1, 0.02)

    def __init__(self, cfg: ObservationTermCfg, env: ManagerBasedEnv):
        """Put the frames of all joints onto the device."""
        super().__init__(cfg, env)
        joints = env.assembly.furniture.joints
        self._joints = [
            (
                env.scene[joint.part].data,
                env.scene[joint.onto].data,
                torch.tensor(joint.part_frame.transform(), device=env.device).expand(env.num_envs, 7),
                torch.tensor([frame.transform() for frame in joint.onto_frames], device=env.device),  # (F, 7)
            )
            for joint in joints
        ]
        self._turns = torch.tensor([joint.thread.turn if joint.thread else 1.0 for joint in joints], device=env.device)

    def __call__(
        self, env: ManagerBasedEnv, robot_cfg: SceneEntityCfg, offset: tuple[float, float, float]
    ) -> torch.Tensor:
        """Look at the joints; the tool is a point fixed to a body of the robot."""
        tool, assembly = body_point_w(env, robot_cfg, offset), env.assembly
        states = torch.stack([self._look(*joint, tool) for joint in self._joints], dim=1)  # (E, J, 20)
        progress = torch.stack((assembly.turn / self._turns, assembly.engaged, assembly.made), dim=2)
        return finite(torch.cat((states, progress), dim=2).flatten(1))

    def _look(
        self,
        part: BaseRigidObjectData,
        onto: BaseRigidObjectData,
        part_frame: torch.Tensor,
        onto_frames: torch.Tensor,
        tool: torch.Tensor,
    ) -> torch.Tensor:
        """One joint, shape (E, 20)."""
        part_pose, onto_pose = ((data.root_pos_w.torch, data.root_quat_w.torch) for data in (part, onto))
        tip = combine_frame_transforms(*part_pose, part_frame[:, :3], part_frame[:, 3:])
        tip = subtract_frame_transforms(*onto_pose, *tip)
        nearest = onto_frames[(tip[0].unsqueeze(1) - onto_frames[:, :3]).norm(dim=2).argmin(dim=1)]  # (E, 7)
        pos, quat = subtract_frame_transforms(nearest[:, :3], nearest[:, 3:], *tip)
        axes = matrix_from_quat(quat)
        tool_pos, _ = subtract_frame_transforms(*part_pose, tool)
        squashed = [(pos / scale).tanh() for scale in self.POSITION_SCALES]
        squashed += [axes[:, :, 2], axes[:, :2, 0]]
        squashed += [(tool_pos / scale).tanh() for scale in self.TOOL_SCALES]
        return torch.cat(squashed, dim=1)
