# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Settings of the on-policy learners for the square nut."""

from isaaclab.utils import configclass, replace

from flow_rl.configs.reinflow import ReinFlowRunnerCfg
from flow_rl.configs.score_flow import ScoreFlowAlgorithmCfg, ScoreFlowRunnerCfg

SCORE_FLOW = ScoreFlowAlgorithmCfg(
    # The peg leaves 3 mm: less than half of the lift's noise, and learning rates that suit it.
    std_min=0.03,
    std_max=0.06,
    learning_rate=4.0e-5,
    final_learning_rate=2.0e-5,
    critic_warmup=2,
)


@configclass
class SquareScoreFlowRunnerCfg(ScoreFlowRunnerCfg):
    """ScoRe-Flow; a whole episode is 100 decisions."""

    num_steps_per_env: int = 100
    algorithm: ScoreFlowAlgorithmCfg = SCORE_FLOW


@configclass
class SquareReinFlowRunnerCfg(ReinFlowRunnerCfg):
    """ReinFlow."""

    num_steps_per_env: int = 100
    algorithm: ScoreFlowAlgorithmCfg = replace(SCORE_FLOW, score_coef=0.0)
