# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What the assembly expert sees: the joint to make next, its part, where to take it and where to bring it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from isaaclab.envs import ManagerBasedEnv
from isaaclab.utils.math import (
    combine_frame_transforms,
    matrix_from_quat,
    quat_apply,
    quat_from_matrix,
)

from flow_rl_tasks.core.experts import PoseExpert

from .geometry import yaw_near
from .phases import CLOSE, HOVER


@dataclass
class View:
    """What the expert sees of one joint, one row per environment; positions [m] in the environment's frame."""

    joint: torch.Tensor
    part: torch.Tensor
    tool_pos: torch.Tensor
    tool_quat: torch.Tensor
    part_pos: torch.Tensor
    part_quat: torch.Tensor
    axis: torch.Tensor
    """Of the part, its z axis."""
    yaw: torch.Tensor
    """Of the part, for one that stands."""
    grasp_pos: torch.Tensor
    """Where the part would be taken now."""
    place_pos: torch.Tensor
    place_axis: torch.Tensor
    off_axis: torch.Tensor
    """From the axis of the place to the part's frame."""
    tilt: torch.Tensor
    """Sine of the angle between the axes."""
    aim_axis: torch.Tensor
    """Where the part's axis shall point now."""
    astray: torch.Tensor
    """Sine of the angle between the part's axis and that one."""
    engaged: torch.Tensor
    depth: torch.Tensor


