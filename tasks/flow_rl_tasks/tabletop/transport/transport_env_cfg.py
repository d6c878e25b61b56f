# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Environment of the transport task: two robots, bins, lid, hammer and trash, and when all is where it belongs.

What has a ``_2`` at the end of its name is the second robot's.
"""

import math

from isaaclab.assets import ArticulationCfg, AssetBaseCfg, RigidObjectCfg
from isaaclab.envs.mdp import BinaryJointPositionActionCfg
from isaaclab.managers import ObservationGroupCfg, ObservationTermCfg, SceneEntityCfg
from isaaclab.managers import TerminationTermCfg as DoneTerm
from isaaclab.sensors import CameraCfg
from isaaclab.sim import SimulationCfg
from isaaclab.utils import configclass, replace
from isaaclab_newton.physics import NewtonCfg
from isaaclab_tasks.utils import PresetCfg

from flow_rl_assets.franka import FRANKA_CFG, TCP_OFFSET
from flow_rl_assets.parts import fixture_cfg, part_cfg
from flow_rl_assets.shapes import FOOT_HEIGHT, Box, Frame, Part, feet, tray
from flow_rl_tasks import mdp
from flow_rl_tasks.core.env_cfg import simulation_cfg, view
from flow_rl_tasks.core.table_cfg import ARM, FINGERS, GRIPPER, HAND, RobotEventsCfg, TabletopSceneCfg, scatter_joints
from flow_rl_tasks.physics.physics_cfg import ManipulationPhysicsCfg, newton_cfg
from flow_rl_tasks.tabletop.tabletop_env_cfg import (
    ARM_ABSOLUTE,
    ARM_RELATIVE,
    ActionTermsCfg,
    TabletopEnvCfg,
    TabletopTerminationsCfg,
    scatter,
    success,
)
from flow_rl_tasks.variations.vision import VisionMixin

HAND_2 = replace(HAND, name="robot_2")
FINGERS_2 = replace(FINGERS, name="robot_2")
OBJECTS = ("tool", "trash", "lid")
TOOL_CFG, TRASH_CFG, LID_CFG = (SceneEntityCfg(name) for name in OBJECTS)

BASE_2 = 1.2
"""Distance between the robots' bases, which face each other [m]."""
REACH, ASIDE = 0.42, 0.2
"""How far in front of a robot, and beside its axis, bins and lid are [m]; both robots find theirs alike."""
START, LID_PLACE = (REACH, -ASIDE), (REACH, ASIDE)
"""Centres of the bin from which the tool is taken, and of the place for its lid [m]."""
GOAL, TRASH = (BASE_2 - REACH, ASIDE), (BASE_2 - REACH, -ASIDE)
"""Centres of the bin to which the tool is brought, and of that for trash [m]."""
FLOOR = 0.006
"""Thickness of the bins' floors and walls [m]."""
BIN_SIZE, TRASH_BIN_SIZE = (0.32, 0.22, 0.05), (0.16, 0.16, 0.05)
"""Inner length and width of the bins, and height of their walls [m]."""

HANDLE_SIZE, HEAD_SIZE = (0.24, 0.024, 0.03), (0.03, 0.08, 0.03)
TOOL_REST = FLOOR + FOOT_HEIGHT + HANDLE_SIZE[2] / 2
"""Height of the tool's handle in a bin [m]."""

TOOL = Part(
    shapes=(
        Box(HANDLE_SIZE),
        Box(HEAD_SIZE, (-(HANDLE_SIZE[0] + HEAD_SIZE[0]) / 2, 0.0, 0.0)),
        *feet(0.1, 0.008, -HANDLE_SIZE[2] / 2),
    ),
    mass=0.12,
    start=Frame((START[0] + HEAD_SIZE[0] / 2, START[1], TOOL_REST)),
    colour=(0.75, 0.20, 0.12),
)
"""A hammer; its frame is in the middle of its handle, with the head along -x."""

TRASH_SIZE = 0.045
TRASH_REST = FLOOR + TRASH_SIZE / 2
CUBE = Part(shapes=(Box((TRASH_SIZE,) * 3),), mass=0.08, start=Frame((*GOAL, TRASH_REST)), colour=(0.85, 0.70, 0.15))

LID_SIZE = (0.34, 0.25, 0.008)
LID_HANDLE = 0.055
"""Height of the middle of the lid's handle above the lid's underside [m]."""

LID = Part(
    shapes=(
        Box(LID_SIZE, (0.0, 0.0, LID_SIZE[2] / 2 - LID_HANDLE)),
        Box((0.1, 0.022, 0.02)),
        *(
            Box((0.015, 0.022, LID_HANDLE - LID_SIZE[2]), (x, 0.0, (LID_SIZE[2] - LID_HANDLE) / 2))
            for x in (-0.04, 0.04)
        ),
    ),
    mass=0.2,
    start=Frame((*START, BIN_SIZE[2] + LID_HANDLE)),
    colour=(0.62, 0.50, 0.66),
)
"""A lid; its frame is in the middle of the bar by which it is taken."""

