# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""ScoRe-Flow: likelihood ratios, learned coefficient and noise, and that it learns."""

import copy

import pytest
import torch

from flow_rl.flows import time_grid, velocity_to_score
from flow_rl.testing import PointMass
from tests.algorithms.conftest import collect, make_cfg, pretrained, success


@pytest.mark.parametrize("learner", ["score_flow", "reinflow"])
def test_first_ratio_is_one(learner, make_runner):
    """Before the first step the scored likelihood equals the sampled one: same grid, same clips, same noise."""
    alg = collect(make_runner(learner, num_mini_batches=1))
    _, metrics = alg.losses(next(alg.storage.mini_batches(1)))
    assert metrics["ratio_error"] <= 1e-5
    assert alg.update()["ratio_error_first"] <= 1e-5


def test_rollouts_are_judged_with_the_noise_they_were_made_with(make_runner):
    """Where a schedule lowers it, too: the first ratios of every iteration are 1."""
    runner = make_runner(std_schedule="learn_decay", std_hold=0.0, std_decay=0.1)
    bounds = []
    for _ in range(3):
        alg = collect(runner)
        bounds.append(alg.noise_predictor.bounds[1].item())
        assert alg.update()["ratio_error_first"] <= 1e-5
    assert bounds[0] > bounds[1] > bounds[2]


def test_score_coefficient_and_noise_learn(make_runner):
    """psi and phi are in the optimiser, receive gradient, and move."""
    alg = collect(make_runner())
    in_optimiser = {id(p) for p in alg.optimizer.param_groups[0]["params"]}
    loss, _ = alg.losses(next(alg.storage.mini_batches(1)))
    loss.backward()
    for module in (alg.score_coefficient, alg.noise_predictor, alg.actor.velocity):
        assert all(id(p) in in_optimiser for p in module.parameters())
        assert any(p.grad is not None and p.grad.abs().max() > 0 for p in module.parameters())
    before = alg.score_coefficient(time_grid(4)).detach()
    alg.update()
    assert not torch.equal(before, alg.score_coefficient(time_grid(4)))


def test_frozen_score_coefficient(make_runner):
    """On request psi stays at its initial value, as in the released locomotion runs."""
    alg = collect(make_runner(learn_score_coef=False))
    in_optimiser = {id(p) for p in alg.optimizer.param_groups[0]["params"]}
    assert not any(id(p) in in_optimiser for p in alg.score_coefficient.parameters())
    before = copy.deepcopy(alg.score_coefficient.state_dict())
    alg.update()
    assert all(torch.equal(before[k], v) for k, v in alg.score_coefficient.state_dict().items())


def test_drift_is_velocity_plus_weighted_score(make_runner):
    """drift = v + alpha s; with the coefficient at zero it is the velocity."""
    alg, plain = make_runner().alg, make_runner("reinflow").alg
    x, t, latent = torch.randn(5, 4), torch.full((5, 1), 0.5), torch.randn(5, 2)
    v = alg.actor.velocity_field(x, t, latent)
    score = velocity_to_score(v, x, t).clamp(-10, 10)
    torch.testing.assert_close(alg.drift(x, t, latent), v + alg.score_coefficient(t) * score)
    assert torch.equal(plain.drift(x, t, latent), plain.actor.velocity_field(x, t, latent))
    assert plain.name == "reinflow" and "score_coefficient" not in plain.parts


def test_the_policy_is_played_with_its_score_drift(make_runner):
    """After an update the policy alone follows the mean of the chains; checkpoints carry that, pretraining has none."""
    runner = make_runner()
    alg = runner.alg
    assert alg.actor.score_coefs.tolist() == [0.0] * 4
    collect(runner).update()
    x, latent = torch.randn(5, 4), torch.randn(5, 2)
    for t in time_grid(4):
        t = t.expand(5, 1)
        torch.testing.assert_close(alg.actor.drift(x, t, latent), alg.drift(x, t, latent))
    other = make_runner().alg
    other.load(alg.save())
    torch.testing.assert_close(other.actor.score_coefs, alg.actor.score_coefs)
    other.load(pretrained(make_runner().alg.actor))
    assert other.actor.score_coefs.tolist() == [0.0] * 4


