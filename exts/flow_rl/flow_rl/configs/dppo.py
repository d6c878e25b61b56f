# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Configuration of DPPO."""

from __future__ import annotations

from isaaclab.utils import configclass
from isaaclab_rl.rsl_rl import RslRlMLPModelCfg

from flow_rl.algorithms.dppo_settings import DppoSettings

from .base import FlowRunnerBaseCfg
from .flow_policy import FlowPolicyCfg, SamplerCfg


@configclass
class DppoAlgorithmCfg(DppoSettings):
    """The learner and its settings."""

    class_name: str = "flow_rl.algorithms.dppo:Dppo"
    """Implementation."""


@configclass
class DppoRunnerCfg(FlowRunnerBaseCfg):
    """Fine-tuning by DPPO (arXiv 2409.00588) with the stock runner. The policy, given as `--checkpoint`, denoises.

    `flow-rl pretrain` makes one with `agent.actor.sampler.kind=denoising`.
    """

    max_iterations: int = 100
    """Iterations; also the length of all schedules."""

    experiment_name: str = "dppo"
    """Folder of the runs under logs/rsl_rl."""

    actor: FlowPolicyCfg = FlowPolicyCfg(sampler=SamplerCfg(kind="denoising"))
    """The policy; its networks must be those of the pretrained one."""

    critic: RslRlMLPModelCfg = RslRlMLPModelCfg(hidden_dims=[256, 256, 256], activation="mish", obs_normalization=True)
    """State values."""

    algorithm: DppoAlgorithmCfg = DppoAlgorithmCfg()
    """The learner."""
