# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What is done in a kitchen, what is seen of it, and the clicks of knobs and switches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING
from typing import TYPE_CHECKING

import torch

from isaaclab.managers import ActionTerm, ActionTermCfg, CommandTerm, CommandTermCfg, SceneEntityCfg
from isaaclab.utils import configclass, index_fill_

from flow_rl_tasks.mdp.latch import ended
from flow_rl_tasks.mdp.observations import body_point_w, canonical_quat, finite, measured

from .kitchen import BACK_BURNER, ELEMENTS, KETTLE, KETTLE_CLEARANCE, KETTLE_GRIP, KETTLE_TOLERANCE, SUBTASKS

if TYPE_CHECKING:
    from isaaclab.envs import ManagerBasedEnv, ManagerBasedRLEnv

UPRIGHT = 0.95
"""Least cosine of the kettle's tilt."""

ON_COUNTER = 0.02
"""Greatest height of the kettle's bottom above the counter [m]."""


class SubTasks(CommandTerm):
    """The goal, and which sub-tasks have been done in the episode; each counts from the first control tick it was done.

    Logs ``Metrics/<name>/solved``, the number of target sub-tasks done (K), and ``Metrics/<name>/<sub-task>`` for all
    sub-tasks of the kitchen, means over the last episode of each environment: over those that end together, one quick
    success would weigh as much as sixty time-outs.
    """

    cfg: SubTasksCfg

    def __init__(self, cfg: SubTasksCfg, env: ManagerBasedRLEnv):
        """Check the targets, and put goal and thresholds onto the device."""
        super().__init__(cfg, env)
        unknown = [name for name in cfg.targets if name not in SUBTASKS]
        if unknown or not cfg.targets or len(set(cfg.targets)) < len(cfg.targets):
            raise ValueError(
                f"commands.subtasks.targets={list(cfg.targets)} are not different sub-tasks of the kitchen. Valid:"
                f" one or more of {', '.join(SUBTASKS)}."
            )
        cfg.robot_cfg.resolve(env.scene)
        cfg.robot_cfg.finalize(self.device)
        self.kitchen, self.kettle = env.scene["kitchen"], env.scene["kettle"]
        # engines order joints as they like
        joints = self.kitchen.find_joints(list(ELEMENTS), preserve_order=True)[0]
        self.joint_ids = torch.tensor(joints, device=self.device)
        self._threshold = torch.tensor([element.threshold for element in ELEMENTS.values()], device=self.device)
        self._back = torch.tensor(BACK_BURNER, device=self.device)
        self._targets = torch.tensor([SUBTASKS.index(name) for name in cfg.targets], device=self.device)
        place = (*BACK_BURNER, 0.0) if "kettle" in cfg.targets else KETTLE.start.pos
        positions = [element.goal * (name in cfg.targets) for name, element in ELEMENTS.items()]
        goal = torch.tensor((*place, 0.0, 0.0, 0.0, 1.0, *positions), device=self.device)
        self._goal = goal.expand(self.num_envs, -1)
        self.done = torch.zeros(self.num_envs, len(SUBTASKS), dtype=torch.bool, device=self.device)
        """Whether each sub-task has been done in the episode, in the order of ``SUBTASKS``, shape (E, 7)."""
        self._last_done = torch.zeros_like(self.done)
        self._finished = torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)

    @property
    def command(self) -> torch.Tensor:
        """Where kettle and elements shall be, those that are no targets where they begin, shape (E, 13)."""
        return self._goal

    @property
    def solved(self) -> torch.Tensor:
        """Number of target sub-tasks done in the episode (K), shape (E,)."""
        return self.done[:, self._targets].sum(dim=1, dtype=torch.int32)

    def now(self) -> torch.Tensor:
        """Whether each sub-task is done at this moment, shape (E, 7)."""
        position = self.kitchen.data.joint_pos.torch[:, self.joint_ids]
        beyond = position * self._threshold.sign() >= self._threshold.abs()  # (E, 6)
        return torch.cat((self._kettle_stands().unsqueeze(1), beyond), dim=1)

    def look(self) -> torch.Tensor:
        """Remember what is done at this moment; whether all targets have been done by now, shape (E,)."""
        self.done |= self.now()
        return self.done[:, self._targets].all(dim=1)

    def reset(self, env_ids: Sequence[int] | slice | None = None) -> dict[str, torch.Tensor]:
        """Begin new episodes, and log the old ones."""
        env_ids = slice(None) if env_ids is None else env_ids
        over = ended(self._env, env_ids)
        self._last_done[env_ids] = torch.where(over.unsqueeze(1), self.done[env_ids], self._last_done[env_ids])
        self._finished[env_ids] |= over
        index_fill_(self.done, env_ids, False)
        rates = self._last_done.sum(dim=0) / self._finished.sum().clamp(min=1)  # (7,)
        log = {"solved": rates[self._targets].sum()} | dict(zip(SUBTASKS, rates, strict=True))
        return super().reset(env_ids) | log

    def _kettle_stands(self) -> torch.Tensor:
        """Whether the kettle stands on the back burner and the gripper has left it, shape (E,)."""
        data = self.kettle.data
        pos = data.root_pos_w.torch - self._env.scene.env_origins
        x, y, _, _ = data.root_quat_w.torch.unbind(dim=1)
        upright = 1.0 - 2.0 * (x.square() + y.square()) > UPRIGHT
        near = (pos[:, :2] - self._back).norm(dim=1) < KETTLE_TOLERANCE
        grip = data.root_pos_w.torch.clone()
        grip[:, 2] += KETTLE_GRIP
        tool = body_point_w(self._env, self.cfg.robot_cfg, self.cfg.offset)
        return near & upright & (pos[:, 2] < ON_COUNTER) & ((tool - grip).norm(dim=1) > KETTLE_CLEARANCE)

    def _update_metrics(self) -> None:
        """They are made when episodes end."""

    def _resample_command(self, env_ids: Sequence[int] | slice) -> None:
        """The goal stays."""

    def _update_command(self) -> None:
        """The goal stays."""


