# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""FPO++ and FPO: losses at kept pairs, ratios, what executed chunks are, and that they learn."""

import copy
import math

import pytest
import torch

from flow_rl.algorithms.fpo import huber
from flow_rl.objectives import flow_matching_loss
from flow_rl.testing import PointMass
from tests.algorithms.conftest import collect, make_cfg, pretrained, success
from tests.algorithms.quadratic import Quadratic, be_gaussian, distance_from_best

FPO = {"ratio": "decision", "error": "noise", "times": "grid", "reduction": "mean", "clip_param": 0.05}
FPO |= {"huber_delta": None, "log_ratio_bound": None, "perturbation": 0.0}
SCRATCH = {"negative": "spo", "reduction": "root", "clip_param": 0.05, "num_samples": 16, "huber_delta": None}
SCRATCH |= {"loss_bound": 20.0, "log_ratio_bound": 10.0}
every_version = pytest.mark.parametrize("settings", [{}, FPO, SCRATCH], ids=["fpo++", "fpo", "scratch"])
PLAIN = {"huber_delta": None, "reduction": "mean"}


def batch_of(alg):
    return next(alg.storage.mini_batches(1))


@every_version
def test_first_ratio_is_one(settings, make_runner):
    """Losses at collection are those of the kept chunks, noises and times under the same weights."""
    alg = collect(make_runner("fpo", **settings))
    _, metrics = alg.losses(batch_of(alg))
    assert metrics["ratio_error"] <= 1e-5
    assert alg.update()["ratio_error_first"] <= 1e-5


@every_version
def test_what_is_executed_is_what_is_kept(settings, make_runner, monkeypatch):
    """Perturbed where that is asked for, and within the action box; each decision has its own pairs."""
    runner = make_runner("fpo", **{**settings, "num_samples": 3})
    executed, step = [], runner.env.step
    monkeypatch.setattr(runner.env, "step", lambda actions: executed.append(actions.clone()) or step(actions))
    alg = collect(runner)
    data = alg.storage.data
    torch.testing.assert_close(torch.stack(executed), alg.actor.action_normalizer.inverse(data["chunk"]))
    assert data["chunk"].abs().max() <= 1.0
    assert data["noise"].shape == (6, 32, 3, 4) and data["noise"].std() == pytest.approx(1.0, abs=0.05)
    assert data["time"].shape == (6, 32, 3, 1) and len(data["time"].unique()) == (4 if settings == FPO else 576)
    assert data["time"].min() >= 0 and data["time"].max() <= 0.995


def test_perturbations_have_their_size(make_runner):
    alg = make_runner("fpo", perturbation=0.1).alg
    latent = torch.randn(4096, 2)
    torch.manual_seed(1)
    chunk = alg.explore(latent).chunk
    torch.manual_seed(1)
    end = alg.actor.sample(latent, torch.randn(4096, 4))
    inside = chunk.abs() < 1.0
    assert float((chunk - end)[inside].std().detach()) == pytest.approx(0.1, rel=0.1)
    assert float(alg.actor.output_std) == pytest.approx(0.1)


def test_exploration_is_random_where_the_policy_is_played_from_zero_noise(make_runner):
    cfg = make_cfg("fpo", perturbation=0.0)
    cfg["actor"]["initial_noise"] = "zero"
    alg = make_runner("fpo", cfg=cfg).alg
    latent = torch.zeros(8, 2)
    assert alg.actor.sample(latent).std(dim=0).max() == 0.0
    assert alg.explore(latent).chunk.std(dim=0).min() > 0.0


