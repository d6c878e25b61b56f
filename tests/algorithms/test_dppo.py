# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""DPPO: a likelihood ratio and a trust region for each step of denoising, frozen first steps, and that it learns."""

import copy

import pytest
import torch

from flow_rl.testing import PointMass
from flow_rl.testing.bandit import Bandit
from tests.algorithms.conftest import collect, make_cfg, pretrained, success

PLAIN = {"clip_param_base": 0.03, "clip_param": 0.03, "final_learning_rate": 1e-3, "learning_rate": 1e-3}


def cfg_of(steps: int = 4, frozen: int = 0, prediction: str = "v", **algorithm) -> dict:
    """Configuration of a policy with a number of steps, of which the first are frozen."""
    cfg = make_cfg("dppo", **algorithm)
    cfg["actor"] |= {"num_flow_steps": steps, "prediction": prediction}
    cfg["actor"]["sampler"]["frozen_steps"] = frozen
    return cfg


@pytest.fixture
def make(make_runner):
    """Build a runner: `make(env=None, steps=4, frozen=0, **algorithm settings)`."""

    def build(env=None, **settings):
        return make_runner(cfg=cfg_of(**settings), env=env)

    return build


def one_batch(alg):
    return next(alg.storage.mini_batches(1))


@pytest.mark.parametrize(
    ("steps", "frozen", "prediction"), [(4, 0, "v"), (10, 5, "v"), (5, 4, "v"), (4, 1, "residual")]
)
def test_first_ratio_is_one(make, steps, frozen, prediction):
    """Before the first step the scored likelihoods equal the sampled ones, of one step alone, too."""
    alg = collect(make(steps=steps, frozen=frozen, prediction=prediction))
    batch = one_batch(alg)
    assert batch["chain"].shape[1:] == (steps - frozen + 1, 4) and batch["log_prob"].shape[1:] == (steps - frozen,)
    _, metrics = alg.losses(batch)
    assert metrics["ratio_error"] <= 1e-5
    assert alg.update()["ratio_error_first"] <= 1e-5


def test_likelihoods_are_those_of_normal_distributions(make):
    """Averages over the chunk of torch's own, each within its bounds, with the least deviation of judging."""
    alg = collect(make(min_sampling_std=0.05))
    batch = one_batch(alg)
    latent = alg.actor.get_latent(batch["obs"]).unsqueeze(1)
    mean, std = alg.actor.sampler.transitions(batch["chain"][:, :-1], latent, 0, 4)
    normal = torch.distributions.Normal(mean, std.clamp(min=0.1))
    expected = normal.log_prob(batch["chain"][:, 1:])
    torch.testing.assert_close(alg.score(batch["chain"], latent.squeeze(1)), expected.clamp(-5, 2).mean(dim=-1))
    far = batch["chain"] + 100.0 * (torch.arange(5) == 4)[:, None]
    assert (alg.score(far, latent.squeeze(1))[:, -1] == -5.0).all()


def test_exploration_has_the_deviations_of_its_steps(make):
    """DDIM's with eta = 1 and no less than the least one, bounded draws; the last state lies in the action box."""
    alg = make().alg
    alg.actor.sampler.clip = 0.5  # so that the box bounds nothing
    latent = torch.zeros(4000, 2)
    with torch.no_grad():
        decision = alg.explore(latent)
        chain = decision.record["chain"]
        mean, std = alg.actor.sampler.transitions(chain[:, :-1], latent.unsqueeze(1), 0, 4)
    std = std.clamp(min=0.1)
    torch.testing.assert_close(std[:, 0], alg.actor.output_std)
    drawn = (chain[:, 1:] - mean) / std
    assert drawn.abs().max() <= 3.0 + 1e-3
    torch.testing.assert_close(drawn.std(dim=(0, 2)), torch.full((4,), 0.9975), atol=0.02, rtol=0.0)
    assert std[:, 0].tolist() == pytest.approx([0.659, 0.367, 0.1, 0.1], abs=1e-3)
    assert torch.equal(decision.chunk, chain[:, -1]) and decision.chunk.abs().max() <= 1.0


def test_gradient_at_ratio_one_is_that_of_the_weighted_likelihoods(make):
    """Of -A_j grad log p_j, with advantages discounted towards the noise."""
    alg = collect(make(gamma_denoising=0.5))
    batch = one_batch(alg)
    parameters = list(alg.actor.velocity.parameters())
    found = torch.autograd.grad(alg.policy_loss(batch)[0], parameters)
    advantage = (batch["advantage"] - batch["advantage"].mean()) / (batch["advantage"].std() + 1e-8)
    weight = torch.tensor([0.125, 0.25, 0.5, 1.0])
    objective = (alg.score(batch["chain"], batch["obs"]["policy"]) * advantage.unsqueeze(-1) * weight).mean()
    expected = torch.autograd.grad(-objective, parameters)
    assert max(gradient.abs().max() for gradient in expected) > 1e-4
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-3)


