# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The clipped surrogate and its diagnostics."""

import math

import pytest
import torch

from flow_rl.objectives import ppo_surrogate, value_loss


def test_surrogate_by_hand():
    """Gains count up to the edge of the trust region, losses count in full."""
    log_prob = torch.log(torch.tensor([1.05, 0.95, 1.05, 0.95]))
    advantage = torch.tensor([1.0, 1.0, -1.0, -1.0])
    out = ppo_surrogate(log_prob, torch.zeros(4), advantage, clip=0.01)
    assert float(out.loss) == pytest.approx(-(1.01 + 0.95 - 1.05 - 0.99) / 4)
    assert float(out.clip_fraction) == 1.0
    kl = sum((r - 1) - math.log(r) for r in (1.05, 0.95)) / 2
    assert float(out.kl) == pytest.approx(kl, rel=1e-3)


def test_gradient_stops_outside_the_trust_region():
    """A ratio beyond the edge with a positive advantage has no gradient, one inside has."""
    log_prob = torch.tensor([0.05, 0.005], requires_grad=True)
    ppo_surrogate(log_prob, torch.zeros(2), torch.ones(2), clip=0.01).loss.backward()
    assert log_prob.grad[0] == 0 and log_prob.grad[1] != 0


def test_the_ratio_is_bounded():
    """Beyond the bound a logarithm of the ratio counts as the bound."""
    out = ppo_surrogate(torch.tensor([5.0]), torch.tensor([-5.0]), torch.ones(1), clip=0.01)
    assert float(out.ratio) == pytest.approx(math.exp(1.0))


def test_little_noise_does_not_silence_the_gradient():
    """Averaged log-likelihoods exceed 1 with small noise; clamped one by one, as in ReinFlow, they say nothing."""
    log_prob = torch.tensor([2.5], requires_grad=True)
    ppo_surrogate(log_prob, torch.tensor([2.5]), torch.ones(1), clip=0.01).loss.backward()
    assert log_prob.grad[0] == -1.0


def test_value_loss():
    """Half the mean square."""
    assert float(value_loss(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 0.0]))) == 1.25


def test_each_transition_has_its_own_trust_region():
    """Likelihoods of transitions (B, K) are clipped one by one, by one width or each by its own."""
    new, old = 0.3 * torch.randn(5, 3), torch.zeros(5, 3)
    advantage = torch.randn(5, 1)
    ratio = new.exp()
    for clip in (0.1, torch.tensor([0.05, 0.1, 0.4])):
        found = ppo_surrogate(new, old, advantage, clip)
        clipped = torch.maximum(torch.minimum(ratio, 1 + torch.as_tensor(clip)), 1 - torch.as_tensor(clip))
        torch.testing.assert_close(found.loss, -torch.min(ratio * advantage, clipped * advantage).mean())
        assert found.clip_fraction == ((ratio - 1).abs() > torch.as_tensor(clip)).float().mean()
    assert found.ratio.shape == (5, 3)


def test_gradients_may_pass_the_bound_of_the_ratio():
    """Its value is bounded all the same."""
    for straight_through, gradient in ((False, 0.0), (True, math.exp(1.0))):
        log_prob = torch.tensor([3.0], requires_grad=True)
        out = ppo_surrogate(log_prob, torch.zeros(1), -torch.ones(1), 0.1, straight_through=straight_through)
        assert float(out.ratio) == pytest.approx(math.exp(1.0))
        out.loss.backward()
        assert float(log_prob.grad) == pytest.approx(gradient)


def test_the_asymmetric_surrogate_begins_as_the_clipped_one():
    """At a ratio of 1 gradients agree for both signs; positive advantages are clipped in both."""
    advantage = torch.tensor([1.5, -0.5])
    gradients = []
    for negative in ("clip", "spo"):
        log_prob = torch.zeros(2, requires_grad=True)
        ppo_surrogate(log_prob, torch.zeros(2), advantage, 0.1, negative=negative).loss.backward()
        gradients.append(log_prob.grad)
    torch.testing.assert_close(*gradients)
    far = torch.tensor([0.5], requires_grad=True)
    ppo_surrogate(far, torch.zeros(1), torch.ones(1), 0.1, negative="spo").loss.backward()
    assert far.grad == 0.0


def test_a_negative_advantage_pulls_to_the_edge_of_the_trust_region():
    """With "spo" the loss is least at 1 - e, from wherever the ratio is."""
    ratio = torch.linspace(0.5, 1.5, 1001)
    losses = [float(ppo_surrogate(r.log(), r.new_zeros(()), -r.new_ones(()), 0.1, negative="spo").loss) for r in ratio]
    assert float(ratio[losses.index(min(losses))]) == pytest.approx(0.9, abs=2e-3)
