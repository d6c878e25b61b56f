# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Environment of the furniture tasks, made from the data of a furniture and an amount of randomisation."""

import math
from collections.abc import Callable
from dataclasses import MISSING

from isaaclab.envs.mdp import BinaryJointPositionActionCfg
from isaaclab.managers import EventTermCfg, ObservationGroupCfg, ObservationTermCfg, RewardTermCfg
from isaaclab.sim import SimulationCfg
from isaaclab.utils import configclass, replace
from isaaclab_newton.physics import NewtonCfg
from isaaclab_tasks.utils import PresetCfg

from flow_rl.utils.check import require, require_choice
from flow_rl_assets.franka import HAND_BODY, TCP_OFFSET
from flow_rl_assets.furniture import Furniture
from flow_rl_assets.parts import part_cfg
from flow_rl_tasks import mdp
from flow_rl_tasks.core.env_cfg import ManipulationEnvCfg, simulation_cfg, view
from flow_rl_tasks.core.follow import default_of, follow
from flow_rl_tasks.core.table_cfg import (
    ARM_JOINTS,
    FINGERS,
    GRIPPER,
    HAND,
    RobotEventsCfg,
    TabletopSceneCfg,
    pose_controller,
)
from flow_rl_tasks.physics.physics_cfg import ManipulationPhysicsCfg, newton_cfg
from flow_rl_tasks.tabletop.tabletop_env_cfg import TabletopTerminationsCfg, success


@configclass
class RandomizationCfg:
    """How different the beginnings of episodes are."""

    position: float = MISSING
    """Greatest shift of each part along x and y [m]."""

    yaw: float = MISSING
    """Greatest turn of each part about the vertical [rad]."""

    joints: float = MISSING
    """Greatest offset of each joint of the arm [rad]."""

    def params(self) -> dict[str, dict]:
        """Parameters of the events that act accordingly."""
        return {
            "reset_parts": {"position": self.position, "yaw": self.yaw},
            "reset_arm": {"position_range": (-self.joints, self.joints)},
        }


LOW = RandomizationCfg(position=0.015, yaw=math.radians(15), joints=0.03)
MED = RandomizationCfg(position=0.05, yaw=math.radians(45), joints=0.1)


@configclass
class FurniturePhysicsCfg(ManipulationPhysicsCfg):
    """Physics with room for the contacts of several parts."""

    newton_mjwarp: NewtonCfg = newton_cfg(njmax=280, nconmax=80)
    default: NewtonCfg = newton_mjwarp


