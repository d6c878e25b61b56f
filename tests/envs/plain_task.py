# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""A manager-based task as Isaac Lab's users write them: joint actions, a dense reward, no chunk and no learner of ours.

Isaac Lab's own tasks take their robots from a server that tests cannot count on, so this one takes ours.
"""

import math

import gymnasium as gym
import torch

import isaaclab.envs.mdp as mdp
from isaaclab.envs import ManagerBasedRLEnvCfg
from isaaclab.managers import ObservationGroupCfg, ObservationTermCfg, RewardTermCfg, TerminationTermCfg
from isaaclab.utils import configclass

from flow_rl_tasks.core.env_cfg import simulation_cfg
from flow_rl_tasks.core.table_cfg import ARM, ARM_JOINTS, RobotEventsCfg, TabletopSceneCfg
from flow_rl_tasks.physics.physics_cfg import ManipulationPhysicsCfg


def first_joint(env):
    """Angle of the first joint [rad], shape (E, 1)."""
    return env.scene["robot"].data.joint_pos.torch[:, :1]


def turned(env, angle):
    """Whether the first joint has turned by an angle [rad], shape (E,)."""
    return first_joint(env).squeeze(1) > angle


@configclass
class PlainEnvCfg(ManagerBasedRLEnvCfg):
    """The arm shall turn its first joint by 0.4 rad within a second."""

    @configclass
    class ActionsCfg:
        arm = mdp.RelativeJointPositionActionCfg(asset_name="robot", joint_names=[ARM_JOINTS], scale=0.1)

    @configclass
    class ObservationsCfg:
        @configclass
        class PolicyCfg(ObservationGroupCfg):
            joints = ObservationTermCfg(func=mdp.joint_pos_rel, params={"asset_cfg": ARM})

        policy: PolicyCfg = PolicyCfg()

    @configclass
    class RewardsCfg:
        angle = RewardTermCfg(func=lambda env: first_joint(env).squeeze(1), weight=1.0)

    @configclass
    class TerminationsCfg:
        success = TerminationTermCfg(func=turned, params={"angle": 0.4})
        time_out = TerminationTermCfg(func=mdp.time_out, time_out=True)

    scene: TabletopSceneCfg = TabletopSceneCfg(num_envs=4, env_spacing=2.5)
    sim = simulation_cfg(ManipulationPhysicsCfg())
    decimation: int = 1
    episode_length_s: float = 1.0
    is_finite_horizon: bool = False
    actions: ActionsCfg = ActionsCfg()
    observations: ObservationsCfg = ObservationsCfg()
    rewards: RewardsCfg = RewardsCfg()
    terminations: TerminationsCfg = TerminationsCfg()
    events: RobotEventsCfg = RobotEventsCfg()


gym.register(
    "Plain-Turn-v0",
    "isaaclab.envs:ManagerBasedRLEnv",
    disable_env_checker=True,
    kwargs={"env_cfg_entry_point": f"{__name__}:PlainEnvCfg"},
)


def turn(obs):
    """A policy that turns the first joint; actions of shape (E, 7)."""
    actions = torch.zeros(len(obs["policy"]), 7)
    actions[:, 0] = math.pi / 3
    return actions
