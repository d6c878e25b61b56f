# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Calibration tells what a critic promises wrongly, not what returns scatter."""

import pytest
import torch

from flow_rl.objectives import calibration_error


def test_noise_of_returns_is_no_error():
    torch.manual_seed(0)
    predicted = torch.rand(20000)
    realised = torch.bernoulli(predicted)
    assert calibration_error(predicted, realised) < 0.01
    assert (predicted - realised).abs().mean() > 0.3


def test_a_promise_that_is_not_kept():
    """Returns lie 0.2 below what is predicted in the upper half, and as much above in the lower one."""
    predicted = torch.linspace(0, 1, 1000)
    realised = predicted + torch.where(predicted < 0.5, 0.2, -0.2)
    assert calibration_error(predicted, realised) == pytest.approx(0.2, rel=1e-3)
    assert calibration_error(predicted, realised, num_bins=1) == pytest.approx(0.0, abs=1e-3), "errors of a bin add up"


def test_weights_leave_places_out():
    predicted, realised = torch.rand(100), torch.rand(100)
    weight = torch.ones(200)
    weight[100:] = 0.0
    padded = (torch.cat([each, torch.rand(100)]) for each in (predicted, realised))
    assert calibration_error(*padded, weight) == pytest.approx(calibration_error(predicted, realised).item(), abs=1e-5)
    assert calibration_error(predicted, realised, torch.zeros(100)) == 0.0
