# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Configuration of RLDT."""

from __future__ import annotations

from isaaclab.utils import configclass

from flow_rl.algorithms.rldt_settings import RldtSettings

from .base import FlowRunnerBaseCfg
from .q_ensemble import QEnsembleCfg


@configclass
class RldtAlgorithmCfg(RldtSettings):
    """The learner and its settings."""

    class_name: str = "flow_rl.algorithms.rldt:Rldt"
    """Implementation."""


@configclass
class RldtRunnerCfg(FlowRunnerBaseCfg):
    """Fine-tuning by RLDT with the stock runner. The pretrained policy is given as `--checkpoint`."""

    max_iterations: int = 30
    """Iterations; also the length of all schedules."""

    experiment_name: str = "rldt"
    """Folder of the runs under logs/rsl_rl."""

    critic: QEnsembleCfg = QEnsembleCfg()
    """Action values."""

    algorithm: RldtAlgorithmCfg = RldtAlgorithmCfg()
    """The learner."""
