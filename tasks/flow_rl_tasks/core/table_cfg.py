# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What the tasks of a Franka Panda at a table share: the scene, its gripper, its start."""

import isaaclab.envs.mdp as base_mdp
import isaaclab.sim as sim_utils
from isaaclab.assets import ArticulationCfg, AssetBaseCfg
from isaaclab.controllers import DifferentialIKControllerCfg
from isaaclab.envs.mdp import BinaryJointPositionActionCfg
from isaaclab.managers import EventTermCfg, SceneEntityCfg
from isaaclab.scene import InteractiveSceneCfg
from isaaclab.sensors import CameraCfg
from isaaclab.utils import configclass, replace

from flow_rl_assets.franka import COLLISION_PROPS, FRANKA_CFG, GRIP_MATERIAL, HAND_BODY

HAND = SceneEntityCfg("robot", body_names=HAND_BODY)
FINGERS = SceneEntityCfg("robot", joint_names="panda_finger_joint[12]")
ARM_JOINTS = "panda_joint[1-7]"
ARM = SceneEntityCfg("robot", joint_names=ARM_JOINTS)


@configclass
class TabletopSceneCfg(InteractiveSceneCfg):
    """Franka Panda behind a table (top at z = 0)."""

    robot: ArticulationCfg = replace(FRANKA_CFG, prim_path="{ENV_REGEX_NS}/Robot")

    table: AssetBaseCfg = AssetBaseCfg(
        prim_path="{ENV_REGEX_NS}/Table",
        init_state=AssetBaseCfg.InitialStateCfg(pos=(0.3, 0.0, -0.025)),
        spawn=sim_utils.CuboidCfg(
            size=(1.0, 1.0, 0.05),
            collision_props=COLLISION_PROPS,
            physics_material=GRIP_MATERIAL,
            visual_material=sim_utils.PreviewSurfaceCfg(diffuse_color=(0.55, 0.45, 0.35)),
        ),
    )

    # Seen only: what leaves the table ends the episode before it would land.
    ground: AssetBaseCfg = AssetBaseCfg(
        prim_path="/World/Ground",
        init_state=AssetBaseCfg.InitialStateCfg(pos=(0.0, 0.0, -0.8)),
        spawn=sim_utils.CuboidCfg(
            size=(24.0, 24.0, 0.1), visual_material=sim_utils.PreviewSurfaceCfg(diffuse_color=(0.35, 0.37, 0.40))
        ),
    )

    light: AssetBaseCfg = AssetBaseCfg(
        prim_path="/World/Light", spawn=sim_utils.DomeLightCfg(color=(0.9, 0.9, 0.9), intensity=2000.0)
    )

    camera: CameraCfg | None = None
    """Camera for films; see :meth:`ManipulationEnvCfg.set_camera`."""

    front: CameraCfg | None = None
    wrist: CameraCfg | None = None
    """Cameras that policies see with; see :class:`flow_rl_tasks.variations.vision.VisionMixin`."""


def pose_controller(use_relative_mode: bool, damping: float = 0.01) -> DifferentialIKControllerCfg:
    """Differential inverse kinematics of the tool's pose by damped least squares."""
    return DifferentialIKControllerCfg(
        command_type="pose", use_relative_mode=use_relative_mode, ik_method="dls", ik_params={"lambda_val": damping}
    )


GRIPPER = BinaryJointPositionActionCfg(
    asset_name="robot",
    joint_names=["panda_finger_joint[12]"],
    open_command_expr={"panda_finger_joint[12]": 0.04},
    close_command_expr={"panda_finger_joint[12]": 0.0},
)
"""Opens the gripper for actions of 0 or more, and closes it."""


def scatter_joints(asset_cfg: SceneEntityCfg, position: float) -> EventTermCfg:
    """Event that puts joints at rest within +-``position`` [rad or m] of their initial positions."""
    return EventTermCfg(
        func=base_mdp.reset_joints_by_offset,
        mode="reset",
        params={"asset_cfg": asset_cfg, "position_range": (-position, position), "velocity_range": (0.0, 0.0)},
    )


@configclass
class RobotEventsCfg:
    """Randomisation of the robot at resets."""

    reset_arm = scatter_joints(ARM, 0.03)
    reset_gripper = scatter_joints(FINGERS, 0.0)
