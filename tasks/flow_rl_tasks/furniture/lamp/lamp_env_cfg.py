# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Environments of the lamp task."""

from collections.abc import Callable

from isaaclab.utils import configclass

from flow_rl_assets.furniture import Furniture
from flow_rl_tasks.furniture.furniture_env_cfg import MED, FurnitureEnvCfg, RandomizationCfg

from .lamp import LAMP, lamp


@configclass
class LampLowEnvCfg(FurnitureEnvCfg):
    """Screw a bulb into a lamp's base and place the hood over it."""

    furniture: Furniture = LAMP
    make: Callable[[float], Furniture] = lamp
    episode_length_s: float = 100.0


@configclass
class LampMedEnvCfg(LampLowEnvCfg):
    """The same from more different beginnings."""

    randomization: RandomizationCfg = MED
