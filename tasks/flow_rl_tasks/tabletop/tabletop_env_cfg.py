# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What the tasks with one object share, the analogues of Robomimic's: pose actions, state, sparse reward, ends."""

from collections.abc import Callable, Sequence
from dataclasses import MISSING
from typing import Any

import isaaclab.envs.mdp as base_mdp
from isaaclab.envs.mdp import BinaryJointPositionActionCfg
from isaaclab.managers import EventTermCfg, ObservationGroupCfg, ObservationTermCfg, RewardTermCfg, SceneEntityCfg
from isaaclab.managers import TerminationTermCfg as DoneTerm
from isaaclab.sim import SimulationCfg
from isaaclab.utils import configclass, replace
from isaaclab_newton.physics import NewtonCfg
from isaaclab_tasks.utils import PresetCfg

from flow_rl_assets.franka import HAND_BODY, TCP_OFFSET
from flow_rl_tasks import mdp
from flow_rl_tasks.core.env_cfg import ManipulationEnvCfg, simulation_cfg
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

ARM_RELATIVE = mdp.PoseActionCfg(
    asset_name="robot",
    joint_names=[ARM_JOINTS],
    body_name=HAND_BODY,
    body_offset=mdp.PoseActionCfg.OffsetCfg(pos=TCP_OFFSET),
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

    relative_pose: mdp.PoseActionCfg = ARM_RELATIVE
    absolute_pose: mdp.PoseActionCfg = ARM_ABSOLUTE
    default: mdp.PoseActionCfg = relative_pose


@configclass
class ActionTermsCfg:
    """Terms of one action, A = 7 with relative poses: arm pose (6), gripper (1)."""

    arm: ArmActionCfg = ArmActionCfg()
    gripper: BinaryJointPositionActionCfg = GRIPPER


@configclass
class TabletopActionsCfg:
    """Actions of the environment."""

    chunk: mdp.ChunkActionCfg = mdp.ChunkActionCfg(asset_name="robot", horizon=4, terms=ActionTermsCfg())


@configclass
class TabletopObservationsCfg:
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
class PlacingObservationsCfg(TabletopObservationsCfg):
    """Observations of tasks in which the object is brought somewhere."""

    @configclass
    class PolicyCfg(TabletopObservationsCfg.PolicyCfg):
        """State in the environment's frame, O = 23, as in Robomimic's Can and Square."""

        eef_to_object_quat = ObservationTermCfg(func=mdp.object_rel_quat, params={"robot_cfg": HAND})

    policy: PolicyCfg = PolicyCfg()


def scatter(x: float, y: float, yaw: float, name: str = "object") -> EventTermCfg:
    """Event that puts an object at rest near its initial pose, within +-``x``, +-``y`` [m] and +-``yaw`` [rad]."""
    return EventTermCfg(
        func=base_mdp.reset_root_state_uniform,
        mode="reset",
        params={
            "asset_cfg": SceneEntityCfg(name),
            "pose_range": {"x": (-x, x), "y": (-y, y), "yaw": (-yaw, yaw)},
            "velocity_range": {},
        },
    )


@configclass
class TabletopRewardsCfg:
    """Sparse reward: 1 on the step of the first success, which also ends the episode."""

    success = RewardTermCfg(func=mdp.term_reward, weight=1.0, params={"term": "success"})


def success(func: Callable, **params: Any) -> DoneTerm:
    """Term that ends an episode when a condition has held at any control tick."""
    return DoneTerm(func=mdp.Latch, params={"term": DoneTerm(func=func, params=params), "metric": "success"})


@configclass
class TabletopTerminationsCfg:
    """Ends of an episode; all but the time-out are noticed at every control tick."""

    success: DoneTerm = MISSING
    dropped = DoneTerm(
        func=mdp.Latch, params={"term": DoneTerm(func=mdp.dropped, params={"height": -0.05}), "metric": "dropped"}
    )
    non_finite = DoneTerm(func=mdp.Latch, params={"term": DoneTerm(func=mdp.non_finite), "metric": "non_finite"})
    time_out = DoneTerm(func=base_mdp.time_out, time_out=True)

    def watch(self, objects: Sequence[str]) -> None:
        """Let these objects of the scene end episodes instead of ``object``."""
        for term in (self.dropped, self.non_finite):
            term.params["term"].params["objects"] = objects


@configclass
class PlacingPhysicsCfg(ManipulationPhysicsCfg):
    """Physics with room for the contacts with bins and pegs."""

    newton_mjwarp: NewtonCfg = newton_cfg(njmax=160, nconmax=48)
    default: NewtonCfg = newton_mjwarp


@configclass
class TabletopEnvCfg(ManipulationEnvCfg):
    """One object, ``env.scene["object"]``, and a Franka Panda at a table."""

    scene: TabletopSceneCfg = MISSING
    actions: TabletopActionsCfg = TabletopActionsCfg()
    observations: TabletopObservationsCfg = TabletopObservationsCfg()
    events: RobotEventsCfg = MISSING
    rewards: TabletopRewardsCfg = TabletopRewardsCfg()
    terminations: TabletopTerminationsCfg = MISSING


@configclass
class PlacingEnvCfg(TabletopEnvCfg):
    """The object is brought somewhere."""

    sim: SimulationCfg = simulation_cfg(PlacingPhysicsCfg())
    observations: PlacingObservationsCfg = PlacingObservationsCfg()
