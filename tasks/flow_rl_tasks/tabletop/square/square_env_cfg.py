# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Environment of the square task: the nut, the peg, where the nut begins, and when it is on the peg."""

import math

from isaaclab.assets import AssetBaseCfg, RigidObjectCfg
from isaaclab.utils import configclass

from flow_rl_assets.franka import TCP_OFFSET
from flow_rl_assets.parts import fixture_cfg, part_cfg
from flow_rl_assets.shapes import Box, Frame, Part, perforated_plate
from flow_rl_tasks import mdp
from flow_rl_tasks.core.table_cfg import HAND, RobotEventsCfg, TabletopSceneCfg
from flow_rl_tasks.tabletop.tabletop_env_cfg import PlacingEnvCfg, TabletopTerminationsCfg, scatter, success
from flow_rl_tasks.variations.vision import VisionMixin

PEG_WIDTH, PEG_HEIGHT = 0.032, 0.1
PEG = (0.5, 0.15)
"""Axis of the peg [m]."""
CLEARANCE = 0.003
"""Gap between peg and nut, per side [m]."""
NUT_WIDTH, NUT_THICKNESS = 0.08, 0.03
HANDLE_LENGTH, HANDLE_WIDTH = 0.07, 0.022
HANDLE = NUT_WIDTH / 2 + 0.6 * HANDLE_LENGTH
"""Where the nut is taken, along its x axis [m]."""

NUT = Part(
    shapes=(
        *perforated_plate((NUT_WIDTH, NUT_WIDTH, NUT_THICKNESS), [(0.0, 0.0)], PEG_WIDTH + 2 * CLEARANCE),
        Box((HANDLE_LENGTH, HANDLE_WIDTH, NUT_THICKNESS), ((NUT_WIDTH + HANDLE_LENGTH) / 2, 0.0, 0.0)),
    ),
    mass=0.1,
    start=Frame((0.48, -0.14, NUT_THICKNESS / 2)),
    colour=(0.80, 0.62, 0.15),
)


@configclass
class SquareSceneCfg(TabletopSceneCfg):
    """Franka Panda behind a table with a square nut and a square peg."""

    object: RigidObjectCfg = part_cfg("Object", NUT)
    peg: AssetBaseCfg = fixture_cfg(
        "Peg",
        (Box((PEG_WIDTH, PEG_WIDTH, PEG_HEIGHT), (0.0, 0.0, PEG_HEIGHT / 2)),),
        colour=(0.30, 0.32, 0.36),
        pos=(*PEG, 0.0),
    )


@configclass
class SquareEventsCfg(RobotEventsCfg):
    """Randomisation at resets."""

    reset_object = scatter(x=0.05, y=0.06, yaw=math.pi)


@configclass
class SquareTerminationsCfg(TabletopTerminationsCfg):
    """Ends of an episode."""

    success = success(
        mdp.placed,
        robot_cfg=HAND,
        offset=TCP_OFFSET,
        place=PEG,
        tolerance=(2 * CLEARANCE, 2 * CLEARANCE),
        height=PEG_HEIGHT / 2,
        clearance=0.05,
        span=(-0.03, NUT_WIDTH / 2 + HANDLE_LENGTH),
    )


@configclass
class SquareEnvCfg(PlacingEnvCfg):
    """Put a square nut over a square peg with a Franka Panda."""

    scene: SquareSceneCfg = SquareSceneCfg(num_envs=64, env_spacing=2.5)
    events: SquareEventsCfg = SquareEventsCfg()
    terminations: SquareTerminationsCfg = SquareTerminationsCfg()
    episode_length_s: float = 40.0


@configclass
class SquareVisionEnvCfg(VisionMixin, SquareEnvCfg):
    """The same, seen through cameras."""