def test_trust_regions_grow_towards_the_action(make):
    """From the base's width to the full one, as the exponential says; a single step has the full one."""
    alg = make(clip_param=0.02, clip_param_base=0.001, clip_rate=3.0).alg
    e = torch.tensor(3.0).exp()
    expected = [0.001 + 0.019 * float(((e ** (j / 3)) - 1) / (e - 1)) for j in range(4)]
    assert alg.clip.tolist() == pytest.approx(expected)
    assert make(frozen=3, clip_param=0.02).alg.clip.tolist() == pytest.approx([0.02])


def test_frozen_steps_stay_as_they_were_pretrained(make):
    """They begin as the pretrained policy's, never change, and are explored and played with."""
    runner = make(steps=4, frozen=2, learning_rate=1e-2, final_learning_rate=1e-2)
    alg, teacher = runner.alg, make(steps=4).alg.actor
    alg.load(pretrained(teacher))
    latent, noise = torch.randn(6, 2), torch.randn(6, 4)
    before = teacher.flow(latent, noise)
    runner.learn(2)
    states = teacher.velocity.state_dict()
    assert all(torch.equal(states[key], value) for key, value in alg.actor.sampler.frozen.state_dict().items())
    moved = [not torch.equal(a, b) for a, b in zip(alg.get_policy().flow(latent, noise), before, strict=True)]
    assert moved == [False, False, False, True, True]
    chains = []
    for policy in (alg.actor, teacher):
        torch.manual_seed(3)
        alg.actor = policy
        chains.append(alg.explore(latent).record["chain"])
    assert torch.equal(chains[0][:, 0], chains[1][:, 0]) and not torch.equal(chains[0][:, 1], chains[1][:, 1])


def test_without_learning_rate_nothing_moves(make):
    runner = make(learning_rate=0.0, final_learning_rate=0.0)
    before = copy.deepcopy(runner.alg.actor.state_dict())
    runner.learn(2)
    assert all(torch.equal(before[key], value) for key, value in runner.alg.actor.state_dict().items())


def test_only_policies_that_denoise(make_runner):
    """Others are refused, as denoising ones are by other learners, and the message says what to make."""
    cfg = make_cfg("dppo")
    cfg["actor"]["sampler"]["kind"] = "flow"
    with pytest.raises(ValueError, match=r"sampler.kind = 'flow' .*'denoising' .*pretrain.*sampler.kind=denoising"):
        make_runner(cfg=cfg)
    cfg = make_cfg("score_flow")
    cfg["actor"]["sampler"]["kind"] = "denoising"
    with pytest.raises(ValueError, match=r"sampler.kind = 'denoising' .*'flow' for this learner"):
        make_runner(cfg=cfg)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"clip_param": 0.0001}, r"clip_param = 0.0001 .*at least agent.algorithm.clip_param_base = 0.001"),
        ({"clip_param_base": 0.0}, r"clip_param_base = 0.0 .*> 0"),
        ({"clip_rate": 0.0}, r"clip_rate = 0.0 .*> 0"),
        ({"gamma_denoising": 1.1}, r"gamma_denoising = 1.1 .*\[0, 1\]"),
        ({"min_log_prob_std": 0.05, "min_sampling_std": 0.04}, r"min_log_prob_std = 0.05 .*>= 0.06.*use 0.1"),
        ({"min_sampling_std": 0.2}, r"min_sampling_std = 0.2 .*at most agent.algorithm.min_log_prob_std = 0.1"),
        ({"noise_clip": 0.0}, r"noise_clip = 0.0 .*> 0"),
    ],
)
def test_wrong_settings(settings, message, make):
    """Each message names the field, the value, the valid choices and the remedy."""
    with pytest.raises(ValueError, match=message):
        make(**settings)


class Quadratic(Bandit):
    """One decision per episode, best at a place within the box."""

    best = torch.tensor([0.4, -0.3])

    def step(self, actions):
        obs, _, dones, extras = super().step(actions)
        return obs, -(actions - self.best).square().sum(dim=-1), dones, extras


@pytest.mark.parametrize("frozen", [0, 1])
def test_the_mean_moves_to_the_best_action(make_runner, frozen):
    """Of chunks that are played without noise; with frozen first steps, too."""
    cfg = cfg_of(frozen=frozen, **PLAIN)
    cfg["actor"]["horizon"] = 1
    cfg["max_iterations"] = 40
    runner = make_runner(cfg=cfg, env=Quadratic(64))

    def distance() -> float:
        with torch.no_grad():
            return float((runner.alg.get_policy().sample(torch.zeros(500, 1)).mean(dim=0) - Quadratic.best).norm())

    before = distance()
    runner.learn(40)
    assert before > 0.5 and distance() < 0.2


def test_it_learns(make_runner):
    """From a random policy that rarely reaches the goal to one that mostly does."""
    cfg = cfg_of(**PLAIN)
    cfg["num_steps_per_env"], cfg["max_iterations"] = 16, 30
    runner = make_runner(cfg=cfg, env=PointMass(64))
    before = success(runner.alg.get_policy())
    runner.learn(30)
    after = success(runner.alg.get_policy())
    assert before < 0.5
    assert after > before + 0.3
