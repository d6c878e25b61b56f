# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Configuration of ScoRe-Flow."""

from __future__ import annotations

from isaaclab.utils import configclass
from isaaclab_rl.rsl_rl import RslRlMLPModelCfg

from flow_rl.algorithms.score_flow_settings import ScoreFlowSettings

from .base import FlowRunnerBaseCfg


@configclass
class ScoreFlowAlgorithmCfg(ScoreFlowSettings):
    """The learner and its settings."""

    class_name: str = "flow_rl.algorithms.score_flow:ScoreFlow"
    """Implementation."""


@configclass
class ScoreFlowRunnerCfg(FlowRunnerBaseCfg):
    """Fine-tuning by ScoRe-Flow with the stock runner. The pretrained policy is given as `--checkpoint`."""

    max_iterations: int = 100
    """Iterations; also the length of all schedules."""

    experiment_name: str = "score_flow"
    """Folder of the runs under logs/rsl_rl."""

    critic: RslRlMLPModelCfg = RslRlMLPModelCfg(hidden_dims=[256, 256, 256], activation="mish", obs_normalization=True)
    """State values."""

    algorithm: ScoreFlowAlgorithmCfg = ScoreFlowAlgorithmCfg()
    """The learner."""
