# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The policy's sampler: Euler's method converges with order one and is exact on straight lines."""

import math

import pytest
import torch
from torch import nn

from flow_rl.models.sampler import FlowSampler


class Field(nn.Module):
    """A velocity by a function of state and time."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x, t, latent):
        return self.function(x, t)


def make(function, num_steps, clip=None) -> FlowSampler:
    return FlowSampler(Field(function), num_steps, clip, score_clip=10.0).double()


LATENT = torch.zeros(4, 0)


def test_straight_lines_need_one_step():
    """A constant velocity leads from noise to target whatever the number of steps."""
    noise, target = torch.randn(2, 4, 3, dtype=torch.float64)
    for steps in (1, 4):
        states = make(lambda x, t: target - noise, 4).states(LATENT, noise, steps)
        assert states.shape == (steps + 1, 4, 3)
        torch.testing.assert_close(states[-1], target)


def test_order_of_convergence():
    """Halving the step halves the error of x' = x cos(3 t)."""
    noise = torch.ones(1, 1, dtype=torch.float64)
    exact = math.exp(math.sin(3.0) / 3.0)
    ends = [make(lambda x, t: x * torch.cos(3 * t), n).states(LATENT, noise)[-1] for n in (64, 128, 256)]
    errors = [abs(float(end) - exact) for end in ends]
    orders = [math.log2(a / b) for a, b in zip(errors[:-1], errors[1:], strict=True)]
    assert orders == pytest.approx([1.0, 1.0], abs=0.05)


def test_clip_bounds_every_step():
    """A bound applies to the state after each step, not only to the last."""
    seen = []
    sampler = make(lambda x, t: seen.append(x) or torch.full_like(x, 9.0), 3, clip=1.0)
    sampler.states(LATENT, torch.zeros(1, 2))
    assert len(seen) == 3 and all(state.abs().max() <= 1.0 for state in seen)


def test_what_is_exported_ends_where_training_does():
    """The end of the states, in the action box, is what the exported forward computes."""
    sampler, noise = make(lambda x, t: 2 * x - t, 4), torch.randn(5, 3, dtype=torch.float64)
    sampler.score.set([0.4, 0.3, 0.2, 0.1])
    torch.testing.assert_close(sampler(LATENT, noise), sampler.states(LATENT, noise)[-1].clamp(-1, 1))