def test_noise_schedule(make_runner):
    """The upper bound is held, then lowered to the share that shall remain; "learn" leaves it."""
    settings = {"std_min": 0.1, "std_max": 0.2, "std_hold": 0.5, "std_decay": 0.7}
    runner = make_runner(**settings)
    assert runner.alg.std_max == 0.2
    runner.learn(4)
    assert runner.alg.std_max == pytest.approx(0.17)
    fixed = make_runner(std_schedule="learn", **settings)
    fixed.learn(4)
    assert fixed.alg.std_max == 0.2


def test_target_kl_ends_the_iteration(make_runner):
    """An epoch that moved too far is the last one."""
    steps = []
    for target in (None, 0.0):
        alg = collect(make_runner(target_kl=target, learning_rate=1e-2))
        alg.update()
        steps.append(int(alg.optimizer.state[alg.optimizer.param_groups[0]["params"][0]]["step"]))
    assert steps == [20, 4]


def test_single_flow_step(make_runner):
    """K = 1 is allowed."""
    cfg = make_cfg()
    cfg["actor"]["num_flow_steps"] = 1
    runner = make_runner(cfg=cfg)
    runner.learn(1)
    assert runner.alg.actor.num_flow_steps == 1


def test_the_pull_towards_the_pretrained_policy(make_runner):
    """It is zero at that policy, grows with distance, and is absent when not asked for."""
    alg = make_runner(bc_coef=2.0).alg
    alg.load(pretrained(make_runner().alg.actor))
    obs = PointMass().get_observations()
    latent = alg.actor.get_latent(obs)
    assert float(alg.anchor_loss(latent, obs).detach()) == 0.0
    with torch.no_grad():
        alg.actor.velocity.backbone.net.output.bias.add_(0.1)
    assert float(alg.anchor_loss(latent, obs).detach()) > 0.0
    assert not any(p.requires_grad for p in alg.anchor.parameters())
    assert make_runner().alg.anchor is None


def test_the_pull_has_its_weight(make_runner):
    """`bc_coef` multiplies what is added to the loss and logged."""

    def pull(weight: float) -> float:
        torch.manual_seed(0)
        alg = collect(make_runner(bc_coef=weight))
        with torch.no_grad():
            alg.actor.velocity.backbone.net.output.bias.add_(0.1)
        return alg.policy_loss(next(alg.storage.mini_batches(1)))[1]["bc"].item()

    once = pull(1.0)
    assert once > 0.0 and pull(3.0) == pytest.approx(3.0 * once)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"std_min": 0.3, "std_max": 0.1}, r"std_min = 0.3 .*at most agent.algorithm.std_max = 0.1.*raise std_max"),
        ({"std_min": 0.0}, r"agent.algorithm.std_min = 0.0 .*> 0"),
        ({"std_hold": 1.5}, r"agent.algorithm.std_hold = 1.5 .*\[0, 1\]"),
        ({"clip_param": 0.0}, r"agent.algorithm.clip_param = 0.0 .*> 0"),
        ({"score_coef": -1.0}, r"agent.algorithm.score_coef = -1.0 .*>= 0"),
        ({"score_coef_kind": "cubic"}, r"score_coef_kind = 'cubic' .*'mlp', 'linear', 'fixed'"),
        ({"std_schedule": "step"}, r"std_schedule = 'step' .*'learn', 'learn_decay'"),
    ],
)
def test_wrong_settings(settings, message, make_runner):
    """Each message names the field, the value, the valid choices and the remedy."""
    with pytest.raises(ValueError, match=message):
        make_runner(**settings)


def test_it_learns(make_runner):
    """From a random policy that rarely reaches the goal to one that mostly does."""
    cfg = make_cfg(learning_rate=1e-3, final_learning_rate=1e-3, clip_param=0.03)
    cfg["num_steps_per_env"], cfg["max_iterations"] = 16, 30
    runner = make_runner(cfg=cfg, env=PointMass(64))
    before = success(runner.alg.get_policy())
    runner.learn(30)
    assert before < 0.5
    assert success(runner.alg.get_policy()) > before + 0.3
