# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Configuration of the off-policy residual."""

from __future__ import annotations

from isaaclab.utils import configclass

from flow_rl.algorithms.residual_settings import ResidualSettings

from .base import FlowRunnerBaseCfg
from .flow_policy import FlowPolicyCfg, HeadCfg
from .q_ensemble import QEnsembleCfg


@configclass
class ResidualAlgorithmCfg(ResidualSettings):
    """The learner and its settings."""

    class_name: str = "flow_rl.algorithms.residual:Residual"
    """Implementation."""


@configclass
class ResidualRunnerCfg(FlowRunnerBaseCfg):
    """Fine-tuning by an off-policy correction with the stock runner. The frozen policy is given as `--checkpoint`."""

    max_iterations: int = 30
    """Iterations; also the length of all schedules."""

    experiment_name: str = "residual"
    """Folder of the runs under logs/rsl_rl."""

    actor: FlowPolicyCfg = FlowPolicyCfg(head=HeadCfg(kind="residual"))
    """The policy; its networks must be those of the pretrained one, but for the head, which begins with nothing."""

    critic: QEnsembleCfg = QEnsembleCfg(num_members=10, hidden_dims=[256, 256], layer_norm=True)
    """Action values: ten members as in ResFiT, whose widths are [1024, 1024]."""

    algorithm: ResidualAlgorithmCfg = ResidualAlgorithmCfg()
    """The learner."""