def test_the_gradient_at_the_old_weights_is_flow_matchings(make_runner):
    """With advantages of 1 a step on the surrogate is one of imitating the kept chunks at the kept pairs."""
    alg = collect(make_runner("fpo", **PLAIN, learning_rate=0.0))
    batch = batch_of(alg)
    latent = alg.actor.get_latent(batch["obs"])
    loss, _ = alg.surrogate_loss(batch, latent, torch.ones(len(batch)))
    parameters = list(alg.actor.velocity.parameters())
    found = torch.autograd.grad(loss, parameters)
    chunk = batch["chunk"].unsqueeze(1).expand_as(batch["noise"])
    matching = flow_matching_loss(
        lambda x, t: alg.actor.velocity_field(x, t, latent.unsqueeze(1)), chunk, batch["noise"], batch["time"]
    )
    for a, b in zip(found, torch.autograd.grad(matching, parameters), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "factor"), [({"reduction": "mean"}, 1.0), ({"reduction": "rows"}, 2.0), ({"reduction": "root"}, 2.0)]
)
def test_a_shift_of_the_velocity(settings, factor, make_runner):
    """v + d changes the loss by 2 e d + d^2, e = v - (a - x_0); chunks here have two rows of two actions."""
    alg = make_runner("fpo", huber_delta=None, **settings).alg
    chunk, noise, t, latent = torch.randn(5, 4), torch.randn(5, 3, 4), torch.rand(5, 3, 1), torch.randn(5, 2)
    shift, field = 0.1 * torch.randn(4), alg.actor.velocity_field
    old = alg.matching_losses(chunk, noise, t, latent)
    state = (1 - t) * noise + t * chunk.unsqueeze(1)
    error = field(state, t, latent.unsqueeze(1)) - (chunk.unsqueeze(1) - noise)
    alg.actor.velocity_field = lambda *args: field(*args) + shift
    expected = factor * (2 * error * shift + shift**2).mean(dim=-1)
    torch.testing.assert_close(alg.matching_losses(chunk, noise, t, latent) - old, expected)


def test_the_error_of_the_noise_weighs_by_time(make_runner):
    """x_0 - (x_t - t v) = -t (a - x_0 - v)."""
    velocity = make_runner("fpo", **PLAIN).alg
    noise_error = make_runner("fpo", **PLAIN, error="noise").alg
    noise_error.actor.load_state_dict(velocity.actor.state_dict())
    pairs = torch.randn(5, 4), torch.randn(5, 3, 4), torch.rand(5, 3, 1), torch.randn(5, 2)
    expected = velocity.matching_losses(*pairs) * pairs[2].squeeze(-1) ** 2
    torch.testing.assert_close(noise_error.matching_losses(*pairs), expected)


@pytest.mark.parametrize("std", [0.5, 1.0])
def test_the_ratio_is_not_the_likelihoods(std, make_runner):
    """Of normal chunks N(m, s^2) the log-ratio's derivative by m is pi / (2 s) (a - m), where the score is / s^2."""
    torch.manual_seed(0)
    alg = make_runner("fpo", **PLAIN).alg
    mean = torch.tensor([0.1, -0.2, 0.0, 0.2], requires_grad=True)
    be_gaussian(alg.actor, mean, std)
    chunk = torch.tensor([[0.4, 0.2, -0.5, 0.2]])
    num = 200_000
    t = (torch.arange(num) + 0.5).view(1, num, 1) / num
    loss = alg.matching_losses(chunk, torch.randn(1, num, 4), t, torch.zeros(1, 2)).mean()
    found = -4 * torch.autograd.grad(loss, mean)[0]
    torch.testing.assert_close(found, math.pi / (2 * std) * (chunk[0] - mean.detach()), atol=0.02, rtol=0.02)


def test_a_decision_has_one_ratio_of_its_mean_loss(make_runner):
    """FPO averages before the exponential, FPO++ clips pair by pair."""
    for settings, shape in ((FPO, (192,)), ({}, (192, 8))):
        alg = collect(make_runner("fpo", **settings))
        with torch.no_grad():
            alg.actor.velocity.backbone.net.output.bias.add_(0.1)
        batch = batch_of(alg)
        latent, advantage = alg.actor.get_latent(batch["obs"]), torch.randn(192)
        found, _ = alg.surrogate_loss(batch, latent, advantage)
        change = batch["loss"] - alg.matching_losses(batch["chunk"], batch["noise"], batch["time"], latent)
        ratio = (change.mean(dim=-1) if settings else change).clamp(-5, 5).exp()
        assert ratio.shape == shape
        weight, clip = advantage if settings else advantage.unsqueeze(-1), alg.settings.clip_param
        expected = -torch.min(ratio * weight, ratio.clamp(1 - clip, 1 + clip) * weight).mean()
        torch.testing.assert_close(found, expected)


def test_losses_beyond_their_bound_say_nothing(make_runner):
    alg = collect(make_runner("fpo", loss_bound=1e-3))
    assert alg.storage.data["loss"].max() == pytest.approx(1e-3)
    loss, metrics = alg.policy_loss(batch_of(alg))
    loss.backward()
    assert metrics["ratio_error"] == 0.0
    assert all(p.grad is None or p.grad.abs().max() < 1e-8 for p in alg.actor.velocity.parameters())


