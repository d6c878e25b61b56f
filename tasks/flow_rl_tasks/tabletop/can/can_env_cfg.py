# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Environment of the can task: the two bins, the can, where it begins, and when it is in its place."""

import math

from isaaclab.assets import AssetBaseCfg, RigidObjectCfg
from isaaclab.utils import configclass

from flow_rl_assets.franka import TCP_OFFSET
from flow_rl_assets.parts import fixture_cfg, part_cfg
from flow_rl_assets.shapes import FOOT_HEIGHT, Box, Cylinder, Frame, Part, feet, tray
from flow_rl_tasks import mdp
from flow_rl_tasks.core.table_cfg import HAND, RobotEventsCfg, TabletopSceneCfg
from flow_rl_tasks.tabletop.tabletop_env_cfg import PlacingEnvCfg, TabletopTerminationsCfg, scatter, success
from flow_rl_tasks.variations.vision import VisionMixin

CAN_RADIUS, CAN_HEIGHT = 0.03, 0.1
FLOOR = 0.006
"""Thickness of the bins' floors [m]."""
SOURCE, SOURCE_SIZE = (0.5, -0.17), (0.26, 0.24, 0.04)
"""Centre of the bin from which the can is taken, and its size [m]."""
TARGET, TARGET_SIZE = (0.5, 0.19), (0.306, 0.266, 0.05)
"""Centre of the bin of four compartments, and its size [m]."""
COMPARTMENT = (0.15, 0.13)
"""Size of a compartment [m]."""
PLACE = (TARGET[0] + 0.078, TARGET[1] + 0.068)
"""Centre of the can's compartment [m]."""

REST = FLOOR + FOOT_HEIGHT + CAN_HEIGHT / 2
"""Height of the centre of a can that stands in a bin [m]."""

CAN = Part(
    # On its flat end it would rattle on Newton.
    shapes=(Cylinder(CAN_RADIUS, CAN_HEIGHT), *feet(0.018, 0.018, -CAN_HEIGHT / 2)),
    mass=0.12,
    start=Frame((*SOURCE, REST)),
    colour=(0.80, 0.10, 0.12),
)


@configclass
class CanSceneCfg(TabletopSceneCfg):
    """Franka Panda behind a table with a can in a bin and another bin of four compartments."""

    object: RigidObjectCfg = part_cfg("Object", CAN)
    source: AssetBaseCfg = fixture_cfg("Source", tray(SOURCE_SIZE, FLOOR), (0.25, 0.35, 0.50), (*SOURCE, 0.0))
    target: AssetBaseCfg = fixture_cfg(
        "Target",
        tray(TARGET_SIZE, FLOOR, x_walls=(0.0,), y_walls=(0.0,)),
        colour=(0.50, 0.50, 0.45),
        pos=(*TARGET, 0.0),
    )
    mark: AssetBaseCfg = fixture_cfg("Mark", (Box((*COMPARTMENT, 0.001)),), (0.80, 0.45, 0.45), (*PLACE, FLOOR))


@configclass
class CanEventsCfg(RobotEventsCfg):
    """Randomisation at resets."""

    # All yaws of a can look the same, but not to who reads its quaternion.
    reset_object = scatter(x=0.08, y=0.07, yaw=math.pi / 4)


@configclass
class CanTerminationsCfg(TabletopTerminationsCfg):
    """Ends of an episode."""

    success = success(
        mdp.placed,
        robot_cfg=HAND,
        offset=TCP_OFFSET,
        place=PLACE,
        tolerance=(COMPARTMENT[0] / 2, COMPARTMENT[1] / 2),
        height=REST + 0.01,
        clearance=0.06,
    )


@configclass
class CanEnvCfg(PlacingEnvCfg):
    """Put a can into its compartment with a Franka Panda."""

    scene: CanSceneCfg = CanSceneCfg(num_envs=64, env_spacing=2.5)
    events: CanEventsCfg = CanEventsCfg()
    terminations: CanTerminationsCfg = CanTerminationsCfg()
    episode_length_s: float = 30.0


@configclass
class CanVisionEnvCfg(VisionMixin, CanEnvCfg):
    """The same, seen through cameras."""
