# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Scripted expert for the can task."""

from __future__ import annotations

import math

import torch

from flow_rl_tasks.tabletop.pick_place import PickPlaceExpert

from .can_env_cfg import PLACE, REST


class CanExpert(PickPlaceExpert):
    """Takes the can a little above its middle; the strategies close the gripper along y or along x."""

    strategies = ("across", "along")

    PLACE = PLACE
    CARRY_HEIGHT = 0.16
    PLACE_HEIGHT = REST

    GRASP_HEIGHT = 0.02
    """Height of the grasp above the can's centre [m]."""

    def grasp(self, pos: torch.Tensor, yaw: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """A can has no yaw that matters: it keeps its own."""
        grasp_yaw = torch.where(self.strategy == 0, 0.0, math.pi / 2)
        return pos + self.GRASP_HEIGHT * self._up, grasp_yaw, yaw