TOOL_IN_GOAL = {"place": GOAL, "tolerance": (BIN_SIZE[0] / 2, BIN_SIZE[1] / 2), "height": TOOL_REST + 0.01}
HAMMER_SPAN = (-(HANDLE_SIZE[0] + HEAD_SIZE[0]) / 2, HANDLE_SIZE[0] / 2)
"""Where along its x axis the hammer can be held [m]."""
TRASH_IN_BIN = {"place": TRASH, "tolerance": (TRASH_BIN_SIZE[0] / 2,) * 2, "height": TRASH_REST + 0.01}


@configclass
class TransportSceneCfg(TabletopSceneCfg):
    """Two Franka Pandas that face each other across a table, with three bins and what is in them."""

    robot_2: ArticulationCfg = replace(
        FRANKA_CFG,
        prim_path="{ENV_REGEX_NS}/Robot_2",
        init_state=replace(FRANKA_CFG.init_state, pos=(BASE_2, 0.0, 0.0), rot=(0.0, 0.0, 1.0, 0.0)),
    )
    tool: RigidObjectCfg = part_cfg("Tool", TOOL)
    trash: RigidObjectCfg = part_cfg("Trash", CUBE)
    lid: RigidObjectCfg = part_cfg("Lid", LID)
    start: AssetBaseCfg = fixture_cfg("Start", tray(BIN_SIZE, FLOOR), (0.25, 0.35, 0.50), (*START, 0.0))
    goal: AssetBaseCfg = fixture_cfg("Goal", tray(BIN_SIZE, FLOOR), (0.30, 0.50, 0.32), (*GOAL, 0.0))
    trash_bin: AssetBaseCfg = fixture_cfg("TrashBin", tray(TRASH_BIN_SIZE, FLOOR), (0.30, 0.30, 0.30), (*TRASH, 0.0))
    wrist_2: CameraCfg | None = None

    def __post_init__(self):
        """Lengthen the table."""
        super().__post_init__()
        self.table.init_state.pos = (BASE_2 / 2, 0.0, -0.025)
        self.table.spawn.size = (BASE_2 + 0.5, 1.0, 0.05)


@configclass
class SecondArmActionCfg(PresetCfg):
    """How the second arm is commanded, in the frame of its own base: as the first."""

    relative_pose: mdp.PoseActionCfg = replace(ARM_RELATIVE, asset_name="robot_2")
    absolute_pose: mdp.PoseActionCfg = replace(ARM_ABSOLUTE, asset_name="robot_2")
    default: mdp.PoseActionCfg = relative_pose


@configclass
class TransportActionTermsCfg(ActionTermsCfg):
    """Terms of one action, A = 14 with relative poses: pose (6) and gripper (1) of each arm."""

    arm_2: SecondArmActionCfg = SecondArmActionCfg()
    gripper_2: BinaryJointPositionActionCfg = replace(GRIPPER, asset_name="robot_2")


@configclass
class TransportActionsCfg:
    """Actions of the environment."""

    chunk: mdp.ChunkActionCfg = mdp.ChunkActionCfg(asset_name="robot", horizon=8, terms=TransportActionTermsCfg())


def _observe(func, **params) -> ObservationTermCfg:
    return ObservationTermCfg(func=func, params=params)


