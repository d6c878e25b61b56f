# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Scripted expert for the lift task."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from isaaclab.envs import ManagerBasedEnv
from isaaclab.utils.math import euler_xyz_from_quat, quat_error_magnitude

from flow_rl_tasks.core.experts import PoseExpert

HOVER, DESCEND, CLOSE, LIFT = range(4)


class LiftExpert(PoseExpert):
    """Hovers above the cube, descends, closes the gripper and lifts; tries again after a miss.

    The strategies grasp different pairs of the cube's faces: ``near`` turns the gripper by at most 45 degrees,
    ``cross`` by a quarter turn more.

    Imperfect experts also aim badly and now and then open the gripper while lifting.
    """

    strategies = ("near", "cross")

    HOVER_HEIGHT = 0.10
    """Height of the tool above the cube's centre before the descent [m]."""

    LIFT_HEIGHT = 0.22
    """Height of the tool above the base to which the cube is lifted [m]."""

    CLOSE_TICKS = 3
    """Control ticks given to the gripper for closing."""

    AIM_ERROR = 0.03
    """Standard deviation of the grasp position along each axis at quality 0 [m]."""

    SLIP_PROBABILITY = 0.15
    """Chance per control tick of lifting to open the gripper, at quality 0."""

    def __init__(self, env: ManagerBasedEnv, quality: float = 1.0, seed: int = 0):
        super().__init__(env, quality, seed)
        self.robot, self.object = self.env.scene["robot"], self.env.scene["object"]
        self._aim = torch.zeros(self.num_envs, 3, device=self.device)
        self._grasp_pos = torch.zeros(self.num_envs, 3, device=self.device)
        self._grasp_yaw = torch.zeros(self.num_envs, device=self.device)
        self.reset()

    def reset(self, env_ids: Sequence[int] | torch.Tensor | slice | None = None) -> None:
        """Start new episodes: draw their strategies and errors."""
        super().reset(env_ids)
        env_ids = slice(None) if env_ids is None else env_ids
        self._aim[env_ids] = self._draw_aim()[env_ids]

    def targets(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Advance the phases and return the wanted pose of the tool and whether the gripper is open."""
        tool_pos, tool_quat = self.tool_pose()
        cube_pos = self.object.data.root_pos_w.torch - self.robot.data.root_pos_w.torch
        self._look_at_cube(cube_pos)
        above = self._grasp_pos.clone()
        above[:, 2] += self.HOVER_HEIGHT
        quat = self.pointing_down(self._grasp_yaw)

        # transitions
        self.ticks += 1
        turned = quat_error_magnitude(tool_quat, quat) < 0.1
        self.enter((self.phase == HOVER) & turned & _close(tool_pos, above, 0.02), DESCEND)
        arrived = _close(tool_pos, self._grasp_pos, 0.008) | (self.ticks > 12)
        self.enter((self.phase == DESCEND) & arrived, CLOSE)
        self.enter((self.phase == CLOSE) & (self.ticks > self.CLOSE_TICKS), LIFT)
        missed = (tool_pos - cube_pos).norm(dim=1) > 0.06
        slipped = self.rand(self.num_envs) < self.SLIP_PROBABILITY * self.imperfection
        again = (self.phase == LIFT) & (missed | slipped)
        self._aim = torch.where(again.unsqueeze(1), self._draw_aim(), self._aim)
        self.enter(again, HOVER)

        # targets
        lifted = tool_pos.clone()
        lifted[:, :2] = self._grasp_pos[:, :2]
        lifted[:, 2] = self.LIFT_HEIGHT
        phase = self.phase.unsqueeze(1)
        pos = torch.where(phase == HOVER, above, torch.where(phase == LIFT, lifted, self._grasp_pos))
        return pos, quat, self.phase < CLOSE

    def _look_at_cube(self, cube_pos: torch.Tensor) -> None:
        """Choose where and how to grasp, until the descent."""
        hover = self.phase == HOVER
        yaw = euler_xyz_from_quat(self.object.data.root_quat_w.torch)[2]
        near = torch.remainder(yaw + math.pi / 4, math.pi / 2) - math.pi / 4
        cross = near - torch.where(near < 0.0, -math.pi / 2, math.pi / 2)
        wanted = torch.where(self.strategy == 0, near, cross)
        self._grasp_yaw = torch.where(hover, wanted, self._grasp_yaw)
        self._grasp_pos = torch.where(hover.unsqueeze(1), cube_pos + self._aim, self._grasp_pos)

    def _draw_aim(self) -> torch.Tensor:
        """Errors of the grasp position [m], shape (E, 3)."""
        aim = self.AIM_ERROR * self.imperfection * self.randn(self.num_envs, 3)
        aim[:, 2].clamp_(-0.005, 0.015)
        return aim


def _close(a: torch.Tensor, b: torch.Tensor, tolerance: float) -> torch.Tensor:
    """Whether points (E, 3) are within a distance [m] of each other, shape (E,)."""
    return (a - b).norm(dim=1) < tolerance
