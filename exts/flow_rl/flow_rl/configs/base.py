# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What the configurations of all learners share."""

from __future__ import annotations

import torch

from isaaclab.utils import configclass
from isaaclab_rl.rsl_rl import RslRlOnPolicyRunnerCfg

from .flow_policy import FlowPolicyCfg


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

    resume: bool = False
    """Whether to begin from the newest intact checkpoint of the run's own folder, if there is one: `--resume auto`.

    Iterations are then those of the whole run, and its curves go on."""

    grace: float = 20.0
    """Seconds that an iteration may still take when SIGTERM or SIGUSR1 asks for an end, before it is stopped.

    SLURM, Kubernetes and torchrun wait for 30 s unless told otherwise, in which the checkpoint must be written, too."""

    load_checkpoint: str = r"model_\d+\.pt"
    """Checkpoints that are meant where only a run is named: the newest, not `model_best.pt`."""

    eval_interval: int = 0
    """Iterations between evaluations, with one at the beginning and one at the end; 0 for none.

    They run without exploration in the environments of training, all of which are reset before and after. Results are
    logged, and kept in `evaluations.jsonl` of the run beside `model_best.pt`.
    """

    eval_episodes: int = 256
    """Least number of episodes of an evaluation, the same number in each environment."""

    eval_seed: int = 10000
    """Seed of every evaluation's episodes and noise."""

    rollback: bool = False
    """Whether learning goes back to the best policy, with steps of half the size, when evaluations fall below it.

    That is when the 95 % interval of the difference to the best evaluation lies below zero."""

    rollback_patience: int = 2
    """Evaluations in a row that have to lie below for that."""

    wandb_project: str = "flow_rl"
    """Project of `--logger wandb`."""

    obs_groups: dict[str, list[str]] = {"actor": ["policy"], "critic": ["policy"]}
    """Observation groups that actor and critic see; the critic's may be privileged."""

    actor: FlowPolicyCfg = FlowPolicyCfg()
    """The policy; its networks must be those of the pretrained one."""
