# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Running episodes in tests."""

from __future__ import annotations

import torch


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
