# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Settings of pretraining and of the learners for furniture assembly."""

from isaaclab.utils import configclass, replace

from flow_rl.configs.flow_policy import FlowPolicyCfg
from flow_rl.configs.pretrain import PretrainCfg
from flow_rl.configs.reinflow import ReinFlowRunnerCfg
from flow_rl.configs.rldt import RldtAlgorithmCfg, RldtRunnerCfg
from flow_rl.configs.score_flow import ScoreFlowAlgorithmCfg, ScoreFlowRunnerCfg

POLICY = FlowPolicyCfg(horizon=8)
SCORE_FLOW = ScoreFlowAlgorithmCfg(
    # Holes forgive less than the lift's cube: half its noise, and half its learning rate, which suits the noise.
    std_min=0.04,
    std_max=0.08,
    learning_rate=5.0e-5,
    final_learning_rate=2.5e-5,
    gamma=0.995,
)


@configclass
class FurniturePretrainCfg(PretrainCfg):
    """Behaviour cloning, longer than for short tasks: the last millimetre decides."""

    actor: FlowPolicyCfg = POLICY
    num_steps: int = 12000


@configclass
class FurnitureScoreFlowRunnerCfg(ScoreFlowRunnerCfg):
    """ScoRe-Flow."""

    actor: FlowPolicyCfg = POLICY
    algorithm: ScoreFlowAlgorithmCfg = SCORE_FLOW


@configclass
class FurnitureReinFlowRunnerCfg(ReinFlowRunnerCfg):
    """ReinFlow."""

    actor: FlowPolicyCfg = POLICY
    algorithm: ScoreFlowAlgorithmCfg = replace(SCORE_FLOW, score_coef=0.0)


@configclass
class FurnitureRldt1RunnerCfg(RldtRunnerCfg):
    """RLDT for furniture with one joint."""

    actor: FlowPolicyCfg = POLICY
    algorithm: RldtAlgorithmCfg = RldtAlgorithmCfg(value_range=[0.0, 1.0])


@configclass
class FurnitureRldt2RunnerCfg(FurnitureRldt1RunnerCfg):
    """RLDT for furniture with two joints."""

    algorithm: RldtAlgorithmCfg = RldtAlgorithmCfg(value_range=[0.0, 2.0])
