# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Flow-SDE: transitions, marginals, ratios of chains and of steps, what is played, and that it learns."""

import copy
import math

import pytest
import torch
from torch.distributions import Normal

from flow_rl.flows import ChainBounds, sample_chain, time_grid
from flow_rl.testing import PointMass
from tests.algorithms.conftest import collect, make_cfg, pretrained, success
from tests.algorithms.quadratic import Quadratic, be_gaussian, distance_from_best

FREE = ChainBounds(mean=math.inf, deviations=math.inf, action=math.inf)
every_ratio = pytest.mark.parametrize("ratio", ["chain", "step"])


def batch_of(alg):
    return next(alg.storage.mini_batches(1))


@pytest.fixture
def make_alg(make_runner):
    """A learner whose policy has as many steps: `make_alg(steps, **settings)`."""

    def make(steps: int = 4, **settings):
        cfg = make_cfg("flow_sde", **settings)
        cfg["actor"]["num_flow_steps"] = steps
        return make_runner(cfg=cfg).alg

    return make


@every_ratio
def test_first_ratio_is_one(ratio, make_runner):
    """Scoring shares grid, noise and bounds with sampling, while the noise is being lowered, too."""
    runner = make_runner("flow_sde", ratio=ratio, final_noise_level=0.05)
    levels = []
    for _ in range(3):
        alg = collect(runner)
        levels.append(alg.noise_level)
        assert alg.update()["ratio_error_first"] <= 1e-5
    assert levels[0] == 0.2 and levels[0] > levels[1] > levels[2]


def test_deviations_of_the_steps(make_alg):
    """g / sqrt(K), where t = 0 is evaluated as t = 1 / K: the first step's is the level itself."""
    alg = make_alg(4, noise_level=0.4)
    expected = 0.4 * torch.tensor([1.0, math.sqrt(3 / 4), 1 / 2, math.sqrt(1 / 12)])
    torch.testing.assert_close(alg.std(time_grid(4), torch.zeros(1, 2)).squeeze(-1), expected)
    assert float(make_alg(1).std(time_grid(1), torch.zeros(1, 2))) == pytest.approx(0.2)


def test_the_mean_in_terms_of_both_ends(make_alg):
    """x + (v + g^2 / 2 s) h is the mix of the ends that v points at, x_0^ = x - t v and x_1^ = x + (1 - t) v."""
    alg, h = make_alg(10, noise_level=0.5), 0.1
    x, t, latent = torch.randn(64, 10, 4), time_grid(10), torch.randn(64, 1, 2)
    v = alg.actor.velocity_field(x, t, latent)
    start, end = x - t * v, x + (1 - t) * v
    expected = start * (1 - t - h - alg.diffusion(t) ** 2 * h / (2 * (1 - t))) + end * (t + h)
    torch.testing.assert_close(x + h * alg.drift(x, t, latent), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("std", "level", "steps", "expected"),
    [
        (0.5, 0.3, 4, 0.3717),
        (0.5, 0.5, 1, 0.5154),
        (0.5, 0.5, 10, 0.4627),
        (0.5, 0.5, 100, 0.4986),
        (0.5, 0.7, 32, 0.4959),
        (1.0, 0.5, 4, 0.8199),
    ],
)
def test_the_deviation_at_the_end(std, level, steps, expected, make_alg):
    """Of chains along the exact velocity of N(m, s^2) it is known for each K, and tends to s whatever the noise."""
    torch.manual_seed(0)
    alg = make_alg(steps, noise_level=level)
    be_gaussian(alg.actor, torch.tensor([0.1, -0.2, 0.0, 0.2]), std)
    latent, noise = torch.zeros(1, 2), torch.randn(50_000, 4)
    chain = sample_chain(lambda x, t: alg.drift(x, t, latent), lambda x, t: alg.std(t, latent), noise, steps, FREE)
    ends = chain.action - torch.tensor([0.1, -0.2, 0.0, 0.2])
    assert float(ends.square().mean().sqrt()) == pytest.approx(expected, rel=0.01)
    assert float(ends.mean().abs()) < 0.01


