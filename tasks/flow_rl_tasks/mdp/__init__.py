# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Terms shared by the tasks of flow_rl."""

from .actions import ChunkAction, ticks_per_action
from .actions_cfg import ChunkActionCfg, PoseActionCfg, Rot6dPoseActionCfg
from .assembly import Assembly
from .events import reset_objects_uniform
from .joint_states import JointStates
from .latch import Latch
from .observations import (
    body_frame_pos,
    body_frame_quat,
    body_frame_vel,
    body_rot6d,
    gripper_width,
    joint_pos,
    last_actions,
    latency,
    lies_at,
    measured,
    object_is_inside,
    object_pos,
    object_poses,
    object_quat,
    object_rel_pos,
    object_rel_quat,
    object_rot6d,
    object_to_place,
)
from .pictures import LongerLens, mean_image, scatter_clutter, shift_camera
from .plans import planned_path
from .pose_action import PoseAction, Rot6dPoseAction, quat_from_rot6d, step_towards
from .rewards import newly_made, term_reward
from .terminations import all_of, assembled, dropped, lifted, non_finite, placed

__all__ = [
    "Assembly",
    "ChunkAction",
    "ChunkActionCfg",
    "JointStates",
    "Latch",
    "LongerLens",
    "PoseAction",
    "PoseActionCfg",
    "Rot6dPoseAction",
    "Rot6dPoseActionCfg",
    "all_of",
    "assembled",
    "body_frame_pos",
    "body_frame_quat",
    "body_frame_vel",
    "body_rot6d",
    "dropped",
    "gripper_width",
    "joint_pos",
    "last_actions",
    "latency",
    "lies_at",
    "lifted",
    "measured",
    "mean_image",
    "newly_made",
    "non_finite",
    "object_is_inside",
    "object_pos",
    "object_poses",
    "object_quat",
    "object_rel_pos",
    "object_rel_quat",
    "object_rot6d",
    "object_to_place",
    "placed",
    "planned_path",
    "quat_from_rot6d",
    "reset_objects_uniform",
    "scatter_clutter",
    "shift_camera",
    "step_towards",
    "term_reward",
    "ticks_per_action",
]
