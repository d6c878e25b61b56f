# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Spawner that builds a robot's USD file before the stock spawner reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isaaclab.sim.spawners.from_files import spawn_from_usd

from .build import build_panda, panda_usd_path

if TYPE_CHECKING:
    from pxr import Usd

    from .franka import PandaUsdFileCfg


def spawn_panda(prim_path: str, cfg: PandaUsdFileCfg, *args, **kwargs) -> Usd.Prim:
    """Spawn the Panda; its USD file is built first unless the configuration names another one."""
    if cfg.usd_path == str(panda_usd_path()):
        build_panda()
    return spawn_from_usd(prim_path, cfg, *args, **kwargs)
