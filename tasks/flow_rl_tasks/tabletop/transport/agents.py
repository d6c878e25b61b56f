# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Settings of pretraining and of the learners for the transport task: chunks of eight actions, and three cameras."""

from isaaclab.utils import configclass

from flow_rl.configs.flow_policy import FlowPolicyCfg
from flow_rl.configs.pretrain import PretrainCfg
from flow_rl.configs.reinflow import ReinFlowRunnerCfg
from flow_rl.configs.rldt import RldtRunnerCfg
from flow_rl.configs.score_flow import ScoreFlowRunnerCfg

POLICY = FlowPolicyCfg(horizon=8)
SEEN = ["policy", "front", "wrist", "wrist_2"]


@configclass
class TransportRunner:
    """Comes before a learner's configuration: the expert takes 20 decisions, the clumsy more, and at most 100."""

    num_steps_per_env: int = 50
    actor: FlowPolicyCfg = POLICY


@configclass
class TransportVisionRunner(TransportRunner):
    """The same for actors that see with cameras; the critic sees the state."""

    obs_groups: dict[str, list[str]] = {"actor": SEEN, "critic": ["state"]}


@configclass
class TransportPretrainCfg(PretrainCfg):
    """Behaviour cloning."""

    actor: FlowPolicyCfg = POLICY


@configclass
class TransportVisionPretrainCfg(TransportPretrainCfg):
    """Behaviour cloning from pixels."""

    obs_keys: list[str] = SEEN


@configclass
class TransportScoreFlowRunnerCfg(TransportRunner, ScoreFlowRunnerCfg):
    """ScoRe-Flow."""


@configclass
class TransportReinFlowRunnerCfg(TransportRunner, ReinFlowRunnerCfg):
    """ReinFlow."""


@configclass
class TransportRldtRunnerCfg(TransportRunner, RldtRunnerCfg):
    """RLDT."""


@configclass
class TransportVisionScoreFlowRunnerCfg(TransportVisionRunner, ScoreFlowRunnerCfg):
    """ScoRe-Flow from pixels."""


@configclass
class TransportVisionReinFlowRunnerCfg(TransportVisionRunner, ReinFlowRunnerCfg):
    """ReinFlow from pixels."""


@configclass
class TransportVisionRldtRunnerCfg(TransportVisionRunner, RldtRunnerCfg):
    """RLDT from pixels."""
