# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""PPO from nothing: where the scales of observations come from, that it learns, and that it needs no checkpoint."""

import pytest
import torch

from flow_rl.configs.compose import build
from flow_rl.testing import PointMass
from tests.algorithms import pendulum
from tests.algorithms.conftest import OnPolicyRunner, collect, make_cfg, success


def test_observations_have_the_scales_of_the_first_rollout(make_runner):
    """Then they keep them; a policy that was given keeps its own."""
    alg = collect(make_runner("ppo", critic_warmup=1))
    seen = alg.storage.data["obs"]["policy"].flatten(0, 1)
    normalizer = alg.actor.observer.normalizer
    assert torch.equal(normalizer.center, torch.zeros(2))
    alg.update()
    torch.testing.assert_close(normalizer.center, (seen.amin(dim=0) + seen.amax(dim=0)) / 2)
    torch.testing.assert_close(normalizer.scale, (seen.amax(dim=0) - seen.amin(dim=0)) / 2)
    kept = normalizer.center.clone()
    alg.iteration = 1
    alg.finish_iteration([{"ratio_error": torch.zeros(())}])
    given = collect(make_runner("ppo", critic_warmup=1))
    given.policy_loaded = True
    given.update()
    assert torch.equal(normalizer.center, kept)
    assert torch.equal(given.actor.observer.normalizer.center, torch.zeros(2))


def test_it_begins_with_nothing():
    """By its own settings, on any task."""
    cfg = build("ppo")
    assert cfg.algorithm.from_scratch and cfg.algorithm.critic_warmup >= 1


def test_it_solves_the_point_mass():
    """What is played, without noise, from not at all to nearly always."""
    cfg = make_cfg("ppo", critic_warmup=1) | {"num_steps_per_env": 16, "max_iterations": 30}
    runner = OnPolicyRunner(PointMass(64), cfg, device="cpu")

    before = success(runner.alg.get_policy())
    runner.learn(20)
    assert before < 0.3 and success(runner.alg.get_policy()) > 0.9


@pytest.mark.slow
def test_it_swings_the_pendulum_up():
    """As far as rsl_rl's own PPO does; benchmarks/pendulum holds five seeds of both."""
    assert pendulum.learn_ppo("flow_rl", seed=0)["return"] > -400.0
