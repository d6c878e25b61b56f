# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Base of scripted experts: batched phase machines that produce actions for one control tick."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch

from isaaclab.envs import ManagerBasedEnv
from isaaclab.envs.mdp.actions.task_space_actions import DifferentialInverseKinematicsAction
from isaaclab.utils.math import axis_angle_from_quat, quat_conjugate, quat_mul, quat_unique

from flow_rl.utils.check import InputError
from flow_rl_tasks.mdp import Rot6dPoseAction


class PoseExpert(ABC):
    """Expert that commands the pose of the tool and the gripper, for all environments at once.

    The environment has a :class:`~flow_rl_tasks.mdp.ChunkAction` named ``chunk`` of horizon 1, whose terms are
    differential inverse kinematics, relative or absolute, and a binary gripper.

    A quality below 1 makes demonstrations imperfect: noisy actions, hesitation and whatever the task adds.
    """

    strategies: tuple[str, ...]
    """Names of the ways to solve the task; each episode follows one of them."""

    GRIPPER_ACTIONS = 1
    """Number of actions of the gripper, all of which open it at 1 and close it at -1."""

    ACTION_NOISE = 0.4
    """Standard deviation of arm actions at quality 0, in units of the largest action."""

    ABSOLUTE_NOISE = 0.02
    """Factor of the noise for arms that are commanded by absolute poses."""

    PAUSE_PROBABILITY = 0.1
    """Chance per control tick to start a pause, at quality 0."""

    def __init__(self, env: ManagerBasedEnv, quality: float = 1.0, seed: int = 0, arm: int = 0):
        """Create the expert; ``arm`` is the place of its arm among the terms of the chunk."""
        if not 0.0 <= quality <= 1.0:
            raise InputError(f"quality={quality} is not in [0, 1]; 1 is the perfect expert.")
        self.env = env.unwrapped
        self.num_envs, self.device = self.env.num_envs, self.env.device
        self.chunk = self.env.action_manager.get_term("chunk")
        if self.chunk.cfg.horizon != 1:
            raise ValueError(
                f"actions.chunk.horizon={self.chunk.cfg.horizon}, but an expert acts at every control tick:"
                " call env_cfg.set_horizon(1) before making the environment."
            )
        self.arm = self.find_arm(arm)
        cfg = self.arm.cfg
        self.is_relative = cfg.relative if isinstance(self.arm, Rot6dPoseAction) else cfg.controller.use_relative_mode
        """Whether the arm is commanded by changes of its pose."""
        self.imperfection = 1.0 - quality
        self._generator = torch.Generator(self.device).manual_seed(seed)
        self.strategy = torch.zeros(self.num_envs, dtype=torch.long, device=self.device)
        """Strategy of the current episode, index into :attr:`strategies`, shape (E,)."""
        self.phase = torch.zeros_like(self.strategy)
        """Phase of the task, shape (E,)."""
        self.ticks = torch.zeros_like(self.strategy)
        """Control ticks since the phase began, shape (E,)."""
        self._pause = torch.zeros_like(self.strategy)
        self._columns = self.chunk.columns(arm)

    def find_arm(self, index: int) -> DifferentialInverseKinematicsAction:
        """The term that leads the tool; experts of environments that command joints need one of their own."""
        return self.chunk.terms[index]

    @abstractmethod
    def targets(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Advance the phases and return the wanted pose of the tool in the frame of the robot's base.

        Returns:
            Position [m] (E, 3), quaternion (x, y, z, w) (E, 4), and whether the gripper is open (E,).
        """

    def reset(self, env_ids: Sequence[int] | torch.Tensor | slice | None = None) -> None:
        """Start new episodes: draw their strategies and forget their phases."""
        env_ids = slice(None) if env_ids is None else env_ids
        count = len(self.strategy[env_ids])
        self.strategy[env_ids] = torch.randint(
            len(self.strategies), (count,), device=self.device, generator=self._generator
        )
        self.phase[env_ids] = 0
        self.ticks[env_ids] = 0
        self._pause[env_ids] = 0

    def act(self) -> torch.Tensor:
        """Actions of the arm and its gripper for one control tick, shape (E, A)."""
        pos, quat, is_open = self.targets()
        action = self._pose_action(pos, quat)
        if self.is_relative and self.chunk.cfg.max_latency > 0:
            action = action - self.under_way()
        if self.imperfection > 0.0:
            action = self._spoil(action)
        action = action.clamp(-1.0, 1.0)
        gripper = torch.where(is_open, 1.0, -1.0).unsqueeze(1).expand(-1, self.GRIPPER_ACTIONS)
        return torch.cat((action, gripper), dim=1)  # (E, A)

    def tool_pose(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Pose of the tool in the frame of the robot's base, shapes (E, 3) and (E, 4)."""
        return self.arm._compute_frame_pose()

    def pointing_down(self, yaw: torch.Tensor) -> torch.Tensor:
        """Orientation of a gripper that points down, turned about the vertical by ``yaw`` (E,) [rad], shape (E, 4)."""
        half, zero = yaw / 2, torch.zeros_like(yaw)
        return torch.stack((half.cos(), half.sin(), zero, zero), dim=1)

    def enter(self, mask: torch.Tensor, phase: int) -> None:
        """Let the masked environments begin a phase."""
        self.phase = torch.where(mask, phase, self.phase)
        self.ticks = torch.where(mask, 0, self.ticks)

    def rand(self, *size: int) -> torch.Tensor:
        """Uniform random numbers in [0, 1) from the expert's own generator."""
        return torch.rand(*size, device=self.device, generator=self._generator)

    def randn(self, *size: int) -> torch.Tensor:
        """Normal random numbers from the expert's own generator."""
        return torch.randn(*size, device=self.device, generator=self._generator)

    def pace(self) -> torch.Tensor | float:
        """How fast the arm may move now compared with its fastest, a number or of shape (E, 1); errors follow it."""
        return 1.0

    def under_way(self) -> torch.Tensor:
        """Sum of the arm actions that are still to be executed, shape (E, A of the arm).

        Who repeated them would overshoot. Policies see them as ``last_actions``, or they could not imitate the expert.
        """
        return self.chunk.under_way[:, :, self._columns].sum(dim=1)

    def _pose_action(self, pos: torch.Tensor, quat: torch.Tensor) -> torch.Tensor:
        """Arm action that leads to a pose, before clamping; (E, 6) relative, (E, 7) or, with 6-D rotation, (E, 9)."""
        if isinstance(self.arm, Rot6dPoseAction):
            return self.arm.raw_action(pos, quat)
        if self.is_relative:
            tool_pos, tool_quat = self.tool_pose()
            turn = axis_angle_from_quat(quat_unique(quat_mul(quat, quat_conjugate(tool_quat))))
            command = torch.cat((pos - tool_pos, turn), dim=1)
        else:
            command = torch.cat((pos, quat), dim=1)
        action = (command - self.arm._offset) / self.arm._scale
        # Shorten a step that is too long as a whole, so that the tool moves straight.
        action[:, :3] /= action[:, :3].abs().amax(dim=1, keepdim=True).clamp(min=1.0)
        return action

    def _spoil(self, action: torch.Tensor) -> torch.Tensor:
        """Add noise and pauses to arm actions."""
        starts = self.rand(self.num_envs) < self.PAUSE_PROBABILITY * self.imperfection
        self._pause = torch.where(starts, 2 + (4 * self.rand(self.num_envs)).long(), (self._pause - 1).clamp(min=0))
        noise = self.ACTION_NOISE * self.pace() * self.imperfection * self.randn(*action.shape)
        pauses = self._pause.unsqueeze(1) > 0
        if self.is_relative:
            return torch.where(pauses, torch.zeros_like(action), action + noise)
        action = torch.where(pauses, self._pose_action(*self.tool_pose()), action)
        return action + self.ABSOLUTE_NOISE * noise
