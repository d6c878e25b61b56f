# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Randomisation at resets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from isaaclab.utils.math import quat_from_euler_xyz, quat_mul, sample_uniform

if TYPE_CHECKING:
    from isaaclab.envs import ManagerBasedEnv


def reset_objects_uniform(
    env: ManagerBasedEnv, env_ids: torch.Tensor, objects: list[str], position: float, yaw: float
) -> None:
    """Put objects at rest near their initial poses, each shifted and turned about the vertical on its own.

    Shifts along x and y are within +-``position`` [m], turns within +-``yaw`` [rad]. The stock event turns about the
    object's own z axis, which is not the vertical when it lies.
    """
    for name in objects:
        asset = env.scene[name]
        pose = asset.data.default_root_pose.torch[env_ids].clone()  # (N, 7)
        shift = sample_uniform(-position, position, (len(pose), 2), pose.device)
        angle = sample_uniform(-yaw, yaw, (len(pose),), pose.device)
        zero = torch.zeros_like(angle)
        pose[:, :3] += env.scene.env_origins[env_ids]
        pose[:, :2] += shift
        pose[:, 3:] = quat_mul(quat_from_euler_xyz(zero, zero, angle), pose[:, 3:])
        asset.write_root_pose_to_sim_index(root_pose=pose, env_ids=env_ids)
        velocity = torch.zeros(len(pose), 6, device=pose.device)
        asset.write_root_velocity_to_sim_index(root_velocity=velocity, env_ids=env_ids)
