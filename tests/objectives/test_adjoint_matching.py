# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Memoryless paths and adjoint matching, where behaviour and critic make all of it Gaussian."""

import math

import pytest
import torch

from flow_rl.flows import gaussian_velocity, memoryless_variance, sample_memoryless, time_grid
from flow_rl.objectives import adjoint_matching_loss, lean_adjoint, path_kl

M, S = 0.3, 0.5  # behaviour
KAPPA, C, ETA = 2.0, -0.4, 1.5  # Q = -kappa / 2 (a - c)^2


def field(mean: float, std: float):
    """Exact velocity of normal actions."""
    return lambda x, t: gaussian_velocity(x, t, torch.tensor(mean), torch.tensor(std))[0]


BEHAVIOUR = field(M, S)


def tilt(gradient, num_steps: int, num: int = 20000, rounds: int = 20):
    """Learn a fast field v = a_i x + b_i by least squares, again and again; `gradient` is that of eta Q at the ends.

    Returns the field's coefficients (K, 1, 1), and states and adjoints of its last paths.
    """
    a, b = torch.zeros(2, num_steps, 1, 1)

    def fast(x, t):
        i = round(t.flatten()[0].item() * num_steps)
        return BEHAVIOUR(x, t) + a[i] * x + b[i]

    half_variance = 0.5 * memoryless_variance(num_steps)
    for _ in range(rounds):
        states = sample_memoryless(fast, BEHAVIOUR, torch.randn(num, 1), num_steps)
        adjoint = lean_adjoint(BEHAVIOUR, states, -gradient(states[-1]))
        x, wanted = states[:-1], -half_variance * adjoint
        centred = x - x.mean(dim=1, keepdim=True)
        slope = (centred * wanted).mean(dim=1, keepdim=True) / centred.square().mean(dim=1, keepdim=True)
        a, b = a.lerp(slope, 0.5), b.lerp((wanted - slope * x).mean(dim=1, keepdim=True), 0.5)
    return a, b, states, adjoint


def test_variances():
    four, ten = (memoryless_variance(k).flatten().tolist() for k in (4, 10))
    assert four == [10.0, 4.0, 2.0, 1.0]
    assert ten == pytest.approx([22, 10, 6, 4, 2.8, 2, 10 / 7, 1, 2 / 3, 0.4])


def test_paths_of_the_behaviour_end_as_its_flow_does():
    torch.manual_seed(0)
    states = sample_memoryless(BEHAVIOUR, BEHAVIOUR, torch.randn(20000, 1), 100)
    assert states.shape == (101, 20000, 1)
    assert states[-1].mean().item() == pytest.approx(M, abs=0.01)
    assert states[-1].std().item() == pytest.approx(S, rel=0.04)
    both = torch.cat([states[0], states[-1]], dim=-1)
    assert abs(torch.corrcoef(both.T)[0, 1].item()) < 0.03, "ends do not remember where they began"
    middle = states[50]
    assert middle.std().item() == pytest.approx(math.hypot(0.5 * S, 0.5), rel=0.03), "marginals are those of the flow"


def test_the_last_step_is_the_behaviours_own():
    fast, slow = lambda x, t: x + 3.0, lambda x, t: 0.5 * x - t
    states = sample_memoryless(fast, slow, torch.randn(5, 2), 4)
    torch.testing.assert_close(states[-1], states[-2] + 0.25 * slow(states[-2], 0.75))


