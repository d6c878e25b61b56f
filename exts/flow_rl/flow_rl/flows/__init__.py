# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Flows: path, times, sampler, stochastic chain, denoising. Flow time runs from 0 (noise) to 1 (action) everywhere."""

from .chain import ChainBounds, ChainLikelihood, FlowChain, clamp_returning, sample_chain, score_chain
from .diffusion import cosine_levels, ddim_transition, level_time
from .memoryless import memoryless_variance, sample_memoryless
from .path import (
    gaussian_velocity,
    interpolate,
    noise_to_velocity,
    score_drift,
    score_to_velocity,
    target_to_velocity,
    velocity_to_noise,
    velocity_to_score,
    velocity_to_target,
)
from .schedules import cosine, hold_then_cosine
from .times import TimeLaw, sample_times, time_grid

__all__ = [
    "ChainBounds",
    "ChainLikelihood",
    "FlowChain",
    "TimeLaw",
    "clamp_returning",
    "cosine",
    "cosine_levels",
    "ddim_transition",
    "gaussian_velocity",
    "hold_then_cosine",
    "interpolate",
    "level_time",
    "memoryless_variance",
    "noise_to_velocity",
    "sample_chain",
    "sample_memoryless",
    "sample_times",
    "score_chain",
    "score_drift",
    "score_to_velocity",
    "target_to_velocity",
    "time_grid",
    "velocity_to_noise",
    "velocity_to_score",
    "velocity_to_target",
]
