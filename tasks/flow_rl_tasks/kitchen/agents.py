# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Settings of pretraining and of the learners for the kitchen."""

from isaaclab.utils import configclass

from flow_rl.configs.flow_policy import FlowPolicyCfg
from flow_rl.configs.pretrain import PretrainCfg
from flow_rl.configs.reinflow import ReinFlowRunnerCfg
from flow_rl.configs.rldt import RldtAlgorithmCfg, RldtRunnerCfg
from flow_rl.configs.score_flow import ScoreFlowRunnerCfg

NUM_STEPS = 70
"""Decisions in a whole episode."""

POLICY = FlowPolicyCfg(prediction="residual", obs_scaling="whitening")


@configclass
class KitchenPretrainCfg(PretrainCfg):
    """Behaviour cloning."""

    actor: FlowPolicyCfg = POLICY
    num_steps: int = 20000


@configclass
class KitchenScoreFlowRunnerCfg(ScoreFlowRunnerCfg):
    """ScoRe-Flow."""

    num_steps_per_env: int = NUM_STEPS
    actor: FlowPolicyCfg = POLICY


@configclass
class KitchenReinFlowRunnerCfg(ReinFlowRunnerCfg):
    """ReinFlow."""

    num_steps_per_env: int = NUM_STEPS
    actor: FlowPolicyCfg = POLICY


@configclass
class KitchenRldtRunnerCfg(RldtRunnerCfg):
    """RLDT."""

    num_steps_per_env: int = NUM_STEPS
    actor: FlowPolicyCfg = POLICY
    algorithm: RldtAlgorithmCfg = RldtAlgorithmCfg(value_range=[0.0, 4.0])