@configclass
class SubTasksCfg(CommandTermCfg):
    """Sub-tasks to do, and the tool that has to leave the kettle."""

    class_type: type[CommandTerm] = SubTasks

    resampling_time_range: tuple[float, float] = (1.0e9, 1.0e9)  # never

    targets: tuple[str, ...] = MISSING
    """Sub-tasks to do, in any order, of :data:`flow_rl_tasks.kitchen.kitchen.SUBTASKS`."""

    robot_cfg: SceneEntityCfg = MISSING
    """Robot and the body that carries the tool."""

    offset: tuple[float, float, float] = MISSING
    """Tool in the frame of that body [m]."""


def subtasks(env: ManagerBasedEnv) -> SubTasks:
    """The record of sub-tasks of an environment."""
    return env.command_manager.get_term("subtasks")


def solved(env: ManagerBasedEnv) -> torch.Tensor:
    """Number of target sub-tasks done in the episode (K), shape (E,)."""
    return subtasks(env).solved


def all_done(env: ManagerBasedEnv) -> torch.Tensor:
    """Whether all target sub-tasks have been done in the episode, shape (E,)."""
    return subtasks(env).look()


@measured("m, -, then rad or m", "environment, then joint")
def goal(env: ManagerBasedEnv) -> torch.Tensor:
    """Where kettle (7) and elements (6) shall be, those that are no targets where they begin, shape (E, 13)."""
    return subtasks(env).command


@measured("rad or m", "joint")
def elements(env: ManagerBasedEnv) -> torch.Tensor:
    """Joint positions of the elements in the order of :data:`.kitchen.ELEMENTS` [rad or m], shape (E, 6)."""
    return finite(env.scene["kitchen"].data.joint_pos.torch[:, subtasks(env).joint_ids])


@measured("m, -", "environment")
def kettle(env: ManagerBasedEnv) -> torch.Tensor:
    """Pose of the kettle in the frame of the environment: position [m], orientation (x, y, z, w), shape (E, 7)."""
    data = env.scene["kettle"].data
    pos = data.root_pos_w.torch - env.scene.env_origins
    return finite(torch.cat((pos, canonical_quat(data.root_quat_w.torch, 3)), dim=1))


class Detents(ActionTerm):
    """Draws joints to the nearest of their detents; takes no actions itself."""

    cfg: DetentsCfg

    def __init__(self, cfg: DetentsCfg, env: ManagerBasedEnv):
        """Find the joints that click."""
        super().__init__(cfg, env)
        self._raw_actions = torch.zeros(self.num_envs, 0, device=self.device)
        self._detents = [
            (self._asset.find_joints([name])[0][0], torch.tensor(element.link.detents, device=self.device))
            for name, element in ELEMENTS.items()
            if element.link.detents
        ]
        self._joint_ids = torch.tensor([joint for joint, _ in self._detents], device=self.device)

    @property
    def action_dim(self) -> int:
        """No action, 0."""
        return 0

    @property
    def raw_actions(self) -> torch.Tensor:
        """Nothing, shape (E, 0)."""
        return self._raw_actions

    @property
    def processed_actions(self) -> torch.Tensor:
        """Nothing, shape (E, 0)."""
        return self._raw_actions

    def process_actions(self, actions: torch.Tensor) -> None:
        """Take nothing, shape (E, 0)."""

    def apply_actions(self) -> None:
        """Draw the joints to where they click next."""
        position = self._asset.data.joint_pos.torch
        targets = [
            detents[(position[:, joint, None] - detents).abs().argmin(dim=1)].unsqueeze(1)
            for joint, detents in self._detents
        ]
        command = self._asset.actuators.target_command
        command.set_position_index(value=torch.cat(targets, dim=1), joint_ids=self._joint_ids)


@configclass
class DetentsCfg(ActionTermCfg):
    """Detents of the kitchen's knobs and switches."""

    class_type: type[ActionTerm] = Detents

    asset_name: str = MISSING
