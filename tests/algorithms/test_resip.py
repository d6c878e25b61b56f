# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""ResiP: likelihoods of corrections, what is frozen, executed and kept, and that it learns."""

import copy
import math

import pytest
import torch

from flow_rl.testing import FilmedPointMass, PointMass
from tests.algorithms.conftest import collect, make_cfg, success
from tests.algorithms.test_pixels import pixels_cfg
from tests.algorithms.test_residual import (
    MEAN,
    SPREAD,
    Quadratic,
    bandit_cfg,
    check_frozen,
    gaussian_base,
    play,
    shake,
)


@pytest.mark.parametrize("pixels", [False, True], ids=["state", "pixels"])
def test_the_base_stays(pixels, make_runner):
    cfg = (pixels_cfg if pixels else make_cfg)("resip")
    check_frozen(make_runner(env=FilmedPointMass(8) if pixels else None, cfg=cfg))


def test_first_ratio_is_one(make_runner):
    """Before the first step the corrections are as likely as when they were drawn."""
    alg = collect(make_runner("resip", num_mini_batches=1, target_kl=None))
    shake(alg)
    _, metrics = alg.losses(next(alg.storage.mini_batches(1)))
    assert metrics["ratio_error"] > 0.1, "another policy"
    alg = collect(make_runner("resip", num_mini_batches=1))
    _, metrics = alg.losses(next(alg.storage.mini_batches(1)))
    assert metrics["ratio_error"] <= 1e-5
    assert alg.update()["ratio_error_first"] <= 1e-5


def test_likelihoods_are_sums_over_the_chunk(make_runner):
    """Those of N(tanh(h), sigma^2) at what was drawn, and what is executed is the clipped sum of base and drawn."""
    runner = make_runner("resip")
    alg, env = runner.alg, runner.env
    shake(alg)
    executed, step = [], env.step
    env.step = lambda actions: executed.append(actions) or step(actions)
    collect(runner)
    data = alg.storage.data
    latent = alg.actor.get_latent(data["obs"])
    sigma = alg.settings.init_std
    z = (data["correction"] - alg.actor.head.correction(data["base"], latent)) / sigma
    expected = (-0.5 * z.square() - math.log(sigma) - 0.5 * math.log(2 * math.pi)).sum(dim=-1)
    torch.testing.assert_close(data["log_prob"], expected, rtol=1e-4, atol=1e-4)
    total = (data["base"] + 0.1 * data["correction"]).clamp(-1, 1)
    torch.testing.assert_close(alg.actor.action_normalizer(torch.stack(executed)), total)


def test_noise_at_the_start(make_runner):
    """Its deviation is that of the paper, 0.1 / e, and the base is played bit for bit without it."""
    alg = make_runner(cfg=bandit_cfg("resip", scale=0.1), env=Quadratic(8)).alg
    gaussian_base(alg)
    latent, noise = torch.zeros(4000, 1), torch.randn(4000, 2)
    decision = alg.explore(latent)
    moved = decision.chunk - decision.record["base"]
    assert moved.std() == pytest.approx(0.0368, rel=0.03)
    assert alg.actor.output_std.mean() == pytest.approx(0.0368, rel=0.01)
    assert decision.record["base"].std() == pytest.approx(SPREAD, rel=0.03)
    assert torch.equal(alg.get_policy().sample(latent, noise), alg.actor.flow(latent, noise)[-1].clamp(-1, 1))


@pytest.mark.parametrize("learns", [False, True])
def test_the_deviation_may_learn(learns, make_runner):
    """Entropy then counts as the sum over the chunk, and the deviation is played from then on."""
    alg = collect(make_runner("resip", learn_std=learns, entropy_coef=1.0, learning_rate=1e-2))
    entropy = 4 * (0.5 * math.log(2 * math.pi * math.e) + math.log(alg.settings.init_std))
    assert alg.policy_loss(next(alg.storage.mini_batches(1)))[1]["entropy"] == pytest.approx(entropy, rel=1e-5)
    before = alg.noise["log_std"].detach().clone()
    alg.update()
    assert torch.equal(before, alg.noise["log_std"]) != learns
    torch.testing.assert_close(alg.actor.output_std, 0.1 * alg.noise["log_std"].detach().exp())


def test_the_policy_waits_for_the_critic(make_runner):
    runner = make_runner("resip", critic_warmup=1)
    before = copy.deepcopy(runner.alg.actor.state_dict())
    runner.learn(1)
    assert all(torch.equal(before[key], value) for key, value in runner.alg.actor.state_dict().items())


def test_target_kl_ends_the_iteration(make_runner):
    steps = []
    for target in (None, 0.0):
        alg = collect(make_runner("resip", target_kl=target, learning_rate=1e-2))
        alg.update()
        steps.append(alg.optimizer.num_steps)
    assert steps == [40, 4]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"clip_param": 0.0}, r"agent.algorithm.clip_param = 0.0 .*> 0"),
        ({"init_std": 0.0}, r"agent.algorithm.init_std = 0.0 .*> 0"),
        ({"entropy_coef": -1.0}, r"agent.algorithm.entropy_coef = -1.0 .*>= 0"),
    ],
)
def test_wrong_settings(settings, message, make_runner):
    """Each message names the field, the value, the valid choices and the remedy."""
    with pytest.raises(ValueError, match=message):
        make_runner("resip", **settings)


def test_the_mean_moves_to_the_best_action(make_runner):
    """On a one-step bandit with reward -|a - c|^2."""
    cfg = bandit_cfg("resip", learning_rate=3e-3, final_learning_rate=3e-3) | {"max_iterations": 12}
    runner = make_runner(cfg=cfg, env=Quadratic(64))
    gaussian_base(runner.alg)
    assert (play(runner.alg).mean(dim=0) - MEAN).abs().max() < 0.02
    runner.learn(12)
    assert (play(runner.alg).mean(dim=0) - Quadratic.centre).abs().max() < 0.05


def test_it_learns(make_runner):
    """From a random base that rarely reaches the goal, corrected as far as it takes, to a policy that mostly does."""
    cfg = make_cfg("resip", learning_rate=3e-3, final_learning_rate=1e-3)
    cfg["actor"]["head"]["scale"] = 1.0
    cfg["num_steps_per_env"], cfg["max_iterations"] = 16, 12
    runner = make_runner(cfg=cfg, env=PointMass(64))
    before = success(runner.alg.get_policy())
    runner.learn(12)
    assert before < 0.5
    after = success(runner.alg.get_policy())
    assert after > before + 0.3
