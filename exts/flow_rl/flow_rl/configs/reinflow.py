# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Configuration of ReinFlow: ScoRe-Flow without the score drift."""

from __future__ import annotations

from isaaclab.utils import configclass

from .score_flow import ScoreFlowAlgorithmCfg, ScoreFlowRunnerCfg


@configclass
class ReinFlowRunnerCfg(ScoreFlowRunnerCfg):
    """Fine-tuning by ReinFlow (arXiv 2505.22094) with the stock runner."""

    experiment_name: str = "reinflow"
    """Folder of the runs under logs/rsl_rl."""

    algorithm: ScoreFlowAlgorithmCfg = ScoreFlowAlgorithmCfg(score_coef=0.0)
    """The learner."""
