# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Sparse rewards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from isaaclab.envs import ManagerBasedRLEnv


def term_reward(env: ManagerBasedRLEnv, term: str = "success") -> torch.Tensor:
    """One on the step on which a termination term is true, else zero, shape (E,).

    Divided by the step's duration, by which the reward manager multiplies: with weight 1 the reward is exactly 1.
    """
    return env.termination_manager.get_term(term).float() / env.step_dt
