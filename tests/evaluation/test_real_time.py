# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Chunks that take time to make, without a simulator."""

import numpy as np
import pytest
import torch

from flow_rl.deploy.chunking import METHODS, Chunking
from flow_rl.evaluation.episodes import evaluate
from flow_rl.evaluation.jerk import Jerk
from flow_rl.evaluation.packaged import PackagePolicy
from flow_rl.evaluation.policies import FunctionPolicy
from flow_rl.evaluation.real_time import RealTimePolicy
from flow_rl.testing import PointMass
from tests.deploy.conftest import A, H, export, make_policy
from tests.evaluation.test_packaged import make_env, observe
from tests.models.gaussian_flow import smooth_policy
from tests.models.test_flow_policy import make


class Numbered(FunctionPolicy):
    """Chunks of 4 actions of one number, decision and place: 10, 11, 12, 13, then 20, ..."""

    def __init__(self, num_envs: int = 2):
        super().__init__(self.number)
        self.num_envs, self.count = num_envs, 0

    def number(self, obs):
        self.count += 1
        return (10.0 * self.count + torch.arange(4.0)).repeat(self.num_envs, 1)


def test_the_former_chunk_goes_on_until_the_new_one_is_ready():
    """An episode begins with a chunk that is ready, whatever others do."""
    policy = RealTimePolicy(Numbered(), Chunking(4, execute=2, delay=1), 2)
    policy.reset(torch.arange(2))
    assert policy.act(None).tolist() == [[10, 11]] * 2
    assert policy.act(None).tolist() == [[12, 21]] * 2
    policy.reset(torch.tensor([1]))
    assert policy.act(None).tolist() == [[22, 31], [30, 31]]
    assert policy.act(None).tolist() == [[32, 41]] * 2


def test_the_longest_delay():
    policy = RealTimePolicy(Numbered(1), Chunking(4, delay=2), 1)
    assert [policy.act(None).tolist() for _ in range(3)] == [[[10, 11]], [[12, 13]], [[22, 23]]]


@pytest.mark.parametrize("method", METHODS)
def test_without_delay_it_is_the_policy_to_the_bit(method):
    actor = make()
    obs = [{"policy": torch.randn(3, 5)} for _ in range(3)]
    policy = RealTimePolicy(FunctionPolicy(actor, actor, flows=True), Chunking(4, method=method), 3)
    with torch.inference_mode():
        torch.manual_seed(1)
        wanted = [actor(each) for each in obs]
        torch.manual_seed(1)
        assert all(torch.equal(policy.act(each), chunk) for each, chunk in zip(obs, wanted, strict=True))


def test_an_evaluation_with_and_without(capsys):
    """Each way has the same starts; joined chunks are smoother, and no delay at all is what it was."""
    actor = smooth_policy()

    def measure(**fields):
        chunking = Chunking(8, **fields)
        env = PointMass(16, horizon=chunking.execute, limit=6, radius=0.0).unwrapped
        policy = FunctionPolicy(actor, actor, flows=True)
        if fields:
            policy = RealTimePolicy(policy, chunking, env.num_envs)
        result = evaluate(env, policy, 32, seed=0, horizon=chunking.execute, progress=False)
        del result["env_steps_per_s"]
        return result

    assert measure() == measure(delay=0, method="rtc") == measure(delay=0, method="inpainting")
    jerk = {method: measure(delay=2, execute=4, method=method)["jerk"] for method in METHODS}
    assert jerk["rtc"] < 0.5 * jerk["naive"] and jerk["inpainting"] < 0.5 * jerk["naive"]


def test_policies_that_cannot_join_are_refused():
    chunking = Chunking(4, execute=2, delay=1, method="rtc")
    with pytest.raises(ValueError, match="--chunking = 'rtc' .*naive"):
        RealTimePolicy(Numbered(), chunking, 2)
    with pytest.raises(ValueError, match="--chunking"):
        RealTimePolicy(FunctionPolicy(make(), make()), chunking, 2)  # its learner's chain


@pytest.mark.parametrize("delay", [1, 2])
def test_torch_and_package_join_alike(delay, tmp_path):
    """The same observations and noise: the runner's actions are the training policy's."""
    actor = make_policy(initial_noise="zero")
    bounds = {"lower": [-1.0] * A, "upper": [1.0] * A}
    package = export(actor, tmp_path / "package", **bounds)
    robots = PackagePolicy(package, make_env(), None, execute=2, inference_delay=delay, chunking="inpainting")
    chunking = Chunking(H, execute=2, delay=delay, method="inpainting")
    policy = RealTimePolicy(FunctionPolicy(actor, actor, flows=True), chunking, 2)
    with torch.inference_mode():
        for tick in range(0, 12, 2):
            if tick == 8:
                robots.reset(torch.tensor([1]))
                policy.reset(torch.tensor([1]))
            ours = policy.act(observe(tick)).unflatten(1, (2, A))
            theirs = torch.stack([robots.act(observe(tick + i)) for i in range(2)], dim=1)
            np.testing.assert_allclose(ours.clamp(-1, 1), theirs, atol=1e-5)


def test_jerk_is_that_of_episodes():
    """The third difference of a cubic is constant; what lies across the end of an episode is not counted."""
    step = torch.arange(8.0)
    cubic, jerk = torch.stack((step**3, step**2), dim=1).repeat(2, 1, 1), Jerk()
    assert jerk.means() is None
    every = torch.ones(2, dtype=torch.bool)
    jerk.add(cubic[:, :4], every, ~every)
    assert jerk.means() == [36.0, 0.0]
    jerk.add(cubic[:, 4:], every, every)
    jerk.add(100 * torch.ones(2, 3, 2), every, ~every)
    assert jerk.means() == [36.0, 0.0]
    jerk.add(torch.rand(2, 3, 2), ~every, ~every)
    assert jerk.means() == [36.0, 0.0]
