# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Base of scripted experts that take an object from above and bring it to its place."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property

import torch

from isaaclab.envs import ManagerBasedEnv
from isaaclab.utils.math import (
    combine_frame_transforms,
    euler_xyz_from_quat,
    quat_error_magnitude,
    subtract_frame_transforms,
)

from flow_rl_tasks.core.experts import PoseExpert
from flow_rl_tasks.mdp import step_towards

HOVER, DESCEND, CLOSE, LIFT, CARRY, LOWER, RELEASE, RETREAT = range(8)

SPEED = {
    # greatest shift [m] and turn [rad] per control tick
    HOVER: (0.05, 0.25),
    DESCEND: (0.03, 0.25),
    CLOSE: (0.03, 0.25),
    LIFT: (0.04, 0.25),
    CARRY: (0.04, 0.25),
    LOWER: (0.015, 0.15),
    RELEASE: (0.03, 0.25),
    RETREAT: (0.04, 0.25),
}


class PickPlaceExpert(PoseExpert):
    """Hovers, descends, closes, lifts, carries, lowers, lets go and withdraws; begins anew after a miss.

    Held objects are steered by what is seen of them, however they lie in the gripper. What does not go down is lifted
    and tried again a little beside.

    Imperfect experts also aim badly, at the object and at its place, and now and then open the gripper on the way.
    """

    PLACE: tuple[float, float]
    """Where the object is brought, x and y [m]."""

    HOVER_HEIGHT = 0.08
    """Height of the tool above the grasp before the descent and after the release [m]."""

    CARRY_HEIGHT: float
    """Height at which the object is carried [m]."""

    PLACE_HEIGHT: float
    """Height of the object when it is let go [m]."""

    PLACE_ERROR = 0.004
    """How far beside its place the object may be when it is lowered [m]."""

    CLOSE_TICKS = 4
    """Control ticks given to the gripper for closing."""

    OPEN_TICKS = 2
    """Control ticks given to the gripper for opening."""

    BLOCKED_TICKS = 6
    """Control ticks of lowering without getting deeper after which the object is lifted again."""

    LOST = 0.05
    """Distance between the tool and the grasp at which the object was lost [m]."""

    GRASP_ERROR = 0.015
    """Standard deviation of grasps along each axis, at quality 0 [m]."""

    AIM_ERROR = 0.03
    """Standard deviation of where the object is first lowered along each axis, at quality 0 [m]."""

    SLIP_PROBABILITY = 0.03
    """Chance per control tick of carrying to open the gripper, at quality 0."""

    def __init__(self, env: ManagerBasedEnv, quality: float = 1.0, seed: int = 0, arm: int = 0):
        super().__init__(env, quality, seed, arm)
        count = self.num_envs
        self._speed = torch.tensor([SPEED[phase] for phase in range(len(SPEED))], device=self.device)
        self._up = torch.tensor((0.0, 0.0, 1.0), device=self.device).expand(count, 3)
        self._grasp_pos = torch.zeros(count, 3, device=self.device)
        self._grasp_yaw = torch.zeros(count, device=self.device)
        self._place_yaw = torch.zeros(count, device=self.device)
        self._leave_pos = torch.zeros(count, 3, device=self.device)
        self._grasp_aim = torch.zeros(count, 3, device=self.device)
        self._place_aim = torch.zeros(count, 2, device=self.device)
        self._deepest = torch.zeros(count, device=self.device)
        self._stalled = torch.zeros_like(self.ticks)
        self.reset()

    @abstractmethod
    def grasp(self, pos: torch.Tensor, yaw: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """How an object at ``pos`` (E, 3) [m], turned by ``yaw`` (E,) [rad], is taken and placed.

        Returns:
            Position of the tool (E, 3), its yaw (E,), and the yaw with which the object is placed (E,).
        """

    def look(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Pose of the object in the frame of the robot's base, here the environment's, shapes (E, 3) and (E, 4)."""
        data = self.env.scene["object"].data
        return data.root_pos_w.torch - self.env.scene.env_origins, data.root_quat_w.torch

    def goal(self) -> tuple[torch.Tensor, torch.Tensor | float, torch.Tensor | float]:
        """Where the object is brought, x and y (2,) or (E, 2), and the heights of carrying and letting go [m]."""
        return self._place, self.CARRY_HEIGHT, self.PLACE_HEIGHT

    @cached_property
    def _place(self) -> torch.Tensor:
        return torch.tensor(self.PLACE, device=self.device)

    def reset(self, env_ids: Sequence[int] | torch.Tensor | slice | None = None) -> None:
        """Start new episodes: draw their strategies and errors."""
        super().reset(env_ids)
        env_ids = slice(None) if env_ids is None else env_ids
        mask = torch.zeros_like(self.ticks, dtype=torch.bool)
        mask[env_ids] = True
        self._miss_grasp(mask)
        self._miss_place(mask)

    def targets(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Advance the phases and return the wanted pose of the tool and whether the gripper is open."""
        tool_pos, tool_quat = self.tool_pose()
        pos, quat = self.look()
        grasp_pos, grasp_yaw, place_yaw = self.grasp(pos, euler_xyz_from_quat(quat)[2])
        hovers = self.phase == HOVER
        self._grasp_pos = torch.where(hovers.unsqueeze(1), grasp_pos + self._grasp_aim, self._grasp_pos)
        self._grasp_yaw = torch.where(hovers, grasp_yaw, self._grasp_yaw)
        self._place_yaw = torch.where(hovers, place_yaw, self._place_yaw)
        self._advance(tool_pos, tool_quat, pos, quat, grasp_pos)

        down = self.pointing_down(self._grasp_yaw)
        phase = self.phase.unsqueeze(1)
        goal_pos = self._grasp_pos + (phase == HOVER) * self.HOVER_HEIGHT * self._up
        held_pos, held_quat = self._held(tool_pos, tool_quat, pos, quat)
        holds = (phase == CARRY) | (phase == LOWER)
        leaves = (phase == LIFT) | (phase >= RELEASE)
        goal_pos = torch.where(holds, held_pos, torch.where(leaves, self._leave_pos, goal_pos))
        goal_quat = torch.where(holds, held_quat, torch.where(phase >= RELEASE, tool_quat, down))
        speed = self._speed[self.phase]  # (E, 2)
        goal_pos, goal_quat = step_towards(tool_pos, tool_quat, goal_pos, goal_quat, speed[:, :1], speed[:, 1])
        slips = self.rand(self.num_envs) < self.SLIP_PROBABILITY * self.imperfection
        is_open = (self.phase < CLOSE) | (self.phase >= RELEASE)
        return goal_pos, goal_quat, is_open | (slips & (self.phase == CARRY))

    def _held(
        self, tool_pos: torch.Tensor, tool_quat: torch.Tensor, pos: torch.Tensor, quat: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Pose of the tool that brings the held object where it shall be."""
        goal, carry_height, place_height = self.goal()
        place = torch.zeros_like(pos)
        place[:, :2] = goal + self._place_aim
        lowered = (pos[:, 2] - 0.02).clamp(min=place_height)
        place[:, 2] = torch.where(self.phase == CARRY, carry_height, lowered)
        half = self._place_yaw / 2
        zero = torch.zeros_like(half)
        upright = torch.stack((zero, zero, half.sin(), half.cos()), dim=1)
        in_hand = subtract_frame_transforms(pos, quat, tool_pos, tool_quat)
        return combine_frame_transforms(place, upright, *in_hand)

    def _advance(
        self,
        tool_pos: torch.Tensor,
        tool_quat: torch.Tensor,
        pos: torch.Tensor,
        quat: torch.Tensor,
        grasp_pos: torch.Tensor,
    ) -> None:
        """Let each environment go on to its next phase."""
        goal, carry_height, place_height = self.goal()
        self.ticks += 1
        turned = quat_error_magnitude(tool_quat, self.pointing_down(self._grasp_yaw)) < 0.1
        above = (tool_pos - self._grasp_pos - self.HOVER_HEIGHT * self._up).norm(dim=1) < 0.02
        self.enter((self.phase == HOVER) & turned & above, DESCEND)
        arrived = ((tool_pos - self._grasp_pos).norm(dim=1) < 0.006) | (self.ticks > 12)
        self.enter((self.phase == DESCEND) & arrived, CLOSE)
        closed = (self.phase == CLOSE) & (self.ticks > self.CLOSE_TICKS)
        self._leave(closed, tool_pos, carry_height - pos[:, 2])
        self.enter(closed, LIFT)
        raised = (tool_pos[:, 2] > self._leave_pos[:, 2] - 0.02) | (self.ticks > 12)
        self.enter((self.phase == LIFT) & raised, CARRY)

        beside = (pos[:, :2] - goal - self._place_aim).norm(dim=1)
        yaw = euler_xyz_from_quat(quat)[2]
        straight = wrap(yaw - self._place_yaw).abs() < 0.05
        ready = (beside < self.PLACE_ERROR) & straight & (pos[:, 2] > carry_height - 0.02)
        self.enter((self.phase == CARRY) & (ready | (self.ticks > 40)), LOWER)
        lowers = self.phase == LOWER
        sinks = lowers & (pos[:, 2] < self._deepest - 5e-4)
        self._deepest = torch.where(sinks, pos[:, 2], torch.where(lowers, self._deepest, math.inf))
        self._stalled = torch.where(lowers & ~sinks, self._stalled + 1, 0)
        down = lowers & (pos[:, 2] < place_height + 0.003)
        self._leave(down, tool_pos, 0.0)
        self.enter(down, RELEASE)
        blocked = lowers & ~down & (self._stalled > self.BLOCKED_TICKS)
        self._miss_place(blocked)
        self.enter(blocked, CARRY)

        released = (self.phase == RELEASE) & (self.ticks > self.OPEN_TICKS)
        self._leave(released, tool_pos, self.HOVER_HEIGHT)
        self.enter(released, RETREAT)
        away = (self.phase == RETREAT) & (self.ticks > 6)  # the episode would be over if all was well
        held = (self.phase >= LIFT) & (self.phase <= LOWER)
        lost = held & ((tool_pos - grasp_pos).norm(dim=1) > self.LOST)
        self._miss_grasp(away | lost)
        self._miss_place(away | lost)
        self.enter(away | lost, HOVER)

    def _leave(self, mask: torch.Tensor, tool_pos: torch.Tensor, rise: torch.Tensor | float) -> None:
        """Let the masked environments withdraw upwards by ``rise`` [m]."""
        pos = tool_pos.clone()
        pos[:, 2] += rise
        self._leave_pos = torch.where(mask.unsqueeze(1), pos, self._leave_pos)

    def _miss_grasp(self, mask: torch.Tensor) -> None:
        """Draw how the masked environments (E,) miss the next grasp."""
        aim = self.GRASP_ERROR * self.imperfection * self.randn(self.num_envs, 3)
        aim[:, 2].clamp_(-0.003, 0.01)
        self._grasp_aim = torch.where(mask.unsqueeze(1), aim, self._grasp_aim)

    def _miss_place(self, mask: torch.Tensor) -> None:
        """Draw how the masked environments (E,) miss the place at the next attempt."""
        aim = self.AIM_ERROR * self.imperfection * self.randn(self.num_envs, 2)
        self._place_aim = torch.where(mask.unsqueeze(1), aim, self._place_aim)


def wrap(angle: torch.Tensor) -> torch.Tensor:
    """The same angle in [-pi, pi)."""
    return torch.remainder(angle + math.pi, 2 * math.pi) - math.pi
