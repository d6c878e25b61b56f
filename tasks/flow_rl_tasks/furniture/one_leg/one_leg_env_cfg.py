# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Environments of the one_leg task."""

from collections.abc import Callable

from isaaclab.utils import configclass

from flow_rl_assets.furniture import Furniture
from flow_rl_tasks.furniture.furniture_env_cfg import MED, FurnitureEnvCfg, RandomizationCfg

from .one_leg import ONE_LEG, one_leg


@configclass
class OneLegLowEnvCfg(FurnitureEnvCfg):
    """Screw a leg into the top of a square table."""

    furniture: Furniture = ONE_LEG
    make: Callable[[float], Furniture] = one_leg
    episode_length_s: float = 70.0


@configclass
class OneLegMedEnvCfg(OneLegLowEnvCfg):
    """The same from more different beginnings."""

    randomization: RandomizationCfg = MED