ARM_RELATIVE = mdp.Rot6dPoseActionCfg(
    asset_name="robot",
    joint_names=[ARM_JOINTS],
    body_name=HAND_BODY,
    body_offset=mdp.Rot6dPoseActionCfg.OffsetCfg(pos=TCP_OFFSET),
    controller=pose_controller(use_relative_mode=False, damping=0.05),
    relative=True,
    scale=(0.05, 0.05, 0.05, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3),
    offset=(0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
)
"""Change of the tool's pose per control tick: at most 5 cm and about 0.3 rad, actions in [-1, 1]."""

ARM_ABSOLUTE = replace(
    ARM_RELATIVE,
    relative=False,
    # Positions are centred in the workspace and divided by its half-widths.
    scale=(0.2, 0.4, 0.2, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
    offset=(0.5, 0.0, 0.2, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
)
"""Pose of the tool in the frame of the robot's base, actions in [-1, 1]."""


@configclass
class FurnitureArmActionCfg(PresetCfg):
    """How the arm is commanded: ``presets=relative_pose`` or ``presets=absolute_pose``.

    Behaviour cloning of absolute poses was off by 4 mm (median), more than holes forgive.
    """

    relative_pose: mdp.Rot6dPoseActionCfg = ARM_RELATIVE
    absolute_pose: mdp.Rot6dPoseActionCfg = ARM_ABSOLUTE
    default: mdp.Rot6dPoseActionCfg = relative_pose


@configclass
class FurnitureActionTermsCfg:
    """Terms of one action, A = 10: position (3) and 6-D rotation (6) of the tool, gripper (1)."""

    arm: FurnitureArmActionCfg = FurnitureArmActionCfg()
    gripper: BinaryJointPositionActionCfg = GRIPPER


@configclass
class FurnitureActionsCfg:
    """Actions of the environment."""

    chunk: mdp.ChunkActionCfg = mdp.ChunkActionCfg(asset_name="robot", horizon=8, terms=FurnitureActionTermsCfg())


@configclass
class FurnitureObservationsCfg:
    """Observations of the environment."""

    @configclass
    class PolicyCfg(ObservationGroupCfg):
        """State: 16 numbers of the robot in the environment's frame, and 9 of each part as seen from the tool."""

        eef_pos = ObservationTermCfg(func=mdp.body_frame_pos, params={"robot_cfg": HAND, "offset": TCP_OFFSET})
        eef_rot6d = ObservationTermCfg(func=mdp.body_rot6d, params={"robot_cfg": HAND})
        eef_vel = ObservationTermCfg(func=mdp.body_frame_vel, params={"robot_cfg": HAND, "offset": TCP_OFFSET})
        gripper_width = ObservationTermCfg(func=mdp.gripper_width, params={"robot_cfg": FINGERS})
        parts = ObservationTermCfg(func=mdp.object_poses, params={"robot_cfg": HAND, "offset": TCP_OFFSET, "names": []})

    @configclass
    class PrivilegedCfg(ObservationGroupCfg):
        """What critics see besides: how far each joint is from being made."""

        joints = ObservationTermCfg(func=mdp.JointStates, params={"robot_cfg": HAND, "offset": TCP_OFFSET})

    policy: PolicyCfg = PolicyCfg()
    privileged: PrivilegedCfg = PrivilegedCfg()


@configclass
class FurnitureEventsCfg(RobotEventsCfg):
    """Randomisation at resets."""

    reset_parts = EventTermCfg(
        func=mdp.reset_objects_uniform, mode="reset", params={"objects": [], "position": 0.0, "yaw": 0.0}
    )


@configclass
class FurnitureRewardsCfg:
    """Sparse reward: 1 for each joint when it is made for the first time in an episode."""

    joints = RewardTermCfg(func=mdp.newly_made, weight=1.0)


@configclass
class FurnitureTerminationsCfg(TabletopTerminationsCfg):
    """Ends of an episode."""

    success = success(mdp.assembled)


@configclass
class FurnitureEnvCfg(ManipulationEnvCfg):
    """Assemble a furniture from its parts with a Franka Panda; subclasses name the furniture."""

    furniture: Furniture = MISSING
    """Parts and joints."""

    make: Callable[[float], Furniture] | None = None
    """Function that returns the furniture with another clearance [m]; None for one whose clearance is fixed."""

    randomization: RandomizationCfg = LOW
    """Beginnings of episodes."""

    part_rotation: str = "rot6d"
    """How policies and critics see the orientations of parts: ``rot6d``, two columns of a matrix, or ``quat``, as all
    checkpoints from before this setting; 9 or 7 numbers of each part."""

    sim: SimulationCfg = simulation_cfg(FurniturePhysicsCfg(), view((1.15, -0.6, 0.55), (0.45, 0.0, 0.08)))
    decimation: int = 8
    scene: TabletopSceneCfg = TabletopSceneCfg(num_envs=64, env_spacing=2.5)
    actions: FurnitureActionsCfg = FurnitureActionsCfg()
    observations: FurnitureObservationsCfg = FurnitureObservationsCfg()
    events: FurnitureEventsCfg = FurnitureEventsCfg()
    rewards: FurnitureRewardsCfg = FurnitureRewardsCfg()
    terminations: FurnitureTerminationsCfg = FurnitureTerminationsCfg()
    episode_length_s: float = 100.0

    def __post_init__(self):
        """Let the scene and the terms know the parts."""
        names = list(self.furniture.parts)
        for name, part in self.furniture.parts.items():
            setattr(self.scene, name, part_cfg(name, part))
        self.observations.policy.parts.params |= {"names": names, "rotation": self.part_rotation}
        self.events.reset_parts.params["objects"] = names
        for event, params in self.randomization.params().items():
            getattr(self.events, event).params |= params
        self.terminations.watch(names)
        super().__post_init__()

    def validate_config(self) -> None:
        """Let events and scene follow ranges and parts that were overridden, which happens after construction."""
        super().validate_config()
        was = default_of(self, "randomization").params()
        for name, params in self.randomization.params().items():
            if (event := getattr(self.events, name)) is not None:
                follow(event.params, was[name], params)
        require_choice("env.part_rotation", self.part_rotation, ("rot6d", "quat"))
        was, now = {"rotation": default_of(self, "part_rotation")}, {"rotation": self.part_rotation}
        for group in vars(self.observations).values():
            if (parts := getattr(group, "parts", None)) is not None:
                follow(parts.params, was, now)
        was = default_of(self, "furniture")
        if (clearance := self.furniture.clearance) != was.clearance:
            field, remedy = "env.furniture.clearance", "leave it out."
            require(self.make is not None, field, clearance, f"{was.clearance} for this furniture", remedy)
            follow(self.furniture, was, self.make(clearance))
        for name, part in self.furniture.parts.items():
            follow(getattr(self.scene, name), part_cfg(name, was.parts[name]), part_cfg(name, part))
        self.furniture.validate()
