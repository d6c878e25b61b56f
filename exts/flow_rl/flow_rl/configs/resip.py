# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Configuration of ResiP."""

from __future__ import annotations

from isaaclab.utils import configclass
from isaaclab_rl.rsl_rl import RslRlMLPModelCfg

from flow_rl.algorithms.resip_settings import ResipSettings

from .base import FlowRunnerBaseCfg
from .flow_policy import FlowPolicyCfg, HeadCfg


@configclass
class ResipAlgorithmCfg(ResipSettings):
    """The learner and its settings."""

    class_name: str = "flow_rl.algorithms.resip:Resip"
    """Implementation."""


@configclass
class ResipRunnerCfg(FlowRunnerBaseCfg):
    """Fine-tuning by ResiP with the stock runner. The frozen policy is given as `--checkpoint`."""

    max_iterations: int = 100
    """Iterations; also the length of all schedules."""

    experiment_name: str = "resip"
    """Folder of the runs under logs/rsl_rl."""

    actor: FlowPolicyCfg = FlowPolicyCfg(head=HeadCfg(kind="residual"))
    """The policy; its networks must be those of the pretrained one, but for the head, which begins with nothing."""

    critic: RslRlMLPModelCfg = RslRlMLPModelCfg(hidden_dims=[256, 256, 256], activation="mish", obs_normalization=True)
    """State values."""

    algorithm: ResipAlgorithmCfg = ResipAlgorithmCfg()
    """The learner."""
