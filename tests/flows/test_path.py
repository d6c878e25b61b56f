# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The linear path: conversions undo each other and the score is the gradient of a log-density."""

import pytest
import torch

from flow_rl.flows import (
    interpolate,
    noise_to_velocity,
    score_to_velocity,
    target_to_velocity,
    velocity_to_noise,
    velocity_to_score,
    velocity_to_target,
)

T = torch.tensor([[0.05], [0.25], [0.5], [0.75], [0.95]], dtype=torch.float64)


@pytest.fixture
def state() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)


@pytest.mark.parametrize(
    ("there", "back"),
    [
        (velocity_to_target, target_to_velocity),
        (velocity_to_noise, noise_to_velocity),
        (velocity_to_score, score_to_velocity),
    ],
)
def test_conversions_are_inverse(state, there, back):
    """A velocity survives the way to target, noise or score and back."""
    velocity, x = state
    torch.testing.assert_close(back(there(velocity, x, T), x, T), velocity)


def test_the_line_leads_back_to_both_ends(state):
    """The true velocity of a line points from its noise to its action."""
    noise, target = state
    x, velocity = interpolate(noise, target, T), target - noise
    torch.testing.assert_close(velocity_to_target(velocity, x, T), target)
    torch.testing.assert_close(velocity_to_noise(velocity, x, T), noise)


@pytest.mark.parametrize("t", [0.0, 0.25, 0.5, 0.75])
def test_score_of_a_gaussian_agrees_with_autograd(t):
    """With actions N(m, s^2) the marginal is N(t m, (1 - t)^2 + t^2 s^2) and E[v | x] is known in closed form."""
    mean, std = 0.7, 0.4
    t = torch.tensor([[t]], dtype=torch.float64)
    x = torch.linspace(-2, 2, 9, dtype=torch.float64).unsqueeze(-1).requires_grad_()
    variance = (1 - t) ** 2 + t**2 * std**2
    gain = (x - t * mean) / variance
    velocity = (mean + t * std**2 * gain) - (1 - t) * gain  # E[x_1 | x] - E[x_0 | x]
    marginal = torch.distributions.Normal(t * mean, variance.sqrt())
    (expected,) = torch.autograd.grad(marginal.log_prob(x).sum(), x)
    torch.testing.assert_close(velocity_to_score(velocity, x, t).detach(), expected, rtol=1e-4, atol=1e-6)
