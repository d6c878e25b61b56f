# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Running episodes in tests, and looking whether they break."""

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


def first_episodes(env, expert) -> torch.Tensor:
    """Whether the first episode of each environment is solved, shape (E,)."""
    env.reset(seed=0)
    expert.reset()
    solved = torch.zeros(env.num_envs, dtype=torch.bool)
    running = ~solved
    while running.any():
        _, _, terminated, truncated, _ = env.step(expert.act())
        solved |= running & env.termination_manager.get_term("success")
        running &= ~(terminated | truncated)
        expert.reset((terminated | truncated).nonzero().squeeze(-1))
    return solved
