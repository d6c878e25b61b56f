# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Environments of the round_table task."""

from collections.abc import Callable

from isaaclab.utils import configclass

from flow_rl_assets.furniture import Furniture
from flow_rl_tasks.furniture.furniture_env_cfg import MED, FurnitureEnvCfg, RandomizationCfg

from .round_table import ROUND_TABLE, round_table


@configclass
class RoundTableLowEnvCfg(FurnitureEnvCfg):
    """Screw a leg into a round top and insert it into a cross base."""

    furniture: Furniture = ROUND_TABLE
    make: Callable[[float], Furniture] = round_table
    episode_length_s: float = 100.0


@configclass
class RoundTableMedEnvCfg(RoundTableLowEnvCfg):
    """The same from more different beginnings."""

    randomization: RandomizationCfg = MED
