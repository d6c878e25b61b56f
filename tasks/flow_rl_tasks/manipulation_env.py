# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The environment class of all manipulation tasks."""

from isaaclab.envs import ManagerBasedRLEnv

from flow_rl.utils.check import require_device

from .manipulation_env_cfg import ManipulationEnvCfg


class ManipulationEnv(ManagerBasedRLEnv):
    """The stock environment, which allocates before it validates and so would report a missing GPU as PyTorch does."""

    def __init__(self, cfg: ManipulationEnvCfg, **kwargs):
        """Create the environment; raises a ValueError when the machine lacks the device of ``cfg.sim``."""
        require_device("--device", cfg.sim.device)
        super().__init__(cfg, **kwargs)
