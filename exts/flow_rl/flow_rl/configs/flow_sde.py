# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Configuration of flow-SDE."""

from __future__ import annotations

from isaaclab.utils import configclass
from isaaclab_rl.rsl_rl import RslRlMLPModelCfg

from flow_rl.algorithms.flow_sde_settings import FlowSdeSettings

from .base import FlowRunnerBaseCfg


@configclass
class FlowSdeAlgorithmCfg(FlowSdeSettings):
    """The learner and its settings."""

    class_name: str = "flow_rl.algorithms.flow_sde:FlowSde"
    """Implementation."""


@configclass
class FlowSdeRunnerCfg(FlowRunnerBaseCfg):
    """Fine-tuning by flow-SDE with the stock runner. The pretrained policy is given as `--checkpoint`."""

    max_iterations: int = 100
    """Iterations; also the length of all schedules."""

    experiment_name: str = "flow_sde"
    """Folder of the runs under logs/rsl_rl."""

    critic: RslRlMLPModelCfg = RslRlMLPModelCfg(hidden_dims=[256, 256, 256], activation="mish", obs_normalization=True)
    """State values."""

    algorithm: FlowSdeAlgorithmCfg = FlowSdeAlgorithmCfg()
    """The learner."""
