# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Configuration of ScoRe-Flow."""

from __future__ import annotations

from typing import Literal

from isaaclab.utils import configclass
from isaaclab_rl.rsl_rl import RslRlMLPModelCfg

from .base import FlowAlgorithmBaseCfg, FlowRunnerBaseCfg


@configclass
class ScoreFlowAlgorithmCfg(FlowAlgorithmBaseCfg):
    """Settings of :class:`flow_rl.algorithms.score_flow.ScoreFlow`; numbers follow the paper's code unless noted.

    Its runs take 10 to 80 million control steps; the rates here are larger, for about half a million.
    """

    class_name: str = "flow_rl.algorithms.score_flow:ScoreFlow"
    """Implementation."""

    num_learning_epochs: int = 5
    """Passes over each rollout."""

    num_mini_batches: int = 4
    """Mini-batches per pass."""

    scale_rewards: bool = True
    """Whether rewards are divided by the running deviation of the discounted return."""

    clip_param: float = 0.01
    """Half-width of the trust region of the likelihood ratio; log-likelihoods are averages over the chain."""

    entropy_coef: float = 0.03
    """Weight of the chain's entropy, itself an average over the chain."""

    target_kl: float | None = 1.0
    """Divergence from the old policy after which no further pass begins; None for never."""

    score_coef: float = 1.0
    """Scale Gamma of the score's coefficient alpha(t) = min((1 - t) g(t) Gamma, 2 Gamma); 0 gives ReinFlow."""

    score_coef_kind: Literal["mlp", "linear", "fixed"] = "mlp"
    """Shape of g(t): a small network that starts at 0.127, a softplus of a line, or 1."""

    learn_score_coef: bool = True
    """Whether g learns, as the paper says; its released locomotion runs left it as it was."""

    std_min: float = 0.08
    """Least exploration noise, in normalised action units."""

    std_max: float = 0.16
    """Greatest exploration noise, in normalised action units."""

    std_schedule: Literal["learn", "learn_decay"] = "learn_decay"
    """Whether the greatest noise stays ("learn") or is held and then lowered ("learn_decay")."""

    std_hold: float = 0.35
    """Share of the iterations for which the greatest noise is held."""

    std_decay: float = 0.7
    """Share of the range std_max - std_min that remains at the last iteration."""

    noise_hidden_dims: list[int] = [64, 64]
    """Widths of the noise predictor."""

    noise_clip: float = 3.0
    """Bound on a sample's distance from its mean, in standard deviations."""

    bc_coef: float = 0.0
    """Weight of the pull towards the policy that fine-tuning began with; 0 leaves it out."""


@configclass
class ScoreFlowRunnerCfg(FlowRunnerBaseCfg):
    """Fine-tuning by ScoRe-Flow with the stock runner. The pretrained policy is given as `--checkpoint`."""

    max_iterations: int = 100
    """Iterations; also the length of all schedules."""

    experiment_name: str = "score_flow"
    """Folder of the runs under logs/rsl_rl."""

    critic: RslRlMLPModelCfg = RslRlMLPModelCfg(hidden_dims=[256, 256, 256], activation="mish", obs_normalization=True)
    """State values."""

    algorithm: ScoreFlowAlgorithmCfg = ScoreFlowAlgorithmCfg()
    """The learner."""
