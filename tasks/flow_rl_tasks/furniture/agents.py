# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Settings of pretraining and of the learners for furniture assembly."""

from isaaclab.utils import configclass

from flow_rl.configs.flow_policy import FlowPolicyCfg
from flow_rl.configs.pretrain import PretrainCfg
from flow_rl.configs.reinflow import ReinFlowRunnerCfg
from flow_rl.configs.rldt import RldtAlgorithmCfg, RldtRunnerCfg
from flow_rl.configs.score_flow import ScoreFlowRunnerCfg

POLICY = FlowPolicyCfg(horizon=8)


@configclass
class FurniturePretrainCfg(PretrainCfg):
    """Behaviour cloning, longer than for short tasks: the last millimetre decides."""

    actor: FlowPolicyCfg = POLICY
    num_steps: int = 12000


@configclass
class FurnitureScoreFlowRunnerCfg(ScoreFlowRunnerCfg):
    """ScoRe-Flow."""

    actor: FlowPolicyCfg = POLICY


@configclass
class FurnitureReinFlowRunnerCfg(ReinFlowRunnerCfg):
    """ReinFlow."""

    actor: FlowPolicyCfg = POLICY


@configclass
class FurnitureRldt1RunnerCfg(RldtRunnerCfg):
    """RLDT for furniture with one joint."""

    actor: FlowPolicyCfg = POLICY
    algorithm: RldtAlgorithmCfg = RldtAlgorithmCfg(value_range=[0.0, 1.0])


@configclass
class FurnitureRldt2RunnerCfg(FurnitureRldt1RunnerCfg):
    """RLDT for furniture with two joints."""

    algorithm: RldtAlgorithmCfg = RldtAlgorithmCfg(value_range=[0.0, 2.0])
