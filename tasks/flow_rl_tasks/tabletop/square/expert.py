# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Scripted expert for the square task."""

from __future__ import annotations

import math

import torch

from flow_rl_tasks.tabletop.pick_place import PickPlaceExpert, wrap

from .square_env_cfg import HANDLE, NUT_THICKNESS, PEG, PEG_HEIGHT


class SquareExpert(PickPlaceExpert):
    """Takes the nut by its handle, which the gripper holds from either side.

    Of the four ways in which the nut goes over the peg, ``near`` takes the one with the least turn on the way,
    ``straight`` the one that leaves the arm most relaxed.
    """

    strategies = ("near", "straight")

    PLACE = PEG
    CARRY_HEIGHT = PEG_HEIGHT + NUT_THICKNESS + 0.02
    PLACE_HEIGHT = NUT_THICKNESS / 2
    PLACE_ERROR = 0.002
    GRASP_ERROR = 0.01

    def grasp(self, pos: torch.Tensor, yaw: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Hold the handle, with the gripper turned by a right angle at most."""
        along = torch.stack((yaw.cos(), yaw.sin(), torch.zeros_like(yaw)), dim=1)
        grasp_yaw = torch.remainder(yaw + math.pi / 2, math.pi) - math.pi / 2
        ways = torch.arange(4, device=self.device) * math.pi / 2
        turn = wrap(ways - yaw.unsqueeze(1))  # (E, 4)
        relaxed = (grasp_yaw.unsqueeze(1) + turn).abs()
        near = turn.abs() + 10.0 * (relaxed > 2.0)
        way = torch.where(self.strategy == 0, near.argmin(dim=1), relaxed.argmin(dim=1))
        return pos + HANDLE * along, grasp_yaw, ways[way]
