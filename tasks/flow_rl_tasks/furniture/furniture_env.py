# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Environment class of the furniture tasks."""

from __future__ import annotations

from collections.abc import Sequence

from flow_rl_tasks.core.env import ManipulationEnv
from flow_rl_tasks.mdp import Assembly
from flow_rl_tasks.mdp.latch import ended

from .furniture_env_cfg import FurnitureEnvCfg


class FurnitureEnv(ManipulationEnv):
    """Environment with an :class:`~flow_rl_tasks.mdp.Assembly`, ``env.assembly``, that its terms read."""

    cfg: FurnitureEnvCfg

    def load_managers(self) -> None:
        """Create the assembly, then the managers whose terms need it."""
        self.assembly = Assembly(self, self.cfg.furniture)
        super().load_managers()
        self.assembly.weigh()  # again: by now events have drawn the masses

    def _reset_idx(self, env_ids: Sequence[int]) -> None:
        over = ended(self, env_ids)  # asked before the lengths of episodes are forgotten
        super()._reset_idx(env_ids)
        self.assembly.reset(env_ids, over)
