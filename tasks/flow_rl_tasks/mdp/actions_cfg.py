# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Configuration of chunked actions and of pose actions."""

from dataclasses import MISSING

from isaaclab.envs.mdp import DifferentialInverseKinematicsActionCfg
from isaaclab.managers import ActionTermCfg
from isaaclab.utils import configclass


@configclass
class ChunkActionCfg(ActionTermCfg):
    """Execute a chunk of actions, one after the other, within one environment step."""

    class_type = "{DIR}.actions:ChunkAction"

    horizon: int = 4
    """Number of actions in a chunk (H); the decimation of the environment must be a multiple of it."""

    terms: object = MISSING
    """Stock action terms that make up one action of the chunk, in order: a configclass of :class:`ActionTermCfg`."""

    max_latency: int = 0
    """Most control ticks by which actions are executed late; how many is drawn for each environment and episode."""

    limit: float | None = 1.0
    """Raw actions are clamped to [-limit, limit]; None leaves them alone."""


@configclass
class PoseActionCfg(DifferentialInverseKinematicsActionCfg):
    """Lead the tool to a pose by differential inverse kinematics, as Isaac Lab's term does."""

    class_type = "{DIR}.pose_action:PoseAction"


@configclass
class Rot6dPoseActionCfg(DifferentialInverseKinematicsActionCfg):
    """Lead the tool to a pose whose rotation is given by two columns of a matrix; 9 numbers."""

    class_type = "{DIR}.pose_action:Rot6dPoseAction"

    relative: bool = MISSING
    """Whether poses are counted from the tool's own, or from the robot's base."""

    max_step: float = 0.05
    """Greatest shift per control tick [m]."""

    max_turn: float = 0.3
    """Greatest turn per control tick [rad]."""

    max_joint_step: float = 0.25
    """Greatest motion of a joint per control tick [rad]; near singular poses inverse kinematics asks for more."""

    posture_gain: float = 0.5
    """Share of the way to the arm's initial posture that redundant joints go per control tick."""
