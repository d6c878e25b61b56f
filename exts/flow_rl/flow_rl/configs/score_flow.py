# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Configuration of ScoRe-Flow."""

from __future__ import annotations

from typing import Literal

import torch

from isaaclab.utils import configclass
from isaaclab_rl.rsl_rl import RslRlMLPModelCfg, RslRlOnPolicyRunnerCfg

from .flow_policy import FlowPolicyCfg


@configclass
class ScoreFlowAlgorithmCfg:
    """Settings of :class:`flow_rl.algorithms.score_flow.ScoreFlow`; numbers follow the paper's code unless noted.

    Its runs take 10 to 80 million control steps; the rates here are larger, for about half a million.
    """

    class_name: str = "flow_rl.algorithms.score_flow:ScoreFlow"
    """Implementation."""

    num_learning_epochs: int = 5
    """Passes over each rollout."""

    num_mini_batches: int = 4
    """Mini-batches per pass."""

    learning_rate: float = 1.0e-4
    """Learning rate of policy, score coefficient and noise at the start."""

    final_learning_rate: float = 5.0e-5
    """The same at the last iteration; a half cosine leads there."""

    critic_learning_rate: float = 6.5e-4
    """Learning rate of the critic at the start."""

    final_critic_learning_rate: float = 3.0e-4
    """The same at the last iteration."""

    weight_decay: float = 0.0
    """Decoupled weight decay of AdamW."""

    max_grad_norm: float | None = 1.0
    """Bound on the gradient norm, for the actor's and the critic's parameters each; None for no bound."""

    critic_warmup: int = 0
    """Iterations in which only the critic learns."""

    gamma: float = 0.99
    """Discount per decision, i.e. once per chunk, in [0, 1]."""

    lam: float = 0.95
    """Weight of longer estimates in generalised advantages, in [0, 1]."""

    scale_rewards: bool = True
    """Whether rewards are divided by the running deviation of the discounted return."""

    time_limit_is_terminal: bool = False
    """Whether a time limit counts as a failure; otherwise the value of the last observation follows it."""

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

    from_scratch: bool = False
    """Whether learning may begin with a random policy instead of a pretrained one."""


@configclass
class ScoreFlowRunnerCfg(RslRlOnPolicyRunnerCfg):
    """Fine-tuning by ScoRe-Flow with the stock runner. The pretrained policy is given as `--checkpoint`."""

    device: str = "cuda:0" if torch.cuda.is_available() else "cpu"
    """Where learning happens."""

    num_steps_per_env: int = 30
    """Decisions (chunks) per environment and iteration."""

    max_iterations: int = 100
    """Iterations; also the length of all schedules."""

    init_at_random_ep_len: bool = False
    """Whether the first episodes begin at random ages. It would report some of them as failed by their time limit."""

    save_interval: int = 20
    """Iterations between checkpoints."""

    experiment_name: str = "score_flow"
    """Folder of the runs under logs/rsl_rl."""

    wandb_project: str = "flow_rl"
    """Project of `--logger wandb`."""

    obs_groups: dict[str, list[str]] = {"actor": ["policy"], "critic": ["policy"]}
    """Observation groups that actor and critic see."""

    actor: FlowPolicyCfg = FlowPolicyCfg()
    """The policy; its networks must be those of the pretrained one."""

    critic: RslRlMLPModelCfg = RslRlMLPModelCfg(hidden_dims=[256, 256, 256], activation="mish", obs_normalization=True)
    """State values."""

    algorithm: ScoreFlowAlgorithmCfg = ScoreFlowAlgorithmCfg()
    """The learner."""
