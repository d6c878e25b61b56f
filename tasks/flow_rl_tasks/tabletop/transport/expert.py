# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Scripted expert for the transport task: one for each arm, which watch each other."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from isaaclab.envs import ManagerBasedEnv
from isaaclab.managers import SceneEntityCfg
from isaaclab.utils.math import subtract_frame_transforms

from flow_rl_tasks.mdp import lies_at
from flow_rl_tasks.tabletop.pick_place import CARRY, CLOSE, DESCEND, HOVER, LIFT, LOWER, RELEASE, PickPlaceExpert

from .transport_env_cfg import (
    ASIDE,
    BASE_2,
    HEAD_SIZE,
    LID_HANDLE,
    LID_PLACE,
    REACH,
    START,
    TOOL_REST,
    TRASH_IN_BIN,
    TRASH_REST,
)

HANDOVER = (BASE_2 / 2, 0.0, 0.25)
"""Where the tool is handed over [m]."""

GRIP = 0.065
"""How far from the middle of its handle each gripper holds the tool [m]."""

TOOL_PLACE = (REACH - HEAD_SIZE[0] / 2, -ASIDE)
"""Where the second arm leaves the tool, in the frame of its base [m]; with its head the tool is then amid its bin."""


@dataclass
class Job:
    """What an arm does with one object; positions are in the frame of its base."""

    name: str
    """The object."""

    place: tuple[float, float]
    """Where it is brought [m]."""

    place_height: float
    """Height at which it is let go [m]."""

    carry_height: float = 0.2
    """Height at which it is carried [m]."""

    grip: float = 0.0
    """Where it is taken, along its x axis [m]."""

    symmetry: float = math.pi
    """Turn after which a gripper can take it as before [rad]."""


