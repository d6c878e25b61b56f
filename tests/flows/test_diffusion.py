# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Denoising: the schedule, DDPM's posterior as a case of DDIM, and the straight path that it follows without noise."""

import pytest
import torch

from flow_rl.flows import cosine_levels, ddim_transition, interpolate, level_time


@pytest.mark.parametrize("num", [20, 100])
def test_levels_keep_the_variance_and_end_in_noise(num):
    """From the chunk itself to almost pure noise; no level adds more than the bound."""
    levels = cosine_levels(num)
    assert levels.shape == (num + 1, 2) and levels[0].tolist() == [1.0, 0.0]
    torch.testing.assert_close(levels.square().sum(dim=-1), torch.ones(num + 1))
    ratio = (levels[1:, 0] / levels[:-1, 0]).square()
    assert (ratio < 1).all() and ratio.min() == pytest.approx(0.001, rel=1e-3) and levels[-1, 0] < 0.01


def test_with_eta_one_it_is_the_posterior_of_ddpm():
    """On neighbouring levels: mean and variance of q(a^{k-1} | a^k, a^0), Ho et al., equations 6 and 7."""
    levels = cosine_levels(100).double()
    power = levels[:, :1].square()
    now, before = power[1:], power[:-1]
    alpha = now / before
    x, end = torch.randn(2, 100, 3, dtype=torch.float64)
    mean = before.sqrt() * (1 - alpha) / (1 - now) * end + alpha.sqrt() * (1 - before) / (1 - now) * x
    variance = (1 - alpha) * (1 - before) / (1 - now)
    found, std = ddim_transition(x, end, levels[1:], levels[:-1], eta=1.0)
    # the scales were rounded to single precision
    torch.testing.assert_close(found, mean, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(std.square(), variance, atol=1e-6, rtol=1e-3)
    assert std[0] == 0.0 and torch.equal(found[0], end[0]), "the last step leads to the chunk"


def test_marginals_are_kept_for_every_eta():
    """Of a chunk that is known, a^k ~ N(s_k a^0, n_k^2) leads to a^{k'} of the same law, in closed form."""
    levels = cosine_levels(100).double()
    level, following, end = levels[60:61], levels[30:31], torch.full((1, 1), 0.7, dtype=torch.float64)
    for eta in (0.0, 0.4, 1.0):
        centre, std = ddim_transition(level[:, :1] * end, end, level, following, eta)
        shifted, _ = ddim_transition(level[:, :1] * end + level[:, 1:], end, level, following, eta)
        torch.testing.assert_close(centre, following[:, :1] * end)
        torch.testing.assert_close((shifted - centre).square() + std.square(), following[:, 1:].square())


def test_without_noise_it_is_a_step_along_the_straight_path():
    levels = cosine_levels(100)
    level, following = levels[60], levels[20]
    noise, end = torch.randn(2, 5, 3)
    t, later = level_time(level), level_time(following)
    straight = interpolate(noise, end, t)
    x, _ = ddim_transition(straight * level.sum(), end, level, following, eta=0.0)
    expected = straight + (later - t) * (end - noise)
    torch.testing.assert_close(x / following.sum(), expected)
    torch.testing.assert_close(expected, interpolate(noise, end, later))
