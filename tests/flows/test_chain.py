# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The stochastic chain: likelihood, bounds and agreement of sampling with scoring."""

import pytest
import torch
from torch.distributions import Normal

from flow_rl.flows import ChainBounds, clamp_returning, sample_chain, score_chain, time_grid

B, K, D = 16, 4, 6
FREE = ChainBounds(mean=float("inf"), deviations=float("inf"), action=float("inf"))


def drift(x, t):
    return torch.sin(2 * x) + t


def std(x, t):
    return 0.1 + 0.05 * t.expand_as(x)


@pytest.fixture
def chain():
    torch.manual_seed(0)
    return sample_chain(drift, std, torch.randn(B, D), K)


def test_log_prob_matches_torch_distributions(chain):
    """Those of the start and of each transition are means over the D Gaussian log-densities of its coordinates."""
    states = chain.states
    terms = [Normal(0.0, 1.0).log_prob(states[:, 0])]
    for i in range(K):
        t = torch.full((B, 1), i / K)
        mean = (states[:, i] + drift(states[:, i], t) / K).clamp(-1, 1)
        terms.append(Normal(mean, std(mean, t)).log_prob(states[:, i + 1]))
    expected = torch.stack(terms, dim=1).mean(dim=2)
    assert expected.shape == (B, K + 1)
    torch.testing.assert_close(chain.log_prob, expected)
    torch.testing.assert_close(score_chain(drift, std, states).log_prob, expected)


def test_entropy_matches_torch_distributions(chain):
    """The start and each transition have their own."""
    stds = std(torch.zeros(K, D), time_grid(K))
    entropies = torch.cat([Normal(0.0, torch.ones(1, D)).entropy(), Normal(0.0, stds).entropy()])
    torch.testing.assert_close(score_chain(drift, std, chain.states).entropy, entropies.mean(dim=1).expand(B, K + 1))


def test_sampling_and_scoring_share_the_time_grid():
    """Both ask for the times i / K; another grid would make the first ratio differ from one."""
    seen = []
    sample_chain(lambda x, t: seen.append(t[0].item()) or x, std, torch.randn(B, D), K)
    assert seen == time_grid(K).squeeze(-1).tolist() == [0.0, 0.25, 0.5, 0.75]


def test_bounds_hold():
    """Samples stay within three deviations of the clipped mean and the last one in the action box."""
    torch.manual_seed(0)
    chain = sample_chain(lambda x, t: 9 * x, lambda x, t: torch.full_like(x, 0.2), torch.randn(4096, D), K)
    mean = (chain.states[:, :-1] * (1 + 9 / K)).clamp(-1, 1)
    assert (chain.states[:, 1:] - mean).abs().max() <= 3 * 0.2 + 1e-6
    assert chain.action.abs().max() == 1.0
    assert chain.states[:, 1:-1].abs().max() > 1.0


def test_tiny_noise_follows_the_deterministic_flow():
    """As the noise vanishes the chain becomes Euler's method."""
    x = noise = torch.randn(B, D, dtype=torch.float64)
    chain = sample_chain(drift, lambda x, t: torch.full_like(x, 1e-9), noise, K, FREE)
    for i in range(K):
        x = x + drift(x, torch.full((B, 1), i / K, dtype=torch.float64)) / K
    torch.testing.assert_close(chain.action, x)


@pytest.mark.parametrize(("x", "slope", "expected"), [(0.5, 1, 1), (2, 1, 1), (2, -1, 0), (-2, -1, -1), (-2, 1, 0)])
def test_gradients_beyond_a_bound_lead_back(x, slope, expected):
    """Descent moves against the slope: beyond the bound it may only go inwards. Values are clamped as ever."""
    x = torch.tensor(float(x), requires_grad=True)
    clamped = clamp_returning(x, 1.0)
    assert clamped.item() == x.detach().clamp(-1, 1).item()
    (slope * clamped).backward()
    assert x.grad.item() == expected


def test_means_beyond_the_bound_can_be_brought_back():
    """A drift that overshoots gets a gradient on request, and none otherwise; the chains are the same."""
    found = {}
    for returning in (False, True):
        drift = torch.tensor(40.0, requires_grad=True)
        torch.manual_seed(0)
        bounds = ChainBounds(action=float("inf"), returning=returning)
        chain = sample_chain(
            lambda x, t, drift=drift: drift, lambda x, t: torch.full_like(x, 0.1), torch.zeros(3, 2), 2, bounds
        )
        chain.action.sum().backward()
        found[returning] = chain.states.detach(), drift.grad.item()
    assert torch.equal(found[False][0], found[True][0])
    assert found[False][1] == 0.0 < found[True][1]
