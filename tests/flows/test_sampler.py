# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Euler's method converges with order one, and is exact on straight lines."""

import math

import pytest
import torch

from flow_rl.flows import euler_states


def test_straight_lines_need_one_step():
    """A constant velocity leads from noise to target whatever the number of steps."""
    noise, target = torch.randn(4, 3), torch.randn(4, 3)
    for steps in (1, 4):
        torch.testing.assert_close(euler_states(lambda x, t: target - noise, noise, steps)[-1], target)


def test_order_of_convergence():
    """Halving the step halves the error of x' = x cos(3 t)."""
    noise = torch.ones(1, 1, dtype=torch.float64)
    exact = math.exp(math.sin(3.0) / 3.0)
    ends = [euler_states(lambda x, t: x * torch.cos(3 * t), noise, n)[-1] for n in (64, 128, 256)]
    errors = [abs(float(end) - exact) for end in ends]
    orders = [math.log2(a / b) for a, b in zip(errors[:-1], errors[1:], strict=True)]
    assert orders == pytest.approx([1.0, 1.0], abs=0.05)


def test_clip_bounds_every_step():
    """A bound applies to the state after each step, not only to the last."""
    seen = []
    euler_states(lambda x, t: seen.append(x) or torch.full_like(x, 9.0), torch.zeros(1, 2), 3, clip=1.0)
    assert all(state.abs().max() <= 1.0 for state in seen)