def test_little_noise_leads_where_the_policy_is_played(make_alg):
    alg = make_alg(noise_level=1e-6, final_noise_level=1e-6)
    latent = torch.randn(16, 2)
    torch.manual_seed(3)
    chunk = alg.explore(latent).chunk
    torch.manual_seed(3)
    torch.testing.assert_close(chunk, alg.actor.sample(latent, torch.randn(16, 4)), atol=1e-4, rtol=0)


@every_ratio
def test_likelihoods_are_those_of_the_steps(ratio, make_runner):
    """One ratio is of the mean over the chain, x_0 among it; those of steps leave out x_0, which is always alike."""
    alg = collect(make_runner("flow_sde", ratio=ratio))
    chain, latent = alg.storage.data["chain"][0], alg.actor.get_latent(alg.storage.data["obs"][0]).unsqueeze(1)
    mean = (chain[:, :-1] + alg.drift(chain[:, :-1], time_grid(4), latent) / 4).clamp(-1, 1)
    std = torch.tensor([0.2, 0.2 * math.sqrt(3 / 4), 0.1, 0.2 * math.sqrt(1 / 12)]).view(4, 1)
    steps = Normal(mean, std).log_prob(chain[:, 1:]).mean(dim=-1)
    if ratio == "chain":
        start = Normal(0.0, 1.0).log_prob(chain[:, :1]).mean(dim=-1)
        steps = torch.cat([start, steps], dim=1).mean(dim=-1)
    torch.testing.assert_close(alg.storage.data["log_prob"][0], steps.detach(), rtol=1e-4, atol=1e-4)


