# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What the configurations of all learners share."""

from __future__ import annotations

import torch

from isaaclab.utils import configclass
from isaaclab_rl.rsl_rl import RslRlOnPolicyRunnerCfg

from .flow_policy import FlowPolicyCfg


@configclass
class FlowAlgorithmBaseCfg:
    """Settings of :class:`flow_rl.algorithms.base.FlowAlgorithm`; learners choose other defaults."""

    learning_rate: float = 1.0e-4
    """Learning rate of the policy, and of what it explores with, at the start."""

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
    """Weight of longer estimates, in generalised advantages or TD(lambda), in [0, 1]."""

    time_limit_is_terminal: bool = False
    """Whether a time limit counts as a failure; otherwise the value of the last observation follows it."""

    from_scratch: bool = False
    """Whether learning may begin with a random policy instead of a pretrained one."""


@configclass
class FlowRunnerBaseCfg(RslRlOnPolicyRunnerCfg):
    """Fine-tuning with the stock runner. The pretrained policy is given as `--checkpoint`."""

    device: str = "cuda:0" if torch.cuda.is_available() else "cpu"
    """Where learning happens."""

    num_steps_per_env: int = 30
    """Decisions (chunks) per environment and iteration."""

    init_at_random_ep_len: bool = False
    """Whether the first episodes begin at random ages. It would report some of them as failed by their time limit."""

    save_interval: int = 20
    """Iterations between checkpoints."""

    wandb_project: str = "flow_rl"
    """Project of `--logger wandb`."""

    obs_groups: dict[str, list[str]] = {"actor": ["policy"], "critic": ["policy"]}
    """Observation groups that actor and critic see; the critic's may be privileged."""

    actor: FlowPolicyCfg = FlowPolicyCfg()
    """The policy; its networks must be those of the pretrained one."""