@configclass
class TransportObservationsCfg:
    """Observations of the environment."""

    @configclass
    class PolicyCfg(ObservationGroupCfg):
        """State in the environment's frame, O = 59: 9 numbers of each robot and, as in Robomimic, 41 of the objects.

        Bins do not move: vectors to them, which change, stand for Robomimic's positions of them.
        """

        eef_pos = _observe(mdp.body_frame_pos, robot_cfg=HAND, offset=TCP_OFFSET)
        eef_quat = _observe(mdp.body_frame_quat, robot_cfg=HAND)
        gripper_qpos = _observe(mdp.joint_pos, robot_cfg=FINGERS)
        eef_pos_2 = _observe(mdp.body_frame_pos, robot_cfg=HAND_2, offset=TCP_OFFSET)
        eef_quat_2 = _observe(mdp.body_frame_quat, robot_cfg=HAND_2, positive=1)
        gripper_qpos_2 = _observe(mdp.joint_pos, robot_cfg=FINGERS_2)
        tool_pos = _observe(mdp.object_pos, object_cfg=TOOL_CFG)
        tool_quat = _observe(mdp.object_quat, object_cfg=TOOL_CFG)
        trash_pos = _observe(mdp.object_pos, object_cfg=TRASH_CFG)
        trash_quat = _observe(mdp.object_quat, object_cfg=TRASH_CFG)
        lid_handle_pos = _observe(mdp.object_pos, object_cfg=LID_CFG)
        lid_handle_quat = _observe(mdp.object_quat, object_cfg=LID_CFG)
        tool_to_goal = _observe(mdp.object_to_place, object_cfg=TOOL_CFG, place=(*GOAL, TOOL_REST))
        trash_to_bin = _observe(mdp.object_to_place, object_cfg=TRASH_CFG, place=(*TRASH, TRASH_REST))
        eef_to_tool = _observe(mdp.object_rel_pos, robot_cfg=HAND, offset=TCP_OFFSET, object_cfg=TOOL_CFG)
        eef_to_lid_handle = _observe(mdp.object_rel_pos, robot_cfg=HAND, offset=TCP_OFFSET, object_cfg=LID_CFG)
        eef_2_to_tool = _observe(mdp.object_rel_pos, robot_cfg=HAND_2, offset=TCP_OFFSET, object_cfg=TOOL_CFG)
        eef_2_to_trash = _observe(mdp.object_rel_pos, robot_cfg=HAND_2, offset=TCP_OFFSET, object_cfg=TRASH_CFG)
        tool_in_goal = _observe(mdp.object_is_inside, object_cfg=TOOL_CFG, **TOOL_IN_GOAL)
        trash_in_bin = _observe(mdp.object_is_inside, object_cfg=TRASH_CFG, **TRASH_IN_BIN)

    policy: PolicyCfg = PolicyCfg()


@configclass
class TransportEventsCfg(RobotEventsCfg):
    """Randomisation at resets."""

    reset_arm_2 = scatter_joints(replace(ARM, name="robot_2"), 0.03)
    reset_gripper_2 = scatter_joints(FINGERS_2, 0.0)
    reset_tool = scatter(x=0.015, y=0.02, yaw=0.2, name="tool")
    reset_trash = scatter(x=0.06, y=0.04, yaw=math.pi / 4, name="trash")
    reset_lid = scatter(x=0.008, y=0.01, yaw=0.04, name="lid")


def _left_at(object_cfg: SceneEntityCfg, robot_cfg: SceneEntityCfg, place: dict) -> DoneTerm:
    """Condition that an object lies at its place and a robot's gripper has left it."""
    params = {"robot_cfg": robot_cfg, "offset": TCP_OFFSET, "object_cfg": object_cfg, "clearance": 0.05}
    if object_cfg is TOOL_CFG:
        params["span"] = HAMMER_SPAN
    return DoneTerm(func=mdp.placed, params=params | place)


@configclass
class TransportTerminationsCfg(TabletopTerminationsCfg):
    """Ends of an episode."""

    success = success(
        mdp.all_of,
        terms=[
            _left_at(object_cfg, robot_cfg, place)
            for object_cfg, place in ((TOOL_CFG, TOOL_IN_GOAL), (TRASH_CFG, TRASH_IN_BIN))
            for robot_cfg in (HAND, HAND_2)
        ],
    )
    non_finite_2 = DoneTerm(
        func=mdp.Latch,
        params={
            "term": DoneTerm(func=mdp.non_finite, params={"robot_cfg": SceneEntityCfg("robot_2"), "objects": ()}),
            "metric": "non_finite_2",
        },
    )

    def __post_init__(self):
        """Watch all objects."""
        self.watch(OBJECTS)


@configclass
class TransportPhysicsCfg(ManipulationPhysicsCfg):
    """Physics with room for the contacts of two robots, three objects and three bins."""

    newton_mjwarp: NewtonCfg = newton_cfg(njmax=300, nconmax=80)
    default: NewtonCfg = newton_mjwarp


@configclass
class TransportEnvCfg(TabletopEnvCfg):
    """Bring a tool from bin to bin with two Franka Pandas, past a lid and trash."""

    sim: SimulationCfg = simulation_cfg(TransportPhysicsCfg(), view((0.6, -1.4, 1.0), (0.6, 0.0, 0.15)))
    scene: TransportSceneCfg = TransportSceneCfg(num_envs=64, env_spacing=2.5)
    actions: TransportActionsCfg = TransportActionsCfg()
    observations: TransportObservationsCfg = TransportObservationsCfg()
    events: TransportEventsCfg = TransportEventsCfg()
    terminations: TransportTerminationsCfg = TransportTerminationsCfg()
    decimation: int = 8
    episode_length_s: float = 80.0


@configclass
class TransportVisionEnvCfg(VisionMixin, TransportEnvCfg):
    """The same, seen from the side and by both wrists."""

    front_eye: tuple[float, float, float] = (0.6, -0.95, 0.95)
    front_target: tuple[float, float, float] = (0.6, 0.0, 0.05)
    wrists: dict[str, str] = {"wrist": "Robot", "wrist_2": "Robot_2"}
