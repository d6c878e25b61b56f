# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Scripted experts for the kitchen: what they do, and in which order, differs between the tasks."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from isaaclab.envs import ManagerBasedEnv
from isaaclab.utils import replace
from isaaclab.utils.configclass import instantiate
from isaaclab.utils.math import euler_xyz_from_quat, quat_apply, quat_from_angle_axis

from flow_rl_assets.mechanism import AXES
from flow_rl_tasks.core.experts import PoseExpert
from flow_rl_tasks.furniture.furniture_env_cfg import ARM_ABSOLUTE
from flow_rl_tasks.mdp import Rot6dPoseAction, step_towards

from .kitchen import BACK_BURNER, ELEMENTS, KETTLE_GRIP, SUBTASKS
from .mdp import SubTasks

TRAVEL, DESCEND, CLOSE, MOVE, OPEN, RISE, REST = range(7)

SPEED = {
    # greatest shift [m] and turn [rad] per control tick
    TRAVEL: (0.05, 0.25),
    DESCEND: (0.04, 0.25),
    CLOSE: (0.03, 0.25),
    MOVE: (0.035, 0.2),
    OPEN: (0.03, 0.25),
    RISE: (0.05, 0.25),
    REST: (0.03, 0.25),
}

KETTLE = SUBTASKS.index("kettle")