class AssemblyWatcher(PoseExpert):
    """Watches the parts of ``env.assembly``, and chooses grasps and places while they are still open."""

    INCLINATION = math.radians(65)
    """Of the gripper that takes a lying part."""

    GRASP_RISE = 0.004
    """How far above the axis a lying part is taken, so that the fingers clear the table [m]."""

    TIGHTEN = 0.4
    """How far a screw is turned beyond what its joint asks for [rad], so that who turns a little less makes it too."""

    def __init__(self, env: ManagerBasedEnv, quality: float = 1.0, seed: int = 0):
        super().__init__(env, quality, seed)
        self.assembly = self.env.assembly
        furniture = self.assembly.furniture
        names = list(furniture.parts)
        self._objects = [self.env.scene[name] for name in names]
        parts, joints = list(furniture.parts.values()), furniture.joints

        def column(values, dtype=torch.float32) -> torch.Tensor:
            return torch.tensor(list(values), dtype=dtype, device=self.device)

        self._grasp = column(part.grasp for part in parts)
        self._lying_grasp = column(part.grasp if part.lying_grasp is None else part.lying_grasp for part in parts)
        self._part = column((names.index(joint.part) for joint in joints), torch.long)
        self._onto = column((names.index(joint.onto) for joint in joints), torch.long)
        self._part_frame = column(joint.part_frame.transform() for joint in joints)  # (J, 7)
        most = max(len(joint.onto_frames) for joint in joints)
        self._onto_frames = torch.zeros(len(joints), most, 7, device=self.device)
        self._has_frame = torch.zeros(len(joints), most, dtype=torch.bool, device=self.device)
        for j, joint in enumerate(joints):
            for f, frame in enumerate(joint.onto_frames):
                self._onto_frames[j, f] = column(frame.transform())
                self._has_frame[j, f] = True
        self._depth = column(joint.depth for joint in joints)
        self._turn = column(joint.thread.turn if joint.thread else 0.0 for joint in joints)
        self._approach = column(joint.approach for joint in joints)
        self._is_screw = column((joint.thread is not None for joint in joints), torch.bool)
        self._seat_depth = column(
            joint.thread.engage_depth + 0.002 if joint.thread else joint.depth for joint in joints
        )

        count = self.num_envs
        self._place = torch.zeros(count, dtype=torch.long, device=self.device)
        self._grasp_pos = torch.zeros(count, 3, device=self.device)
        self._grasp_quat = torch.zeros(count, 4, device=self.device)
        self._rows = torch.arange(count, device=self.device)
        self._done = torch.zeros(count, len(joints), dtype=torch.bool, device=self.device)
        self._lean = torch.zeros(count, 3, device=self.device)
        self._slide = torch.zeros(count, device=self.device)
        self._up = torch.tensor((0.0, 0.0, 1.0), device=self.device).expand(count, 3)

    def _look(self) -> View:
        """See the joint to make next, its part and its place; choose grasp and place while they are still open."""
        rows = self._rows
        tight = ~self._is_screw | (self.assembly.turn > self._turn + self.TIGHTEN)
        self._done = self.assembly.made.bool() & (self._done | tight)
        joint = torch.where(self._done, 0, 1).argmax(dim=1)  # the first that is not done
        part, onto = self._part[joint], self._onto[joint]
        tool_pos, tool_quat = self.tool_pose()
        pos = torch.stack([item.data.root_pos_w.torch - self.env.scene.env_origins for item in self._objects], dim=1)
        quat = torch.stack([item.data.root_quat_w.torch for item in self._objects], dim=1)
        part_pos, part_quat = pos[rows, part], quat[rows, part]
        axes = matrix_from_quat(part_quat)
        axis = axes[:, :, 2]

        # where to take the part: from above, or inclined when it lies
        lies = axis[:, 2] < 0.7
        along = torch.where(lies, self._lying_grasp[part] + self._slide, self._grasp[part])
        grasp_pos = part_pos + along.unsqueeze(1) * axis
        grasp_pos[:, 2] += torch.where(lies, self.GRASP_RISE, 0.0)
        yaw = torch.atan2(axes[:, 1, 0], axes[:, 0, 0])
        from_above = self.pointing_down(yaw_near(yaw, math.pi / 4))
        grasp_quat = torch.where(lies.unsqueeze(1), self._inclined(axis), from_above)
        open_choice = (self.phase == HOVER).unsqueeze(1)
        self._grasp_pos = torch.where(open_choice, grasp_pos, self._grasp_pos)
        self._grasp_quat = torch.where(open_choice, grasp_quat, self._grasp_quat)

        # where to bring it: the nearest of the places that will do
        frames = self._onto_frames[joint]  # (E, F, 7)
        place_pos, place_quat = combine_frame_transforms(
            pos[rows, onto].unsqueeze(1).expand(-1, frames.shape[1], -1).reshape(-1, 3),
            quat[rows, onto].unsqueeze(1).expand(-1, frames.shape[1], -1).reshape(-1, 4),
            frames[..., :3].reshape(-1, 3),
            frames[..., 3:].reshape(-1, 4),
        )
        place_pos, place_quat = place_pos.view(*frames.shape[:2], 3), place_quat.view(*frames.shape[:2], 4)
        distance = (place_pos - part_pos.unsqueeze(1)).norm(dim=2).masked_fill(~self._has_frame[joint], math.inf)
        self._place = torch.where(self.phase <= CLOSE, distance.argmin(dim=1), self._place)
        place_pos = place_pos[rows, self._place]
        place_axis = matrix_from_quat(place_quat[rows, self._place])[:, :, 2]
        aim_axis = torch.nn.functional.normalize(place_axis + self._lean, dim=1)
        off_axis = part_pos + quat_apply(part_quat, self._part_frame[joint, :3]) - place_pos
        off_axis = off_axis - (off_axis * place_axis).sum(dim=1, keepdim=True) * place_axis
        return View(
            joint=joint,
            part=part,
            tool_pos=tool_pos,
            tool_quat=tool_quat,
            part_pos=part_pos,
            part_quat=part_quat,
            axis=axis,
            yaw=yaw,
            grasp_pos=grasp_pos,
            place_pos=place_pos,
            place_axis=place_axis,
            off_axis=off_axis,
            tilt=torch.linalg.cross(axis, place_axis).norm(dim=1),
            aim_axis=aim_axis,
            astray=torch.linalg.cross(axis, aim_axis).norm(dim=1),
            engaged=self.assembly.engaged[rows, joint].bool(),
            depth=self.assembly.depth[rows, joint],
        )

    def _free_height(self, view: View) -> torch.Tensor:
        """Height of the part's frame above the place at which it moves freely sideways, shape (E,)."""
        return self._approach[view.joint] - self._depth[view.joint]

    def _inclined(self, axis: torch.Tensor) -> torch.Tensor:
        """Orientation of the gripper that takes a part lying along ``axis`` (E, 3), shape (E, 4)."""
        flat = axis.clone()
        flat[:, 2] = 0.0
        flat = flat / flat.norm(dim=1, keepdim=True).clamp(min=1e-6)
        approach = -math.sin(self.INCLINATION) * flat - math.cos(self.INCLINATION) * self._up
        closing = torch.linalg.cross(flat, self._up)
        ahead = torch.linalg.cross(closing, approach)
        closing = torch.where(ahead[:, :1] < 0.0, -closing, closing)
        return quat_from_matrix(torch.stack((torch.linalg.cross(closing, approach), closing, approach), dim=2))
