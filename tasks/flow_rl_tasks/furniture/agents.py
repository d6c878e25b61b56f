# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Settings of pretraining and of the learners for furniture assembly."""

from isaaclab.utils import configclass, replace

from flow_rl.configs.flow_policy import FlowPolicyCfg
from flow_rl.configs.pretrain import PretrainCfg
from flow_rl.configs.reinflow import ReinFlowRunnerCfg
from flow_rl.configs.rldt import QEnsembleCfg, RldtAlgorithmCfg, RldtRunnerCfg
from flow_rl.configs.score_flow import ScoreFlowAlgorithmCfg, ScoreFlowRunnerCfg
from flow_rl_tasks.variations.vision import CAMERAS, VisionDemos, VisionObservations

# A few millimetres decide, of what is seen and of what is done; so scaled, the net does not overlook them.
POLICY = FlowPolicyCfg(horizon=8, prediction="residual", obs_scaling="whitening")
OBS_GROUPS = {"actor": ["policy"], "critic": ["policy", "privileged"]}
SCORE_FLOW = ScoreFlowAlgorithmCfg(
    # Holes forgive less than the lift's cube: a quarter of its noise, and the learning rate that suits so little.
    std_min=0.02,
    std_max=0.03,
    learning_rate=2.0e-5,
    final_learning_rate=1.0e-5,
    critic_warmup=2,
    gamma=0.995,
)
CRITIC = QEnsembleCfg(dueling=True)
RLDT = RldtAlgorithmCfg(
    # Rewards come after 20 decisions and more: V learns from long returns, A from what the next observations show, and
    # many steps over several iterations pass before A says anything about chunks it has not seen.
    lam=0.5,
    value_lam=0.95,
    bootstrap="mean",
    window=12,
    critic_batch_size=32,
    num_critic_updates=512,
    critic_warmup=4,
    learning_rate=2.0e-5,
    final_learning_rate=1.0e-5,
    actor_batch_size=256,
    # A policy that must be precise is moved in the directions in which it varies, and needs no other noise: a shift of
    # a few millimetres in all chunks, or straightness alone, loses the task.
    preconditioner="covariance",
    reference_coef=0.005,
    consistency_coef=0.0,
    exploration="gaussian",
    exploration_std=0.0,
    balance_successes=False,
    # Whole trajectories of all environments take gigabytes on a GPU.
    save_replay=False,
)


@configclass
class FurniturePretrainCfg(PretrainCfg):
    """Behaviour cloning, longer than for short tasks: the last millimetre decides."""

    actor: FlowPolicyCfg = POLICY
    num_steps: int = 40000
    final_learning_rate: float = 1.0e-5


@configclass
class FurnitureScoreFlowRunnerCfg(ScoreFlowRunnerCfg):
    """ScoRe-Flow."""

    num_steps_per_env: int = 44
    actor: FlowPolicyCfg = POLICY
    algorithm: ScoreFlowAlgorithmCfg = SCORE_FLOW


@configclass
class FurnitureReinFlowRunnerCfg(ReinFlowRunnerCfg):
    """ReinFlow."""

    num_steps_per_env: int = 44
    actor: FlowPolicyCfg = POLICY
    algorithm: ScoreFlowAlgorithmCfg = replace(SCORE_FLOW, score_coef=0.0)


@configclass
class FurnitureRldt1RunnerCfg(RldtRunnerCfg):
    """RLDT for furniture with one joint."""

    obs_groups: dict[str, list[str]] = OBS_GROUPS
    max_iterations: int = 50
    save_interval: int = 5  # few and long iterations, and what is gained can be lost again
    num_steps_per_env: int = 44
    actor: FlowPolicyCfg = POLICY
    critic: QEnsembleCfg = CRITIC
    algorithm: RldtAlgorithmCfg = replace(RLDT, value_range=[0.0, 1.0])


@configclass
class FurnitureRldt2RunnerCfg(FurnitureRldt1RunnerCfg):
    """RLDT for furniture with two joints."""

    algorithm: RldtAlgorithmCfg = replace(RLDT, value_range=[0.0, 2.0])


@configclass
class WideActor:
    """Comes before a configuration: a net twice as wide, for more variety than the usual one can learn."""

    actor: FlowPolicyCfg = replace(POLICY, hidden_dims=[1024, 1024, 1024])


@configclass
class FurnitureWidePretrainCfg(WideActor, FurniturePretrainCfg):
    """Behaviour cloning of a wide policy."""

    num_steps: int = 50000


@configclass
class FurnitureWideScoreFlowRunnerCfg(WideActor, FurnitureScoreFlowRunnerCfg):
    """ScoRe-Flow of a wide policy."""


@configclass
class FurnitureWideReinFlowRunnerCfg(WideActor, FurnitureReinFlowRunnerCfg):
    """ReinFlow of a wide policy."""


@configclass
class FurnitureWideRldt2RunnerCfg(WideActor, FurnitureRldt2RunnerCfg):
    """RLDT of a wide policy."""


@configclass
class FurnitureVisionPretrainCfg(VisionDemos, FurniturePretrainCfg):
    """Behaviour cloning from pixels."""


@configclass
class FurnitureVisionScoreFlowRunnerCfg(VisionObservations, FurnitureScoreFlowRunnerCfg):
    """ScoRe-Flow from pixels."""


@configclass
class FurnitureVisionReinFlowRunnerCfg(VisionObservations, FurnitureReinFlowRunnerCfg):
    """ReinFlow from pixels."""


@configclass
class PrivilegedVisionObservations:
    """Comes before a learner's configuration: the critic sees what that of the state variant sees."""

    obs_groups: dict[str, list[str]] = {"actor": ["policy", *CAMERAS], "critic": ["state", "privileged"]}


@configclass
class FurnitureVisionRldt1RunnerCfg(PrivilegedVisionObservations, FurnitureRldt1RunnerCfg):
    """RLDT from pixels for furniture with one joint."""


@configclass
class FurnitureVisionRldt2RunnerCfg(PrivilegedVisionObservations, FurnitureRldt2RunnerCfg):
    """RLDT from pixels for furniture with two joints."""


@configclass
class FurnitureWideVisionPretrainCfg(VisionDemos, FurnitureWidePretrainCfg):
    """Behaviour cloning of a wide policy from pixels."""


@configclass
class FurnitureWideVisionScoreFlowRunnerCfg(VisionObservations, FurnitureWideScoreFlowRunnerCfg):
    """ScoRe-Flow of a wide policy from pixels."""


@configclass
class FurnitureWideVisionReinFlowRunnerCfg(VisionObservations, FurnitureWideReinFlowRunnerCfg):
    """ReinFlow of a wide policy from pixels."""


@configclass
class FurnitureWideVisionRldt2RunnerCfg(PrivilegedVisionObservations, FurnitureWideRldt2RunnerCfg):
    """RLDT of a wide policy from pixels."""
