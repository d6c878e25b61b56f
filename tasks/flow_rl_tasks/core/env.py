# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The environment class of all manipulation tasks."""

from collections.abc import Sequence

import torch

from isaaclab.envs import ManagerBasedRLEnv

from flow_rl.utils.check import require_device
from flow_rl_tasks.core.chunk_view import ChunkView
from flow_rl_tasks.core.env_cfg import ManipulationEnvCfg


class ManipulationEnv(ManagerBasedRLEnv):
    """The stock environment, with chunks and outcomes of episodes shown in its viewers.

    The stock one allocates before it validates, and so would report a missing GPU as PyTorch does.
    """

    chunk_view: ChunkView | None = None
    """What is shown; None without a viewer."""

    def __init__(self, cfg: ManipulationEnvCfg, **kwargs):
        """Create the environment; raises a ValueError when the machine lacks the device of ``cfg.sim``."""
        require_device("--device", cfg.sim.device)
        super().__init__(cfg, **kwargs)

    def load_managers(self) -> None:
        """Create the managers, and what shows their doings where there is a viewer."""
        super().load_managers()
        if self.sim.visualizers:
            self.chunk_view = ChunkView(self)

    def step(self, action: torch.Tensor):
        """Execute a chunk, shape (E, H * A), after showing where it leads."""
        if self.chunk_view is not None:
            self.chunk_view.show_chunks(action.to(self.device))
        return super().step(action)

    def _reset_idx(self, env_ids: Sequence[int]) -> None:
        if self.chunk_view is not None:
            self.chunk_view.show_outcomes(env_ids)
        super()._reset_idx(env_ids)
