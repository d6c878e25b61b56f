# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Configuration of PPO on a cloned Gaussian policy."""

from __future__ import annotations

from isaaclab.utils import configclass
from isaaclab_rl.rsl_rl import RslRlMLPModelCfg

from flow_rl.algorithms.bc_gaussian_settings import BcGaussianSettings

from .base import FlowRunnerBaseCfg
from .flow_policy import FlowPolicyCfg


@configclass
class BcGaussianAlgorithmCfg(BcGaussianSettings):
    """The learner and its settings."""

    class_name: str = "flow_rl.algorithms.bc_gaussian:BcGaussian"
    """Implementation."""


@configclass
class BcGaussianRunnerCfg(FlowRunnerBaseCfg):
    """Fine-tuning by PPO of a clone whose chunks are Gaussian, with the stock runner.

    The clone is made by `flow-rl pretrain` with ``agent.actor.num_flow_steps=1 agent.actor.initial_noise=zero`` and,
    where the task does not say what is predicted, ``agent.actor.prediction=x``.
    """

    max_iterations: int = 100
    """Iterations; also the length of all schedules."""

    experiment_name: str = "bc_gaussian"
    """Folder of the runs under logs/rsl_rl."""

    actor: FlowPolicyCfg = FlowPolicyCfg(num_flow_steps=1, initial_noise="zero", prediction="x")
    """The mean of chunks: one step from zero noise."""

    critic: RslRlMLPModelCfg = RslRlMLPModelCfg(hidden_dims=[256, 256, 256], activation="mish", obs_normalization=True)
    """State values."""

    algorithm: BcGaussianAlgorithmCfg = BcGaussianAlgorithmCfg()
    """The learner."""