def test_huber():
    """Value and derivative go on at delta: e^2 before, a line behind."""
    error = torch.tensor([-2.0, -0.5 - 1e-4, -0.5 + 1e-4, 0.0, 0.3, 0.5 - 1e-4, 0.5 + 1e-4, 2.0], requires_grad=True)
    value = huber(error, 0.5)
    (slope,) = torch.autograd.grad(value.sum(), error)
    torch.testing.assert_close(slope, 2 * error.detach().clamp(-0.5, 0.5))
    expected = torch.tensor([1.75, 0.25, 0.25, 0.0, 0.09, 0.25, 0.25, 1.75])
    torch.testing.assert_close(value.detach(), expected, atol=2e-4, rtol=0)
    assert torch.equal(huber(error, None), error.square())


def test_a_rate_of_zero_leaves_the_policy_as_it_is(make_runner):
    runner = make_runner("fpo", learning_rate=0.0, final_learning_rate=0.0)
    before = copy.deepcopy(runner.alg.actor.state_dict())
    runner.learn(2)
    assert all(torch.equal(before[key], value) for key, value in runner.alg.actor.state_dict().items())


def test_the_critic_learns_first(make_runner):
    """One iteration by default."""
    cfg = make_cfg("fpo")
    del cfg["algorithm"]["critic_warmup"]
    alg = make_runner("fpo", cfg=cfg).alg
    assert alg.settings.critic_warmup == 1 and alg.warming_up


def test_the_pull_towards_the_pretrained_policy(make_runner):
    """It is part of the loss, and zero at that policy."""
    alg = make_runner("fpo", bc_coef=2.0).alg
    alg.load(pretrained(make_runner("fpo").alg.actor))
    obs = PointMass().get_observations()
    assert float(alg.anchor_loss(alg.actor.get_latent(obs), obs).detach()) == 0.0
    assert not any(p.requires_grad for p in alg.anchor.parameters())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ratio": "chain"}, r"ratio = 'chain' .*'sample', 'decision'"),
        ({"negative": "aspo"}, r"negative = 'aspo' .*'clip', 'spo'"),
        ({"reduction": "sum"}, r"reduction = 'sum' .*'rows', 'mean', 'root'"),
        ({"num_samples": 0}, r"agent.algorithm.num_samples = 0 .*>= 1"),
        ({"perturbation": -0.1}, r"agent.algorithm.perturbation = -0.1 .*>= 0"),
        ({"huber_delta": 0.0}, r"agent.algorithm.huber_delta = 0.0 .*> 0 or null"),
        ({"log_ratio_bound": -1.0}, r"agent.algorithm.log_ratio_bound = -1.0 .*> 0 or null"),
        ({"target_kl": -1.0}, r"agent.algorithm.target_kl = -1.0 .*>= 0 or null"),
        ({"clip_param": 0.0}, r"agent.algorithm.clip_param = 0.0 .*> 0"),
        ({"bc_coef": -1.0}, r"agent.algorithm.bc_coef = -1.0 .*>= 0"),
    ],
)
def test_wrong_settings(settings, message, make_runner):
    """Each message names the field, the value, the valid choices and the remedy."""
    with pytest.raises(ValueError, match=message):
        make_runner("fpo", **settings)


@every_version
def test_the_mean_moves_to_the_best_action(settings, make_runner):
    """A bandit with reward -|a - c|^2."""
    rates = {"learning_rate": 4e-3, "final_learning_rate": 1e-3}
    cfg = make_cfg("fpo", **settings, **rates)
    cfg["actor"]["horizon"], cfg["max_iterations"] = 1, 30
    runner = make_runner(cfg=cfg, env=Quadratic(64))
    before = distance_from_best(runner.alg.actor)
    runner.learn(30)
    after = distance_from_best(runner.alg.actor)
    assert after < 0.4 * before


def test_it_learns(make_runner):
    """From a random policy that rarely reaches the goal to one that mostly does."""
    cfg = make_cfg("fpo", learning_rate=2e-3, final_learning_rate=1e-3)
    cfg["num_steps_per_env"], cfg["max_iterations"] = 16, 25
    runner = make_runner(cfg=cfg, env=PointMass(64))
    before = success(runner.alg.get_policy())
    runner.learn(25)
    after = success(runner.alg.get_policy())
    assert before < 0.5
    assert after > before + 0.3
