# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Configuration of PPO from nothing."""

from __future__ import annotations

from isaaclab.utils import configclass

from .bc_gaussian import BcGaussianAlgorithmCfg, BcGaussianRunnerCfg


@configclass
class PpoAlgorithmCfg(BcGaussianAlgorithmCfg):
    """The learner and its settings; likelihoods are averages over a chunk of D coordinates, in rsl_rl sums."""

    class_name: str = "flow_rl.algorithms.ppo:Ppo"
    """Implementation."""

    from_scratch: bool = True
    """Whether learning may begin with a random policy instead of a pretrained one."""

    critic_warmup: int = 1
    """Iterations in which only the critic learns; after the first one observations have their scales."""

    learning_rate: float = 1.0e-3
    """Learning rate at the start, that of Isaac Lab's tasks."""

    final_learning_rate: float = 3.0e-4
    """The same at the last iteration; rsl_rl adapts it to the divergence instead."""

    clip_param: float = 0.05
    """Half-width of the trust region of the ratio; 0.2 in rsl_rl, of sums."""

    entropy_coef: float = 0.002
    """Weight of the entropy; 0.005 in Isaac Lab's tasks, of sums."""

    std: float = 0.5
    """Deviation of each coordinate at the start; 1 in Isaac Lab's tasks, whose chunks are single actions."""

    std_max: float = 1.0
    """Greatest deviation."""


@configclass
class PpoRunnerCfg(BcGaussianRunnerCfg):
    """Fine-tuning by PPO of a policy that begins with nothing, with the stock runner and without `--checkpoint`."""

    experiment_name: str = "ppo"
    """Folder of the runs under logs/rsl_rl."""

    algorithm: PpoAlgorithmCfg = PpoAlgorithmCfg()
    """The learner."""