def test_the_gradient_at_the_old_weights_is_the_policy_gradient(make_runner):
    """Where the ratio is 1, that of the loss is -A grad log p."""
    alg = collect(make_runner("flow_sde"))
    batch = batch_of(alg)
    advantage, latent = torch.randn(len(batch)), alg.actor.get_latent(batch["obs"])
    parameters = list(alg.actor.velocity.parameters())
    found = torch.autograd.grad(alg.surrogate_loss(batch, latent, advantage)[0], parameters)
    chain, per_step = batch["chain"], latent.unsqueeze(1)
    mean = (chain[:, :-1] + alg.drift(chain[:, :-1], time_grid(4), per_step) / 4).clamp(-1, 1)
    log_prob = Normal(mean, alg.std(time_grid(4), per_step)).log_prob(chain[:, 1:]).mean(dim=-1).sum(dim=-1) / 5
    for a, b in zip(found, torch.autograd.grad(-(advantage * log_prob).mean(), parameters), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("learner", ["flow_sde", "reinflow"])
def test_each_step_may_have_a_ratio(learner, make_runner):
    """It is clipped on its own, and early steps' advantages are discounted; every learner with chains can."""
    alg = collect(make_runner(learner, ratio="step", step_discount=0.5))
    with torch.no_grad():
        alg.actor.velocity.backbone.net.output.bias.add_(0.05)
    batch = batch_of(alg)
    assert batch["log_prob"].shape == (192, 4)
    latent, advantage = alg.actor.get_latent(batch["obs"]), torch.randn(192)
    chain = batch["chain"]
    mean = (chain[:, :-1] + alg.drift(chain[:, :-1], time_grid(4), latent.unsqueeze(1)) / 4).clamp(-1, 1)
    std = alg.std(time_grid(4), latent.unsqueeze(1))
    change = Normal(mean, std).log_prob(chain[:, 1:]).mean(dim=-1) - batch["log_prob"]
    ratio, weight = change.clamp(-1, 1).exp(), advantage.unsqueeze(-1) * torch.tensor([0.125, 0.25, 0.5, 1.0])
    expected = -torch.min(ratio * weight, ratio.clamp(0.99, 1.01) * weight).mean()
    loss, metrics = alg.surrogate_loss(batch, latent, advantage)
    torch.testing.assert_close(metrics["surrogate"], expected, rtol=1e-3, atol=1e-5)
    assert metrics["clip_fraction"] > 0


def test_the_plain_flow_is_played(make_runner, tmp_path):
    """No score drift is left in the policy, whoever trained it before, and none when it has learnt."""
    source = make_runner("score_flow")
    source.alg.actor.set_score_coefs([0.3, 0.25, 0.1, 0.05])
    source.save(str(tmp_path / "score_flow.pt"))
    runner = make_runner("flow_sde", from_scratch=False, bc_coef=1.0)
    runner.load(str(tmp_path / "score_flow.pt"))
    alg, latent = runner.alg, torch.randn(8, 2)
    for policy in (alg.actor, alg.anchor.policy):
        assert policy.score_coefs.tolist() == [0.0] * 4
    runner.learn(1)
    assert alg.actor.score_coefs.tolist() == [0.0] * 4
    x = noise = torch.randn(8, 4)
    for t in time_grid(4):
        x = (x + alg.actor.velocity_field(x, t.expand(8, 1), latent) / 4).clamp(-1, 1)
    torch.testing.assert_close(alg.get_policy().sample(latent, noise), x)


def test_only_the_policy_learns(make_runner):
    """There is no network of noise or of a coefficient; a rate of zero leaves the policy as it is."""
    runner = make_runner("flow_sde", learning_rate=0.0, final_learning_rate=0.0)
    assert set(runner.alg.parts) == {"actor", "critic", "reward_scaler", "probe"}
    before = copy.deepcopy(runner.alg.actor.state_dict())
    runner.learn(2)
    assert all(torch.equal(before[key], value) for key, value in runner.alg.actor.state_dict().items())


def test_the_pull_towards_the_pretrained_policy(make_runner):
    alg = make_runner("flow_sde", bc_coef=2.0).alg
    alg.load(pretrained(make_runner("flow_sde").alg.actor))
    obs = PointMass().get_observations()
    assert float(alg.anchor_loss(alg.actor.get_latent(obs), obs).detach()) == 0.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"noise_level": 0.0}, r"agent.algorithm.noise_level = 0.0 .*> 0"),
        ({"final_noise_level": -0.1}, r"agent.algorithm.final_noise_level = -0.1 .*> 0"),
        ({"ratio": "sample"}, r"ratio = 'sample' .*'chain', 'step'"),
        ({"step_discount": 1.5}, r"agent.algorithm.step_discount = 1.5 .*\[0, 1\]"),
        ({"noise_clip": 0.0}, r"agent.algorithm.noise_clip = 0.0 .*> 0"),
    ],
)
def test_wrong_settings(settings, message, make_runner):
    """Each message names the field, the value, the valid choices and the remedy."""
    with pytest.raises(ValueError, match=message):
        make_runner("flow_sde", **settings)


@every_ratio
def test_the_mean_moves_to_the_best_action(ratio, make_runner):
    """A bandit with reward -|a - c|^2."""
    cfg = make_cfg("flow_sde", ratio=ratio, clip_param=0.03, learning_rate=4e-3, final_learning_rate=1e-3)
    cfg["actor"]["horizon"], cfg["max_iterations"] = 1, 30
    runner = make_runner(cfg=cfg, env=Quadratic(64))
    before = distance_from_best(runner.alg.actor)
    runner.learn(30)
    after = distance_from_best(runner.alg.actor)
    assert after < 0.4 * before


def test_it_learns(make_runner):
    """From a random policy that rarely reaches the goal to one that mostly does."""
    cfg = make_cfg("flow_sde", learning_rate=2e-3, final_learning_rate=1e-3, clip_param=0.03)
    cfg["num_steps_per_env"], cfg["max_iterations"] = 16, 25
    runner = make_runner(cfg=cfg, env=PointMass(64))
    before = success(runner.alg.get_policy())
    runner.learn(25)
    after = success(runner.alg.get_policy())
    assert before < 0.5
    assert after > before + 0.3
