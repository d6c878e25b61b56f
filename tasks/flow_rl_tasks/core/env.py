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

    final_obs_groups: set[str]
    """Observation groups of which ``extras["final_obs"]`` shows the last ones of episodes; learners add what they need.

    At first those of ``cfg.final_obs_groups``. Each group of pictures has all its cameras rendered once more in every
    step in which an episode ends.
    """

    _steps: bool = False

    def __init__(self, cfg: ManipulationEnvCfg, **kwargs):
        """Create the environment; raises a ValueError when the machine lacks the device of ``cfg.sim``."""
        require_device("--device", cfg.sim.device)
        super().__init__(cfg, **kwargs)

    def load_managers(self) -> None:
        """Create the managers, and what shows their doings where there is a viewer."""
        super().load_managers()
        shapes = self.observation_manager.group_obs_dim
        vectors = [name for name, shape in shapes.items() if len(shape) == 1]
        self.final_obs_groups = set(vectors if self.cfg.final_obs_groups is None else self.cfg.final_obs_groups)
        if self.sim.visualizers:
            self.chunk_view = ChunkView(self)

    def step(self, action: torch.Tensor):
        """Execute a chunk, shape (E, H * A), after showing where it leads."""
        if self.chunk_view is not None:
            self.chunk_view.show_chunks(action.to(self.device))
        self.extras.pop("final_obs", None)
        self._steps = True
        try:
            return super().step(action)
        finally:
            self._steps = False

    def _reset_idx(self, env_ids: Sequence[int]) -> None:
        if self.chunk_view is not None:
            self.chunk_view.show_outcomes(env_ids)
        if self._steps and "final_obs" not in self.extras:
            manager = self.observation_manager
            groups = [name for name in manager.active_terms if name in self.final_obs_groups]
            self.extras["final_obs"] = {name: manager.compute_group(name) for name in groups}
        super()._reset_idx(env_ids)