class TransportArm(PickPlaceExpert):
    """Does one job after the other, as long as each is due, and waits in between."""

    strategies = ("together", "in_turn")

    JOBS: tuple[Job, Job]
    """What has to be done first, and what with the tool."""

    WAIT = (REACH, 0.0, 0.33)
    """Above which point the tool of an arm waits [m]."""

    PLACE_ERROR = 0.01
    GRASP_ERROR = 0.01
    SLIP_PROBABILITY = 0.005

    def __init__(self, env: ManagerBasedEnv, quality: float = 1.0, seed: int = 0, arm: int = 0):
        super().__init__(env, quality, seed, arm)

        def column(values) -> torch.Tensor:
            return torch.tensor(list(values), device=self.device)

        self.job = torch.zeros_like(self.phase)
        """Job of each environment, index into :attr:`JOBS`, shape (E,)."""
        self.waits = torch.ones_like(self.phase, dtype=torch.bool)
        """Whether the arm must not begin its job yet, shape (E,)."""
        self._rows = torch.arange(self.num_envs, device=self.device)
        self._wait_pos = column(self.WAIT)
        self._handover = column(HANDOVER)
        self._goal = tuple(
            column(getattr(job, name) for job in self.JOBS) for name in ("place", "carry_height", "place_height")
        )
        self._grip, self._symmetry = column(job.grip for job in self.JOBS), column(job.symmetry for job in self.JOBS)

    @abstractmethod
    def due(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Which job is due, and whether it has to wait, both of shape (E,)."""

    def targets(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Choose the job, unless one is under way, and follow it."""
        job, self.waits = self.due()
        self.job = torch.where(self.phase == HOVER, job, self.job)
        return super().targets()

    def goal(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Place (E, 2) and heights (E,) of carrying and letting go [m]."""
        return tuple(values[self.job] for values in self._goal)

    def look(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Pose of the job's object in the frame of the robot's base, shapes (E, 3) and (E, 4)."""
        base = self.arm._asset.data
        objects = [self.env.scene[job.name].data for job in self.JOBS]
        pose = torch.stack([torch.cat((data.root_pos_w.torch, data.root_quat_w.torch), dim=1) for data in objects])
        pos, quat = pose[self.job, self._rows].split((3, 4), dim=1)
        return subtract_frame_transforms(base.root_pos_w.torch, base.root_quat_w.torch, pos, quat)

    def grasp(self, pos: torch.Tensor, yaw: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Turn the gripper as little as possible, and the object square to the table."""
        along = torch.stack((yaw.cos(), yaw.sin(), torch.zeros_like(yaw)), dim=1)
        symmetry = self._symmetry[self.job]
        grasp_yaw = torch.remainder(yaw + symmetry / 2, symmetry) - symmetry / 2
        grasp_pos = torch.where(self._idle(), self._wait_pos, pos + self._grip[self.job].unsqueeze(1) * along)
        return grasp_pos, grasp_yaw, yaw - grasp_yaw

    def enter(self, mask: torch.Tensor, phase: int) -> None:
        """Let the masked environments begin a phase if they may."""
        super().enter(mask & self.may_enter(phase), phase)

    def may_enter(self, phase: int) -> torch.Tensor:
        """Which environments may begin a phase now, shape (E,)."""
        return ~self.waits if phase == DESCEND else torch.ones_like(self.waits)

    def holds(self) -> torch.Tensor:
        """Whether the tool is between the fingers, which have closed or will, shape (E,)."""
        return (self.job == 1) & (self.phase >= CLOSE) & (self.phase <= RELEASE)

    def _idle(self) -> torch.Tensor:
        """Whether the arm hovers above where it waits, shape (E, 1)."""
        return (self.waits & (self.phase == HOVER)).unsqueeze(1)

    def _pos(self, name: str) -> torch.Tensor:
        """Position of an object in the frame of the environment, shape (E, 3)."""
        return self.env.scene[name].data.root_pos_w.torch - self.env.scene.env_origins

    def _trash_is_gone(self) -> torch.Tensor:
        return lies_at(self.env, **TRASH_IN_BIN, object_cfg=SceneEntityCfg("trash"))


class Giver(TransportArm):
    """Puts the lid aside, takes the tool out of its bin, and holds it out until the other arm has it."""

    JOBS = (
        Job("lid", LID_PLACE, place_height=LID_HANDLE),
        Job("tool", HANDOVER[:2], place_height=0.0, carry_height=HANDOVER[2], grip=-GRIP),
    )

    other: Receiver
    """Expert of the other arm."""

    LID_AWAY = 0.27
    """Distance of the lid from the bin at which it no longer covers it [m]."""

    def __init__(self, env: ManagerBasedEnv, quality: float = 1.0, seed: int = 0, arm: int = 0):
        super().__init__(env, quality, seed, arm)
        self._start = torch.tensor(START, device=self.device)

    def due(self) -> tuple[torch.Tensor, torch.Tensor]:
        """First the lid; the tool as long as the other arm has not got it. In turn: when the trash is gone."""
        open_ = (self._pos("lid")[:, :2] - self._start).norm(dim=1) > self.LID_AWAY
        given = self.other.holds() | (self._pos("tool")[:, 0] > HANDOVER[0] + GRIP)
        in_turn = (self.strategy == 1) & ~self._trash_is_gone()
        return open_.long(), (open_ & given) | in_turn

    def offers(self) -> torch.Tensor:
        """Whether the tool is held where the other arm takes it, shape (E,)."""
        near = (self._pos("tool") - self._handover).norm(dim=1) < 0.02
        return (self.job == 1) & (self.phase == CARRY) & near

    def may_enter(self, phase: int) -> torch.Tensor:
        """The tool is not lowered, but given."""
        return self.job == 0 if phase == LOWER else super().may_enter(phase)

    def _advance(self, tool_pos: torch.Tensor, *args: torch.Tensor) -> None:
        """Let go what the other arm has taken."""
        super()._advance(tool_pos, *args)
        given = (self.job == 1) & (self.phase == CARRY) & self.other.has_taken()
        self._leave(given, tool_pos, 0.0)
        self.enter(given, RELEASE)


class Receiver(TransportArm):
    """Throws the trash away, takes the tool that the other arm holds out, and puts it into its bin."""

    JOBS = (
        Job("trash", (REACH, ASIDE), place_height=TRASH_REST, symmetry=math.pi / 2),
        Job("tool", TOOL_PLACE, place_height=TOOL_REST, carry_height=HANDOVER[2], grip=GRIP),
    )

    other: Giver
    """Expert of the other arm."""

    PATIENCE = 30
    """Control ticks for which the closed gripper waits until it is given the tool."""

    def due(self) -> tuple[torch.Tensor, torch.Tensor]:
        """First the trash; then the tool, when it is offered or lies on this side of the table."""
        tidy = self._trash_is_gone()
        tool = self._pos("tool")
        lies_here = (tool[:, 0] > HANDOVER[0] + GRIP) & (tool[:, 2] < 0.1)
        return tidy.long(), tidy & ~self.other.offers() & ~lies_here

    def has_taken(self) -> torch.Tensor:
        """Whether the gripper has closed on the tool, shape (E,)."""
        return (self.job == 1) & (self.phase == CLOSE) & (self.ticks > self.CLOSE_TICKS)

    def may_enter(self, phase: int) -> torch.Tensor:
        """The tool is not pulled out of the other hand."""
        free = (self.job == 0) | (self.other.job == 0) | (self.other.phase == HOVER)
        return free if phase == LIFT else super().may_enter(phase)

    def _advance(self, tool_pos: torch.Tensor, *args: torch.Tensor) -> None:
        """Give up what is not given."""
        super()._advance(tool_pos, *args)
        self.enter((self.phase == CLOSE) & (self.ticks > self.PATIENCE), HOVER)


class TransportExpert:
    """Both arms' experts.

    By the strategy ``together`` both arms begin at once; by ``in_turn`` the first waits until the second has thrown the
    trash away.
    """

    strategies = TransportArm.strategies

    def __init__(self, env: ManagerBasedEnv, quality: float = 1.0, seed: int = 0):
        self.arms = (Giver(env, quality, 2 * seed), Receiver(env, quality, 2 * seed + 1, arm=2))
        self.arms[0].other, self.arms[1].other = self.arms[1], self.arms[0]
        self.reset()

    @property
    def strategy(self) -> torch.Tensor:
        """Strategy of the current episode, index into :attr:`strategies`, shape (E,)."""
        return self.arms[0].strategy

    def reset(self, env_ids: Sequence[int] | torch.Tensor | slice | None = None) -> None:
        """Start new episodes: draw their strategies and errors."""
        for arm in self.arms:
            arm.reset(env_ids)
        self.arms[1].strategy.copy_(self.strategy)

    def act(self) -> torch.Tensor:
        """Actions of both arms for one control tick, shape (E, 14)."""
        return torch.cat([arm.act() for arm in self.arms], dim=1)
