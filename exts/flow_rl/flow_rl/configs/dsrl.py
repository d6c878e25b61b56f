# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Configuration of DSRL."""

from __future__ import annotations

from isaaclab.utils import configclass

from flow_rl.algorithms.dsrl_settings import DsrlSettings

from .base import FlowRunnerBaseCfg
from .flow_policy import FlowPolicyCfg, PriorCfg
from .q_ensemble import QEnsembleCfg


@configclass
class DsrlAlgorithmCfg(DsrlSettings):
    """The learner and its settings."""

    class_name: str = "flow_rl.algorithms.dsrl:Dsrl"
    """Implementation."""


@configclass
class DsrlRunnerCfg(FlowRunnerBaseCfg):
    """Fine-tuning by DSRL with the stock runner. The pretrained policy is given as `--checkpoint`."""

    max_iterations: int = 30
    """Iterations; also the length of all schedules."""

    experiment_name: str = "dsrl"
    """Folder of the runs under logs/rsl_rl."""

    actor: FlowPolicyCfg = FlowPolicyCfg(prior=PriorCfg(kind="steered"))
    """The policy; its networks must be those of the pretrained one, and its prior is what is learnt."""

    critic: QEnsembleCfg = QEnsembleCfg()
    """Values of chunks, or of noise in the SAC version; the critic of noise that is distilled has the same networks."""

    algorithm: DsrlAlgorithmCfg = DsrlAlgorithmCfg()
    """The learner."""
