# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Configuration of QAM."""

from __future__ import annotations

from isaaclab.utils import configclass

from flow_rl.algorithms.qam_settings import QamSettings

from .base import FlowRunnerBaseCfg
from .q_ensemble import QEnsembleCfg


@configclass
class QamAlgorithmCfg(QamSettings):
    """The learner and its settings."""

    class_name: str = "flow_rl.algorithms.qam:Qam"
    """Implementation."""


@configclass
class QamRunnerCfg(FlowRunnerBaseCfg):
    """Fine-tuning by QAM with the stock runner. The pretrained policy is given as `--checkpoint`."""

    max_iterations: int = 30
    """Iterations; also the length of all schedules."""

    experiment_name: str = "qam"
    """Folder of the runs under logs/rsl_rl."""

    critic: QEnsembleCfg = QEnsembleCfg(num_members=4)
    """Action values; the paper's ten members take more than twice as long."""

    algorithm: QamAlgorithmCfg = QamAlgorithmCfg()
    """The learner."""
