# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Configuration of SAC Flow."""

from __future__ import annotations

from isaaclab.utils import configclass

from flow_rl.algorithms.sac_flow_settings import SacFlowSettings

from .base import FlowRunnerBaseCfg
from .q_ensemble import QEnsembleCfg


@configclass
class SacFlowAlgorithmCfg(SacFlowSettings):
    """The learner and its settings."""

    class_name: str = "flow_rl.algorithms.sac_flow:SacFlow"
    """Implementation."""


@configclass
class SacFlowRunnerCfg(FlowRunnerBaseCfg):
    """Fine-tuning by SAC Flow with the stock runner. The pretrained policy is given as `--checkpoint`."""

    max_iterations: int = 30
    """Iterations; also the length of all schedules."""

    experiment_name: str = "sac_flow"
    """Folder of the runs under logs/rsl_rl."""

    critic: QEnsembleCfg = QEnsembleCfg()
    """Action values."""

    algorithm: SacFlowAlgorithmCfg = SacFlowAlgorithmCfg()
    """The learner."""
