# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Environment of the lift task: scene, chunked pose control at 10 Hz, state observations, sparse reward."""

import math

import isaaclab.envs.mdp as base_mdp
import isaaclab.sim as sim_utils
from isaaclab.assets import RigidObjectCfg
from isaaclab.envs.mdp import BinaryJointPositionActionCfg, DifferentialInverseKinematicsActionCfg
from isaaclab.managers import EventTermCfg, ObservationGroupCfg, ObservationTermCfg, RewardTermCfg, SceneEntityCfg
from isaaclab.managers import TerminationTermCfg as DoneTerm
from isaaclab.utils import configclass, replace
from isaaclab_physx.sim.schemas import PhysxRigidBodyCfg
from isaaclab_tasks.utils import PresetCfg

from flow_rl_assets.franka import COLLISION_PROPS, GRIP_MATERIAL, HAND_BODY, SOLVER_ITERATIONS, TCP_OFFSET
from flow_rl_tasks import mdp
from flow_rl_tasks.manipulation_env_cfg import ManipulationEnvCfg
from flow_rl_tasks.tabletop_cfg import (
    ARM_JOINTS,
    FINGERS,
    GRIPPER,
    HAND,
    RobotEventsCfg,
    TabletopSceneCfg,
    pose_controller,
)

CUBE_SIZE = 0.05
"""Edge of the cube [m]."""

LIFT_HEIGHT = 0.1
"""Height of the cube above its rest at which the task is solved [m]."""


@configclass
class LiftSceneCfg(TabletopSceneCfg):
    """Franka Panda behind a table with a cube."""

    object: RigidObjectCfg = RigidObjectCfg(
        prim_path="{ENV_REGEX_NS}/Object",
        init_state=RigidObjectCfg.InitialStateCfg(pos=(0.5, 0.0, CUBE_SIZE / 2)),
        spawn=sim_utils.CuboidCfg(
            size=(CUBE_SIZE,) * 3,
            mass_props=sim_utils.MassCfg(mass=0.1),
            rigid_props=[sim_utils.UsdPhysicsRigidBodyCfg(), PhysxRigidBodyCfg(**SOLVER_ITERATIONS)],
            collision_props=COLLISION_PROPS,
            physics_material=GRIP_MATERIAL,
            visual_material=sim_utils.PreviewSurfaceCfg(diffuse_color=(0.75, 0.12, 0.10)),
        ),
    )


ARM_RELATIVE = DifferentialInverseKinematicsActionCfg(
    asset_name="robot",
    joint_names=[ARM_JOINTS],
    body_name=HAND_BODY,
    body_offset=DifferentialInverseKinematicsActionCfg.OffsetCfg(pos=TCP_OFFSET),
    controller=pose_controller(use_relative_mode=True),
    scale=(0.05, 0.05, 0.05, 0.3, 0.3, 0.3),
)
"""Change of the tool's pose per control tick: at most 5 cm and 0.3 rad per axis, actions in [-1, 1]."""

ARM_ABSOLUTE = replace(
    ARM_RELATIVE,
    controller=pose_controller(use_relative_mode=False),
    # Positions are centred in the workspace and divided by its half-widths; quaternions are (x, y, z, w).
    scale=(0.3, 0.4, 0.25, 1.0, 1.0, 1.0, 1.0),
    offset=(0.5, 0.0, 0.25, 0.0, 0.0, 0.0, 0.0),
)
"""Pose of the tool in the frame of the robot's base, actions in [-1, 1]."""


@configclass
class ArmActionCfg(PresetCfg):
    """How the arm is commanded: ``presets=relative_pose`` or ``presets=absolute_pose``."""

    relative_pose: DifferentialInverseKinematicsActionCfg = ARM_RELATIVE
    absolute_pose: DifferentialInverseKinematicsActionCfg = ARM_ABSOLUTE
    default: DifferentialInverseKinematicsActionCfg = relative_pose


@configclass
class LiftActionTermsCfg:
    """Terms of one action, A = 7 with relative poses: arm pose (6), gripper (1)."""

    arm: ArmActionCfg = ArmActionCfg()
    gripper: BinaryJointPositionActionCfg = GRIPPER


@configclass
class LiftActionsCfg:
    """Actions of the environment."""

    chunk: mdp.ChunkActionCfg = mdp.ChunkActionCfg(asset_name="robot", horizon=4, terms=LiftActionTermsCfg())


@configclass
class LiftObservationsCfg:
    """Observations of the environment."""

    @configclass
    class PolicyCfg(ObservationGroupCfg):
        """State in the environment's frame, O = 19, in the order of Robomimic's Lift."""

        eef_pos = ObservationTermCfg(func=mdp.body_frame_pos, params={"robot_cfg": HAND, "offset": TCP_OFFSET})
        eef_quat = ObservationTermCfg(func=mdp.body_frame_quat, params={"robot_cfg": HAND})
        gripper_qpos = ObservationTermCfg(func=mdp.joint_pos, params={"robot_cfg": FINGERS})
        object_pos = ObservationTermCfg(func=mdp.object_pos)
        object_quat = ObservationTermCfg(func=mdp.object_quat)
        eef_to_object = ObservationTermCfg(func=mdp.object_rel_pos, params={"robot_cfg": HAND, "offset": TCP_OFFSET})

    policy: PolicyCfg = PolicyCfg()


@configclass
class LiftEventsCfg(RobotEventsCfg):
    """Randomisation at resets."""

    reset_object = EventTermCfg(
        func=base_mdp.reset_root_state_uniform,
        mode="reset",
        params={
            "asset_cfg": SceneEntityCfg("object"),
            "pose_range": {"x": (-0.1, 0.1), "y": (-0.2, 0.2), "yaw": (-math.pi / 4, math.pi / 4)},
            "velocity_range": {},
        },
    )


@configclass
class LiftRewardsCfg:
    """Sparse reward: 1 on the step of the first success, which also ends the episode."""

    success = RewardTermCfg(func=mdp.term_reward, weight=1.0, params={"term": "success"})


@configclass
class LiftTerminationsCfg:
    """Ends of an episode; all but the time-out are noticed at every control tick."""

    success = DoneTerm(
        func=mdp.Latch,
        params={
            "term": DoneTerm(func=mdp.lifted, params={"height": CUBE_SIZE / 2 + LIFT_HEIGHT}),
            "metric": "success",
        },
    )
    dropped = DoneTerm(
        func=mdp.Latch,
        params={"term": DoneTerm(func=mdp.dropped, params={"height": -CUBE_SIZE}), "metric": "dropped"},
    )
    non_finite = DoneTerm(func=mdp.Latch, params={"term": DoneTerm(func=mdp.non_finite), "metric": "non_finite"})
    time_out = DoneTerm(func=base_mdp.time_out, time_out=True)


@configclass
class LiftEnvCfg(ManipulationEnvCfg):
    """Lift a cube with a Franka Panda."""

    scene: LiftSceneCfg = LiftSceneCfg(num_envs=64, env_spacing=2.5)
    actions: LiftActionsCfg = LiftActionsCfg()
    observations: LiftObservationsCfg = LiftObservationsCfg()
    events: LiftEventsCfg = LiftEventsCfg()
    rewards: LiftRewardsCfg = LiftRewardsCfg()
    terminations: LiftTerminationsCfg = LiftTerminationsCfg()
    episode_length_s: float = 8.0
