# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Privileged observations of an assembly, for critics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from isaaclab.managers import ManagerTermBase, ObservationTermCfg
from isaaclab.utils.math import combine_frame_transforms, matrix_from_quat, subtract_frame_transforms

from .observations import finite

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
        furniture = env.assembly.furniture
        self._parts = [(env.scene[joint.part], env.scene[joint.onto]) for joint in furniture.joints]

        def frames(poses: list) -> torch.Tensor:
            return torch.tensor([pose.transform() for pose in poses], device=env.device)

        self._part_frames = [frames([joint.part_frame]) for joint in furniture.joints]  # (1, 7)
        self._onto_frames = [frames(joint.onto_frames) for joint in furniture.joints]  # (F, 7)
        turns = [joint.thread.turn if joint.thread else 1.0 for joint in furniture.joints]
        self._turns = torch.tensor(turns, device=env.device)

    def __call__(
        self, env: ManagerBasedEnv, robot_cfg: SceneEntityCfg, offset: tuple[float, float, float]
    ) -> torch.Tensor:
        """Look at the joints; the tool is a point fixed to a body of the robot."""
        robot = env.scene[robot_cfg.name].data
        body_pos, body_quat = (
            values.torch[:, robot_cfg.body_ids].squeeze(1) for values in (robot.body_pos_w, robot.body_quat_w)
        )
        tool, _ = combine_frame_transforms(body_pos, body_quat, body_pos.new_tensor(offset).expand_as(body_pos))
        assembly, columns = env.assembly, []
        for part, onto in self._parts:
            j = len(columns)
            columns.append(self._look(part.data, onto.data, self._part_frames[j], self._onto_frames[j], tool))
        states = torch.stack(columns, dim=1)  # (E, J, 20)
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
        num_envs, num_frames = len(tool), len(onto_frames)
        part_pos, part_quat = part.root_pos_w.torch, part.root_quat_w.torch
        frame = part_frame.expand(num_envs, 7)
        tip = combine_frame_transforms(part_pos, part_quat, frame[:, :3], frame[:, 3:])
        frames = onto_frames.repeat(num_envs, 1)  # (E * F, 7)
        root = (pose.repeat_interleave(num_frames, 0) for pose in (onto.root_pos_w.torch, onto.root_quat_w.torch))
        seats = combine_frame_transforms(*root, frames[:, :3], frames[:, 3:])
        pos, quat = subtract_frame_transforms(*seats, *(pose.repeat_interleave(num_frames, 0) for pose in tip))
        pos, quat = pos.view(num_envs, num_frames, 3), quat.view(num_envs, num_frames, 4)
        nearest = pos.norm(dim=2).argmin(dim=1)
        rows = torch.arange(num_envs, device=tool.device)
        pos, axes = pos[rows, nearest], matrix_from_quat(quat[rows, nearest])
        tool_pos, _ = subtract_frame_transforms(part_pos, part_quat, tool)
        squashed = [(pos / scale).tanh() for scale in self.POSITION_SCALES]
        squashed += [axes[:, :, 2], axes[:, :2, 0]]
        squashed += [(tool_pos / scale).tanh() for scale in self.TOOL_SCALES]
        return torch.cat(squashed, dim=1)
