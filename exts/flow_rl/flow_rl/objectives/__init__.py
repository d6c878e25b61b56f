# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Objectives: functions from tensors to losses and targets."""

from .advantages import explained_variance, generalized_advantages, lambda_returns
from .calibration import calibration_error
from .flow_matching import flow_matching_error, flow_matching_loss
from .ppo import PpoSurrogate, ppo_surrogate, value_loss

__all__ = [
    "calibration_error",
    "PpoSurrogate",
    "explained_variance",
    "flow_matching_error",
    "flow_matching_loss",
    "generalized_advantages",
    "lambda_returns",
    "ppo_surrogate",
    "value_loss",
]