def test_adjoints_are_products_with_jacobians():
    """Of any field, one step after the other; only at t = 1 is the field's answer known beforehand."""
    torch.manual_seed(0)
    mix = torch.randn(3, 3, dtype=torch.float64)

    def slow(x, t):
        return torch.sin(x @ mix) * (1.0 + t)

    states, p = torch.randn(5, 4, 3, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    found = lean_adjoint(slow, states, p)
    p = 1.25 * p
    torch.testing.assert_close(found[3], p)
    for i in (2, 1, 0):
        time = (i + 1) / 4
        product = (torch.cos(states[i] @ mix) * (1.0 + time) * p) @ mix.T
        p = p + 0.25 * (2.0 * product - p / time)
        torch.testing.assert_close(found[i], p)


@pytest.mark.parametrize(("num_steps", "tolerance"), [(4, None), (1000, 0.01)])
def test_adjoints_of_gaussian_actions(num_steps, tolerance):
    """On a fine grid p(t) = p(1) t s^2 / (t^2 s^2 + (1 - t)^2); on four steps what four steps make of it."""
    states = torch.randn(num_steps + 1, 2, 1)
    found = lean_adjoint(BEHAVIOUR, states, torch.ones(2, 1))[:, 0, 0]
    if num_steps == 4:
        assert found.tolist() == pytest.approx([0.0381, -0.0641, 0.6410, 1.25], abs=1e-4)
        return
    t = time_grid(num_steps).squeeze(-1)
    torch.testing.assert_close(found, t * S**2 / (t.square() * S**2 + (1 - t).square()), atol=tolerance, rtol=0.0)


def test_matching_tilts_a_gaussian():
    """The behaviour N(0.3, 0.5^2) times exp(eta Q) is N(0, 1 / 7), and the paths' divergence is that of the ends."""
    torch.manual_seed(0)
    a, b, states, adjoint = tilt(lambda x: -ETA * KAPPA * (x - C), num_steps=64)
    assert states[-1].mean().item() == pytest.approx(0.0, abs=0.02)
    assert states[-1].std().item() == pytest.approx(math.sqrt(1 / 7), rel=0.03)
    x, t = states[:-1], time_grid(64).unsqueeze(-1)
    wanted = field(0.0, math.sqrt(1 / 7))(x, t)
    learnt = BEHAVIOUR(x, t) + a * x + b
    # early steps lead far away from where they would in continuous time
    missing, before = ((v - wanted)[8:].square().mean().sqrt() for v in (learnt, BEHAVIOUR(x, t)))
    assert missing < 0.1 * before
    divergence = math.log(S * math.sqrt(7)) + (1 / 7 + M**2) / (2 * S**2) - 0.5
    assert path_kl(a * x + b).mean().item() == pytest.approx(divergence, rel=0.1)
    # the loss is least there
    for name in ("a", "b"):
        change = {"a": a, "b": b}
        change[name] = change[name].clone().requires_grad_()
        loss = adjoint_matching_loss(change["a"] * x + change["b"], adjoint).mean()
        gradient = torch.autograd.grad(loss, change[name])[0].flatten()
        scale = torch.autograd.grad(adjoint_matching_loss(0.5 * change[name] * x, adjoint).mean(), change[name])[0]
        assert gradient.norm() < 0.1 * scale.norm()


def test_a_constant_gradient_moves_the_mean_alone():
    """Q = g a leads to N(m + s^2 eta g, s^2), with the divergence (s eta g)^2 / 2."""
    torch.manual_seed(0)
    shift = S**2 * 0.8
    a, b, states, _ = tilt(lambda x: torch.full_like(x, 0.8), num_steps=64, rounds=12)
    assert states[-1].mean().item() == pytest.approx(M + shift, abs=0.02)
    assert states[-1].std().item() == pytest.approx(S, rel=0.03)
    assert path_kl(a * states[:-1] + b).mean().item() == pytest.approx(S**2 * 0.8**2 / 2, rel=0.1)


def test_divergence_of_a_constant_change():
    for num_steps, factor in ((4, 0.925), (10, 1.42385)):
        change = torch.tensor([0.3, -0.4]).expand(num_steps, 3, 2)
        torch.testing.assert_close(path_kl(change), torch.full((3,), factor * 0.25), rtol=1e-5, atol=0.0)


def test_the_loss_is_zero_where_nothing_shall_change():
    zeros = torch.zeros(10, 3, 2)
    assert (adjoint_matching_loss(zeros, zeros) == 0).all()
    adjoint = torch.randn(10, 3, 2)
    best = -0.5 * memoryless_variance(10) * adjoint
    assert adjoint_matching_loss(best, adjoint).abs().max() < 1e-6
