# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Configuration of pretraining by flow matching, or by denoising."""

from __future__ import annotations

from typing import Literal

import torch

from isaaclab.utils import configclass

from .flow_policy import FlowPolicyCfg


@configclass
class PretrainCfg:
    """Settings of behaviour cloning; flow-rl pretrain takes them as `agent.<field>=<value>`."""

    actor: FlowPolicyCfg = FlowPolicyCfg()
    """The policy."""

    obs_keys: list[str] = ["policy"]
    """Observations of the demonstrations: vectors are concatenated, images are kept by their names."""

    normalization: Literal["min_max", "quantile"] = "min_max"
    """Whether all values of the demonstrations set the scales of observations and actions, or, so that outliers do
    not, each coordinate's from the 1st to the 99th percentile; beyond these no action is learnt or played."""

    seed: int = 0
    """Seed of initial weights, split and batches."""

    device: str = "cuda:0" if torch.cuda.is_available() else "cpu"
    """Where learning happens."""

    num_steps: int = 6000
    """Optimiser steps."""

    batch_size: int = 256
    """Chunks per step."""

    learning_rate: float = 1.0e-3
    """Learning rate at the start."""

    final_learning_rate: float = 1.0e-4
    """The same at the last step; a half cosine leads there."""

    warmup_steps: int = 100
    """Steps over which the learning rate rises from zero."""

    weight_decay: float = 1.0e-6
    """Decoupled weight decay of AdamW."""

    max_grad_norm: float | None = 10.0
    """Bound on the gradient norm; None for no bound."""

    time_law: Literal["uniform", "logit_normal", "beta"] = "uniform"
    """Law of the flow time; a denoising policy knows only the uniform one, of its levels of noise."""

    ema_decay: float = 0.995
    """Share of the past that the averaged weights keep per step; the average is what is saved."""

    validation_fraction: float = 0.1
    """Share of the episodes held out to measure the loss; 0 for none."""

    log_interval: int = 100
    """Steps between entries of the log, each with the held-out loss."""

    save_interval: int = 1000
    """Steps between checkpoints of an unfinished run, `<output>-unfinished.pt`, which goes when the run ends."""

    logger: Literal["tensorboard", "wandb"] = "tensorboard"
    """Where curves go; "wandb" keeps TensorBoard's files too."""

    wandb_project: str = "flow_rl"
    """Project of the wandb logger."""

    experiment_name: str = "pretrain"
    """Folder of the runs under logs/rsl_rl."""

    run_name: str = ""
    """Suffix of the run's folder."""
