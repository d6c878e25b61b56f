# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Objectives: functions from tensors to losses and targets."""

from .adjoint_matching import adjoint_matching_loss, lean_adjoint, path_kl
from .advantages import explained_variance, generalized_advantages, lambda_returns
from .calibration import calibration_error
from .flow_matching import flow_matching_error, flow_matching_loss
from .ppo import PpoSurrogate, ppo_surrogate, value_loss

__all__ = [
    "PpoSurrogate",
    "adjoint_matching_loss",
    "calibration_error",
    "explained_variance",
    "flow_matching_error",
    "flow_matching_loss",
    "generalized_advantages",
    "lambda_returns",
    "lean_adjoint",
    "path_kl",
    "ppo_surrogate",
    "value_loss",
]
