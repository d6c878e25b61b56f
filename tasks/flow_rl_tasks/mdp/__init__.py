# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Terms shared by the tasks of flow_rl."""

from .actions import ChunkAction, ticks_per_action
from .actions_cfg import ChunkActionCfg
from .latch import Latch
from .observations import body_frame_pos, body_frame_quat, joint_pos, object_pos, object_quat, object_rel_pos
from .rewards import term_reward
from .terminations import dropped, lifted, non_finite

__all__ = [
    "ChunkAction",
    "ChunkActionCfg",
    "Latch",
    "body_frame_pos",
    "body_frame_quat",
    "dropped",
    "joint_pos",
    "lifted",
    "non_finite",
    "object_pos",
    "object_quat",
    "object_rel_pos",
    "term_reward",
    "ticks_per_action",
]
