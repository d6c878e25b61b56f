# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What learners are told of environments that others made; a row an environment."""

from __future__ import annotations

from flow_rl.configs.compose import Settings, combined

OFF_POLICY = ("rldt", "qam", "trqam", "residual", "sac_flow", "dsrl")
"""Learners whose defaults expect returns between 0 and the number of successes."""

DENSE: Settings = {name: {"algorithm.value_range": None, "algorithm.balance_successes": False} for name in OFF_POLICY}
"""Settings for environments that do not report successes: returns have no known bounds, and no two are equal."""


def locomotion(std_min: float, std_max: float) -> Settings:
    """Return settings for MuJoCo's walkers: chunks and noise of ReinFlow's code, and a tenth of its rollouts.

    Its iterations are of 40 environments with 500 decisions, for 80 million control steps.
    """
    noise = {"algorithm.std_min": std_min, "algorithm.std_max": std_max}
    return {
        "all": {"actor.horizon": 4},
        "learners": {"num_steps_per_env": 50},
        "score_flow": noise,
        "reinflow": noise,
        "pretrain": {"num_steps": 20000},
    }


HAND: Settings = {
    "all": {"actor.horizon": 4},
    "learners": {"num_steps_per_env": 50},  # a whole episode
    "pretrain": {"num_steps": 10000},
}

SETTINGS: dict[str, Settings] = {
    "Hopper-v5": combined(DENSE, locomotion(0.10, 0.24)),
    "Walker2d-v5": combined(DENSE, locomotion(0.10, 0.24)),
    "HalfCheetah-v5": combined(DENSE, locomotion(0.10, 0.24)),
    "Ant-v5": combined(DENSE, locomotion(0.08, 0.16)),
    "Humanoid-v5": combined(DENSE, locomotion(0.08, 0.16)),
    "AdroitHandDoor-v1": combined(DENSE, HAND),
    "AdroitHandDoorSparse-v1": HAND,
}
"""By the id of an environment; others have the learners' defaults, and those of :data:`DENSE`."""