class KitchenExpert(PoseExpert):
    """Goes from handle to handle: takes each from above, leads it along its path, lets go and looks whether it is done.

    What is not done is tried again. When its plan is done the arm rests.

    Imperfect experts also grasp beside the middle of handles and let go too early.
    """

    PLANS: tuple[tuple[str, ...], ...]
    """What is done in an episode, in order; one plan per strategy."""

    GRIPPER_ACTIONS = 2
    ACTION_NOISE = 0.15

    HOVER = 0.09
    """Height above a handle from which it is approached [m]."""

    LEAST_HEIGHT = 0.30
    """Least height at which the tool travels [m]."""

    CLOSE_TICKS = 4
    """Control ticks given to the gripper for closing."""

    OPEN_TICKS = 2
    """Control ticks given to the gripper for opening."""

    MOVE_TICKS = 30
    """Control ticks after which a movement is given up."""

    ENOUGH = 0.87
    """Share of the way to its goal after which an element is let go; above all thresholds."""

    LEADS = {"microwave": 0.25, "light_switch": 0.4, "slide_cabinet": 0.05, "hinge_cabinet": 0.25}
    """How far the tool is ahead of an element that it moves [rad or m]."""

    KNOB_LEAD = 0.4
    """The same for knobs [rad]."""

    KETTLE_LIFT = 0.03
    """How high the kettle is carried [m]."""

    KETTLE_ERROR = 0.012
    """How far beside its place the kettle may be when it is lowered [m]."""

    GRASP_ERROR = 0.01
    """Standard deviation of grasps along each horizontal axis, at quality 0 [m]."""

    SLIP_PROBABILITY = 0.04
    """Chance per control tick of moving something to let go, at quality 0."""

    def __init__(self, env: ManagerBasedEnv, quality: float = 1.0, seed: int = 0):
        """Read the paths of all handles."""
        super().__init__(env, quality, seed)
        self.is_relative = True  # of joints
        self.subtasks: SubTasks = self.env.command_manager.get_term("subtasks")
        count, device = self.num_envs, self.device
        self._scale = self.chunk.terms[0].cfg.scale
        self._speed = torch.tensor([SPEED[phase] for phase in range(len(SPEED))], device=device)
        self._plans = torch.tensor([[SUBTASKS.index(name) for name in plan] for plan in self.PLANS], device=device)
        elements = ELEMENTS.values()
        self._pos = torch.tensor([element.link.pos for element in elements], device=device)
        self._handle = torch.tensor([element.handle for element in elements], device=device)
        self._axis = torch.tensor([AXES[element.link.axis] for element in elements], device=device)
        self._hinge = torch.tensor([element.link.joint == "hinge" for element in elements], device=device)
        self._turn = torch.tensor([element.turn for element in elements], device=device)
        self._goal = torch.tensor([element.goal for element in elements], device=device)
        self._lead = torch.tensor([self.LEADS.get(name, self.KNOB_LEAD) for name in ELEMENTS], device=device)
        self._back = torch.tensor(BACK_BURNER, device=device)
        self._envs = torch.arange(count, device=device)
        self._step = torch.zeros_like(self.phase)
        self._grasp = torch.zeros(count, 3, device=device)
        self._grasp_yaw = torch.zeros(count, device=device)
        self._aim = torch.zeros(count, 3, device=device)
        self._leave = torch.zeros(count, 3, device=device)
        self._yaw = torch.zeros(count, device=device)
        self.reset()

    def find_arm(self, index: int) -> Rot6dPoseAction:
        """Kinematics of the arm, whose joints this environment commands directly."""
        cfg = replace(ARM_ABSOLUTE, max_joint_step=self.chunk.terms[0].cfg.scale)
        return instantiate(cfg, self.env)

    @property
    def current(self) -> torch.Tensor:
        """Sub-task at hand, index into ``SUBTASKS``, shape (E,)."""
        return self._plans[self.strategy, self._step]

    @property
    def rests(self) -> torch.Tensor:
        """Whether the plan is done, shape (E,)."""
        return self.phase == REST

    def reset(self, env_ids: Sequence[int] | torch.Tensor | slice | None = None) -> None:
        """Start new episodes: draw their plans and errors."""
        super().reset(env_ids)
        mask = torch.zeros_like(self.phase, dtype=torch.bool)
        mask[slice(None) if env_ids is None else env_ids] = True
        self._step = torch.where(mask, 0, self._step)
        self._miss(mask)

    def targets(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Advance the phases and return the wanted pose of the tool and whether the gripper is open."""
        tool_pos, tool_quat = self.tool_pose()
        position = self.env.scene["kitchen"].data.joint_pos.torch[:, self.subtasks.joint_ids]
        kettle = self.env.scene["kettle"].data
        kettle_pos = kettle.root_pos_w.torch - self.env.scene.env_origins
        kettle_yaw = euler_xyz_from_quat(kettle.root_quat_w.torch)[2]

        handle, yaw = self._handles(position, kettle_pos, kettle_yaw)
        seeks = self.phase <= DESCEND
        self._grasp = torch.where(seeks.unsqueeze(1), handle + self._aim, self._grasp)
        self._grasp_yaw = torch.where(seeks, yaw, self._grasp_yaw)
        self._advance(tool_pos, position, kettle_pos)

        hover = (self._grasp[:, 2] + self.HOVER).clamp(min=self.LEAST_HEIGHT)
        pos, goal_yaw = self._grasp.clone(), self._grasp_yaw.clone()
        travels = self.phase == TRAVEL
        height = torch.maximum(hover, tool_pos[:, 2] - 0.05)
        low = travels & (tool_pos[:, 2] < hover - 0.04) & ((pos - tool_pos)[:, :2].norm(dim=1) > 0.03)
        pos[:, :2] = torch.where(low.unsqueeze(1), tool_pos[:, :2], pos[:, :2])
        far = (self._grasp - tool_pos)[:, :2].norm(dim=1) > 0.10
        pos[:, 2] = torch.where(travels, torch.where(far, height, hover), pos[:, 2])

        path, path_yaw = self._paths(tool_pos, position, kettle_pos)
        moves = self.phase == MOVE
        pos = torch.where(moves.unsqueeze(1), path, pos)
        goal_yaw = torch.where(moves, path_yaw, goal_yaw)
        leaves = self.phase >= OPEN
        pos = torch.where(leaves.unsqueeze(1), self._leave, pos)
        goal_yaw = torch.where(leaves, self._yaw, goal_yaw)
        self._yaw = torch.where(leaves, self._yaw, goal_yaw)

        speed = self._speed[self.phase]
        down = self.pointing_down(goal_yaw)
        pos, quat = step_towards(tool_pos, tool_quat, pos, down, speed[:, :1], speed[:, 1])
        slips = self.rand(self.num_envs) < self.SLIP_PROBABILITY * self.imperfection
        is_open = (self.phase < CLOSE) | (self.phase >= OPEN)
        return pos, quat, is_open | (slips & moves)

    def _handles(
        self, position: torch.Tensor, kettle_pos: torch.Tensor, kettle_yaw: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Where the handle at hand is and how it is turned, shapes (E, 3) and (E,)."""
        element, is_kettle = (self.current - 1).clamp(min=0), self.current == KETTLE
        pos, yaw = self._handle_at(element, position[self._envs, element])
        grip = kettle_pos + torch.tensor((0.0, 0.0, KETTLE_GRIP), device=self.device)
        return torch.where(is_kettle.unsqueeze(1), grip, pos), torch.where(is_kettle, kettle_yaw, yaw)

    def _handle_at(self, element: torch.Tensor, position: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Handles of elements (E,) at joint positions (E,) and the gripper's yaw there, shapes (E, 3) and (E,)."""
        handle, axis, hinge = self._handle[element], self._axis[element], self._hinge[element].unsqueeze(1)
        turned = quat_apply(quat_from_angle_axis(position, axis), handle)
        slid = handle + position.unsqueeze(1) * axis
        return self._pos[element] + torch.where(hinge, turned, slid), self._turn[element] * position

    def _paths(
        self, tool_pos: torch.Tensor, position: torch.Tensor, kettle_pos: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Where the tool leads what it holds, shapes (E, 3) and (E,)."""
        element, is_kettle = (self.current - 1).clamp(min=0), self.current == KETTLE
        now, lead = position[self._envs, element], self._lead[element]
        ahead = now + (self._goal[element] - now).clamp(min=-lead, max=lead)
        path, yaw = self._handle_at(element, ahead)
        beside = self._back - kettle_pos[:, :2]
        arrived = beside.norm(dim=1) < self.KETTLE_ERROR
        carry = tool_pos.clone()
        # lifted first, so that it does not scrape along
        is_lifted = kettle_pos[:, 2] > self.KETTLE_LIFT / 2
        carry[:, :2] += torch.where((is_lifted | arrived).unsqueeze(1), beside, 0.0)
        carry[:, 2] += torch.where(arrived, 0.0, self.KETTLE_LIFT) - kettle_pos[:, 2]
        return (
            torch.where(is_kettle.unsqueeze(1), carry, path),
            torch.where(is_kettle, self._grasp_yaw, yaw),
        )

    def _advance(self, tool_pos: torch.Tensor, position: torch.Tensor, kettle_pos: torch.Tensor) -> None:
        """Let each environment go on to its next phase."""
        self.ticks += 1
        beside = (tool_pos - self._grasp)[:, :2].norm(dim=1)
        self.enter((self.phase == TRAVEL) & (beside < 0.015), DESCEND)
        arrived = ((tool_pos - self._grasp).norm(dim=1) < 0.008) | (self.ticks > 16)
        self.enter((self.phase == DESCEND) & arrived, CLOSE)
        self.enter((self.phase == CLOSE) & (self.ticks > self.CLOSE_TICKS), MOVE)

        element, is_kettle = (self.current - 1).clamp(min=0), self.current == KETTLE
        goal = self._goal[element]
        moved = position[self._envs, element] / goal > self.ENOUGH
        put = ((kettle_pos[:, :2] - self._back).norm(dim=1) < 2 * self.KETTLE_ERROR) & (kettle_pos[:, 2] < 0.004)
        handle, _ = self._handles(position, kettle_pos, self._grasp_yaw)
        lost = (handle - tool_pos).norm(dim=1) > 0.05
        over = torch.where(is_kettle, put, moved) | lost | (self.ticks > self.MOVE_TICKS)
        over &= self.phase == MOVE
        self._leave = torch.where(over.unsqueeze(1), tool_pos, self._leave)
        self.enter(over, OPEN)
        opened = (self.phase == OPEN) & (self.ticks > self.OPEN_TICKS)
        self._leave[:, 2] += opened * self.HOVER
        self.enter(opened, RISE)

        risen = (self.phase == RISE) & ((tool_pos[:, 2] > self._leave[:, 2] - 0.02) | (self.ticks > 8))
        done = risen & self.subtasks.done[self._envs, self.current]
        last = self._step == self._plans.shape[1] - 1
        self.enter(done & last, REST)
        self._step = torch.where(done & ~last, self._step + 1, self._step)
        again = risen & ~(done & last)
        self._miss(again)
        self.enter(again, TRAVEL)

    def _miss(self, mask: torch.Tensor) -> None:
        """Draw how far beside the middle of the next handle the masked environments grasp."""
        error = self.GRASP_ERROR * self.imperfection * self.randn(self.num_envs, 3)
        error[:, 2] = 0.0
        self._aim = torch.where(mask.unsqueeze(1), error, self._aim)

    def _pose_action(self, pos: torch.Tensor, quat: torch.Tensor) -> torch.Tensor:
        """Joint action that leads to a pose, before clamping, shape (E, 7)."""
        self.arm.process_actions(self.arm.raw_action(pos, quat))
        return self.arm.joint_step() / self._scale


class CompleteExpert(KitchenExpert):
    """Does the four targets in order."""

    strategies = ("targets",)
    PLANS = (("microwave", "kettle", "light_switch", "slide_cabinet"),)


class PartialExpert(KitchenExpert):
    """Does the four targets in some episodes, and other things in others."""

    strategies = ("targets", "knobs", "cabinets", "stove")
    PLANS = (
        *CompleteExpert.PLANS,
        ("microwave", "bottom_burner", "top_burner", "light_switch"),
        ("kettle", "light_switch", "slide_cabinet", "hinge_cabinet"),
        ("kettle", "bottom_burner", "top_burner", "hinge_cabinet"),
    )


class MixedExpert(KitchenExpert):
    """Never does all four targets in one episode: a policy has to put pieces together."""

    strategies = ("left", "stove", "right", "both")
    PLANS = (
        ("microwave", "kettle", "bottom_burner", "hinge_cabinet"),
        ("kettle", "bottom_burner", "light_switch", "slide_cabinet"),
        ("microwave", "bottom_burner", "light_switch", "hinge_cabinet"),
        ("microwave", "kettle", "light_switch", "slide_cabinet"),
    )
