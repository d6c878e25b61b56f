# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Configuration of the flow policy."""

from __future__ import annotations

from typing import Literal

from isaaclab.utils import configclass
from isaaclab_rl.rsl_rl import RslRlMLPModelCfg


@configclass
class CameraEncoderCfg:
    """Settings of :class:`flow_rl.nn.CameraEncoder`; each kind reads those that it knows."""

    kind: Literal["vit", "cnn"] = "vit"
    """Small vision transformer, or residual convolutional network."""

    output_dim: int = 128
    """Features of each camera."""

    shift: int = 4
    """Pixels by which pretraining shifts images at random; 0 for none."""

    patch: int = 8
    """Edge of the transformer's patches in pixels; it must divide the images' size."""

    width: int = 128
    """Width of the transformer."""

    depth: int = 1
    """Blocks of the transformer."""

    num_heads: int = 4
    """Heads of the transformer's attention."""

    channels: list[int] = [32, 64, 64]
    """Channels of the convolutional stages, each of which halves the image."""


@configclass
class FlowPolicyCfg(RslRlMLPModelCfg):
    """Settings of :class:`flow_rl.models.FlowPolicy`; pretraining and fine-tuning share them."""

    class_name: str = "flow_rl.models.flow_policy:FlowPolicy"
    """Implementation."""

    horizon: int = 4
    """Actions H in a chunk; the task's action term must execute as many."""

    num_flow_steps: int = 4
    """Integration steps K from noise to action, at least 1."""

    hidden_dims: list[int] = [512, 512, 512]
    """Widths of the velocity net: an input layer and one residual layer per further width."""

    activation: str = "relu"
    """Activation of the velocity net, as named by rsl_rl."""

    time_embedding_dim: int = 16
    """Number of features of the flow time, even."""

    prediction: Literal["v", "x", "residual"] = "v"
    """Whether the net predicts the velocity (v), the action at the end of the flow (x), or what the velocity of
    independent normal actions lacks (residual)."""

    initial_noise: Literal["random", "zero"] = "random"
    """Where the flow starts when the policy is played: a standard normal sample, or zero."""

    obs_scaling: Literal["range", "whitening"] = "range"
    """Whether the demonstrations' range normalises observations, or their covariance, so that small differences between
    observations weigh as much as large ones."""

    intermediate_clip: float | None = 1.0
    """Bound on each coordinate after an integration step, in playing and in fine-tuning; None for no bound."""

    obs_clip: float | None = 5.0
    """Bound on normalised observations, in half ranges of the demonstrations, or in standard deviations when they are
    whitened; None for no bound."""

    score_clip: float = 10.0
    """Bound on each coordinate of the score, where a learner adds one to the drift."""

    encoder: CameraEncoderCfg = CameraEncoderCfg()
    """How images are encoded, where the actor's observations have some."""
