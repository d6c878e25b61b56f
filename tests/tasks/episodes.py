# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Whether episodes break."""

from __future__ import annotations

import torch


def non_finite(env) -> list[str]:
    """What has NaN or infinity in its state, or has just been reset for it; observations hide that."""
    terms = [name for name in env.termination_manager.active_terms if name.startswith("non_finite")]
    assert terms
    found = [name for name in terms if env.termination_manager.get_term(name).any()]
    for name, asset in (env.scene.articulations | env.scene.rigid_objects).items():
        data = asset.data
        state = [data.root_link_pose_w.torch, data.root_com_vel_w.torch]
        if name in env.scene.articulations:
            state += [data.joint_pos.torch, data.joint_vel.torch]
        found += [name] * (not torch.cat(state, dim=1).isfinite().all())
    return found
