# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""DSRL: its prior, its two critics, its temperature, on a flow whose map from noise to chunk is known."""

import copy
import math

import pytest
import torch
from tensordict import TensorDict
from torch import nn
from torch.distributions import AffineTransform, Normal, TanhTransform, TransformedDistribution

from flow_rl.algorithms.temperature import Temperature
from flow_rl.flows import gaussian_velocity
from flow_rl.models import FlowPolicy, check_compatible
from flow_rl.nn import NoiseSteering, PriorSettings
from flow_rl.testing import PointMass
from flow_rl.testing.bandit import Bandit
from tests.algorithms.conftest import OnPolicyRunner, collect, make_cfg, pretrained

SMALL = {"num_critic_updates": 4, "target_repeat": 2, "num_actor_updates": 2, "num_distillation_updates": 2}
SMALL |= {"critic_batch_size": 16, "actor_batch_size": 32, "warmup_steps": 0}
MEAN, STD, GAIN = 0.1, 0.5, 0.34054
"""A world of normal actions, and what K = 4 Euler steps of its exact velocity multiply noise by."""
AIM = torch.tensor([0.4, -0.1])
"""The best action."""


class ExactField(nn.Module):
    """The velocity of N(MEAN, STD^2), without parameters."""

    def forward(self, x, t, latent):
        return gaussian_velocity(x, t, torch.tensor(MEAN), torch.tensor(STD))[0]


class Parabola(Bandit):
    """One decision per episode, rewarded by how near the action is to the aim."""

    def step(self, actions):
        obs, _, dones, extras = super().step(actions)
        return obs, -4 * (actions - AIM).square().sum(dim=-1), dones, extras


@pytest.fixture
def make_alg(make_runner):
    """A learner with a rollout in its replay: `make_alg(env=None, **settings)`."""

    def make(env=None, **settings):
        alg = collect(make_runner("dsrl", env=env, **{**SMALL, **settings}))
        alg.replay.prepare(1, alg.settings.window)
        return alg

    return make


def steering(bound: float | None = 1.5, scale: float = 0.0) -> NoiseSteering:
    """A prior of chunks of size 3 and latents of size 2, whose last layer is random of this size."""
    module = NoiseSteering(3, 2, PriorSettings("steered", bound, [16]))
    nn.init.normal_(module.net[-1].weight, std=scale)
    return module


def states_of(alg, num: int = 16) -> TensorDict:
    return alg.replay.sample(num, 1, new_fraction=0.0, split=False)[0]


"""
The prior.
"""


@pytest.mark.parametrize("bound", [0.7, 1.5, None])
def test_density_of_steered_noise(bound):
    """It is that of the transformed normal distribution, and finite where tanh rounds to one."""
    module, latent, noise = (
        steering(bound, scale=1.0).double(),
        torch.randn(50, 2).double(),
        torch.randn(50, 3).double(),
    )
    drawn, log_prob = module.draw(noise, latent)
    mean, log_std = module.gaussian(latent)
    expected = Normal(mean, log_std.exp())
    if bound is not None:
        expected = TransformedDistribution(expected, [AffineTransform(0.0, 1.0 / bound), TanhTransform()])
    torch.testing.assert_close(log_prob, expected.log_prob(drawn / (bound or 1.0)).sum(-1))
    torch.testing.assert_close(module(noise, latent), drawn)
    far, log_prob = module.float().draw(torch.full((1, 3), 1e3), torch.full((1, 2), 1e3))
    assert log_prob.isfinite().all() and (bound is None or far.abs().max() <= bound)


def test_a_new_prior_only_bounds_noise():
    """Without a bound noise passes bit for bit, with one where it is small; zero noise is the mean's."""
    latent, noise = torch.randn(500, 2), torch.randn(500, 3)
    assert torch.equal(steering(None)(noise, latent), noise)
    bounded = steering(1.5)(noise, latent)
    small = noise.abs() < 0.1
    torch.testing.assert_close(bounded[small], noise[small], atol=2e-4, rtol=0.0)
    truncated = noise[noise.abs() < 1.5]  # what the box leaves of N(0, 1) varies as much
    assert bounded.std().item() == pytest.approx(truncated.std().item(), rel=0.05)
    module = steering(1.5, scale=1.0)
    torch.testing.assert_close(module(0 * noise, latent), 1.5 * torch.tanh(module.gaussian(latent)[0] / 1.5))


def test_a_pretrained_policy_is_played_as_it_was(make_runner, tmp_path):
    """Its checkpoint has no prior: all else is loaded strictly, and the new prior's noise leads the flow's way."""
    base = FlowPolicy.from_settings(make_runner("dsrl").alg.actor.settings | {"prior": {"kind": "normal"}})
    torch.save(pretrained(base), tmp_path / "pretrained.pt")
    cfg = make_cfg("dsrl", from_scratch=False)
    cfg["actor"]["prior"]["bound"] = None
    runner = make_runner(cfg=cfg)
    runner.load(str(tmp_path / "pretrained.pt"))
    latent = torch.randn(64, 2)
    torch.manual_seed(1)
    chunk = runner.alg.explore(latent).chunk
    torch.manual_seed(1)
    assert torch.equal(chunk, base.sample(latent))
    policy = runner.alg.get_policy()
    assert torch.equal(policy.sample(latent, latent.repeat(1, 2)), base.sample(latent, latent.repeat(1, 2)))
    broken = pretrained(base)
    del broken["actor_state_dict"]["sampler.velocity.backbone.net.output.bias"]
    torch.save(broken, tmp_path / "broken.pt")
    with pytest.raises(RuntimeError, match="output.bias"):
        runner.load(str(tmp_path / "broken.pt"))
    with pytest.raises(ValueError, match="prior.kind steered vs normal"):
        check_compatible({"policy": policy.settings}, base.settings)


def test_other_learners_start_where_the_prior_says(make_runner):
    """A policy that DSRL has steered can be handed on: chains begin, and flows are probed, from steered noise."""
    cfg = make_cfg("score_flow")
    cfg["actor"]["prior"] = {"kind": "steered", "bound": 0.3}
    alg = make_runner(cfg=cfg).alg
    states = alg.explore(torch.randn(16, 2)).record["chain"]
    assert 0.2 < states[:, 0].abs().max() <= 0.3


"""
Acting and values.
"""


@pytest.mark.parametrize("variant", ["NA", "SAC"])
def test_only_the_prior_learns(make_runner, variant):
    """Flow and encoder are bit-identical after training, no gradient reaches them, and the prior has moved."""
    runner = make_runner("dsrl", env=PointMass(8), variant=variant, **SMALL)
    alg = runner.alg
    before = copy.deepcopy(alg.actor.state_dict())
    runner.learn(2)
    after = alg.actor.state_dict()
    moved = {key for key, value in before.items() if not torch.equal(value, after[key])}
    assert moved and all(key.startswith("prior.steering.") for key in moved)
    frozen = [parameter for name, parameter in alg.actor.named_parameters() if not name.startswith("prior.")]
    assert frozen and all(parameter.grad is None and not parameter.requires_grad for parameter in frozen)
    names = {"temperature_state_dict", "noise_critic_state_dict"}
    assert names & alg.save().keys() == (names if variant == "NA" else {"temperature_state_dict"})
    assert ("noise_critic" in alg.optimizer.groups) == (variant == "NA")


def test_zero_rates_change_nothing(make_runner):
    rates = ("learning_rate", "final_learning_rate", "critic_learning_rate", "final_critic_learning_rate")
    rates = dict.fromkeys((*rates, "temperature_learning_rate"), 0.0)
    runner = make_runner("dsrl", env=PointMass(8), **SMALL, **rates)
    modules = [runner.alg.parts[name] for name in ("actor", "critic", "temperature", "noise_critic", "target")]
    before = [parameter.clone() for module in modules for parameter in module.parameters()]
    runner.learn(2)
    after = [parameter for module in modules for parameter in module.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("variant", ["NA", "SAC"])
def test_the_replay_keeps_what_the_critic_judges(make_runner, variant):
    """The executed chunk, or the noise that the flow made it of."""
    alg = make_runner("dsrl", env=PointMass(8), variant=variant, **SMALL).alg
    obs = alg.env.get_observations()
    alg.train_mode()
    executed = alg.act(obs)
    kept = alg.replay.action[alg.replay.slot, 0]
    assert executed.abs().max() <= 1.0
    if variant == "SAC":
        assert 1.0 < kept.abs().max() <= 1.5
        kept = alg.end(alg.actor.get_latent(obs), kept)
    torch.testing.assert_close(kept, alg.actor.action_normalizer(executed))


def test_an_identity_flow_makes_both_versions_the_same(make_alg):
    """With v = 0 and b <= 1 chunks are noise, so that values of next decisions and their entropies are SAC's."""

    def following(variant: str) -> tuple[torch.Tensor, torch.Tensor]:
        alg = make_alg(variant=variant, bootstrap_draws=3)
        for parameter in alg.actor.velocity.parameters():
            parameter.zero_()
        alg.actor.prior.steering.bound = 0.9
        obs = TensorDict({"policy": torch.randn(5, 2)}, batch_size=[5])
        torch.manual_seed(2)
        chunks, bonus = alg.next_chunks(obs)
        torch.manual_seed(2)
        noise, log_prob = alg.draw(alg.actor.get_latent(obs).repeat(3, 1))
        torch.testing.assert_close(chunks, noise.view(3, 5, 4))
        torch.testing.assert_close(bonus, -0.01 * log_prob.view(3, 5))
        return chunks, bonus

    with torch.no_grad():
        for first, second in zip(following("NA"), following("SAC"), strict=True):
            torch.testing.assert_close(first, second)


def test_values_without_entropies(make_alg):
    obs = TensorDict({"policy": torch.randn(5, 2)}, batch_size=[5])
    chunks, bonus = make_alg(backup_entropy=False, value_range=[0.0, 1.0]).next_chunks(obs)
    assert bonus is None and chunks.shape == (1, 5, 4)


"""
Losses.
"""


def test_nothing_is_left_to_distil_of_the_same_function(make_alg, monkeypatch):
    """With Q^W := Q^A o F the loss is zero whichever noise is drawn; with any other it teaches Q^W alone."""
    alg = make_alg()
    batch = states_of(alg)
    obs, exists = batch["obs"][:, 0], batch["valid"].squeeze(-1)
    assert exists.any()
    loss = alg.distillation_loss(obs, exists)
    alg.optimizer.zero_grad()
    loss.backward()
    reached = {name for name, part in alg.parts.items() if any(p.grad is not None for p in part.parameters())}
    assert loss > 1e-6 and reached == {"noise_critic"}
    latent = alg.actor.get_latent(obs)
    monkeypatch.setattr(alg, "noise_values", lambda seen, noise: alg.critic(seen[None], alg.end(latent, noise)[None]))
    assert alg.distillation_loss(obs, exists).item() == 0.0


@pytest.mark.parametrize("variant", ["NA", "SAC"])
def test_gradients_of_the_actor(make_alg, variant):
    """They are those of alpha log pi - min Q for the prior, of alpha's loss for alpha, and no critic gets any."""
    alg = make_alg(variant=variant)
    nn.init.normal_(alg.actor.prior.steering.net[-1].weight, std=0.3)
    batch = states_of(alg)
    alg.optimizer.zero_grad()
    torch.manual_seed(4)
    loss, metrics = alg.actor_loss(batch)
    loss.backward()
    found = [parameter.grad.clone() for parameter in alg.actor.prior.parameters()]
    reached = {name for name, part in alg.parts.items() if any(p.grad is not None for p in part.parameters())}
    assert reached == {"actor", "temperature"}

    obs, exists = batch["obs"][:, 0], batch["valid"].squeeze(-1)
    torch.manual_seed(4)
    noise, log_prob = alg.draw(alg.actor.get_latent(obs))
    values = alg.noise_values(alg.critic.get_latent(obs), noise).amin(dim=0)
    direct = ((0.01 * log_prob - values) * exists).sum() / exists.sum()
    expected = torch.autograd.grad(direct, list(alg.actor.prior.parameters()))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)
    target = -(log_prob * exists).sum() / exists.sum()
    torch.testing.assert_close(alg.temperature.log_scale.grad, 0.01 * target.detach())
    assert metrics["entropy"].item() == pytest.approx(target.item() / 4, rel=1e-4)


def test_the_temperature_holds_an_entropy():
    """One step lowers it where the entropy is above its target, and raises it where it is below."""
    for entropy, falls in ((2.5, True), (1.5, False)):
        temperature = Temperature(0.5, target_entropy=2.0)
        optimizer = torch.optim.Adam(temperature.parameters(), lr=0.1)
        temperature.loss(torch.full((8,), -entropy)).mean().backward()
        optimizer.step()
        assert (temperature() < 0.5) == falls
        assert not temperature().requires_grad


def exact(runner: OnPolicyRunner) -> OnPolicyRunner:
    """Give the policy the flow that is known."""
    runner.alg.actor.sampler.velocity = ExactField()
    return runner


def bandit_cfg(bound: float = 1.5, **settings) -> dict:
    cfg = make_cfg("dsrl", gamma=0.0, window=1, **settings)
    cfg["actor"] |= {"horizon": 1, "num_flow_steps": 4, "intermediate_clip": None}
    cfg["actor"]["prior"] |= {"bound": bound, "hidden_dims": [16]}
    return cfg | {"num_steps_per_env": 4, "max_iterations": 20}


@pytest.mark.parametrize("bound", [0.5, 1.5])
def test_the_noise_goes_where_the_best_action_is_within_reach(make_runner, bound):
    """Of the known world: w* = clip((a* - m) / G_K, +-b), the critic of noise being exact."""
    runner = exact(make_runner(env=Parabola(8), cfg=bandit_cfg(bound, target_entropy=-3.0, initial_temperature=1e-3)))
    alg = collect(runner)
    latent = torch.zeros(1, 1)
    noise = torch.tensor([[0.5, -1.0]])
    torch.testing.assert_close(alg.end(latent, noise), MEAN + GAIN * noise, atol=1e-5, rtol=0.0)
    alg.noise_values = lambda seen, noise: -(MEAN + GAIN * noise - AIM).square().sum(-1)[None]
    alg.begin_iteration = lambda: None
    alg.replay.prepare(1)
    alg.optimizer.group("actor")["lr"] = 0.02
    for step in range(150):
        alg.actor_step(step)
    expected = ((AIM - MEAN) / GAIN).clamp(-bound, bound)
    torch.testing.assert_close(alg.actor.prior(latent, torch.zeros(1, 2))[0], expected, atol=0.05, rtol=0.0)


@pytest.mark.parametrize("variant", ["NA", "SAC"])
def test_learning_from_rewards_alone(make_runner, variant):
    """From interaction, with the whole learner: the reward rises from the base's towards 0, the mean to the aim.

    The base earns -4 E|a - a*|^2 = -4 (0.13 + 2 (0.74 G_K)^2) = -1.03 with what the box leaves of its noise.
    """
    settings = SMALL | {"num_critic_updates": 32, "num_actor_updates": 32, "num_distillation_updates": 32}
    settings |= {"learning_rate": 3e-3, "critic_learning_rate": 1e-2, "target_repeat": 16, "critic_warmup": 4}
    settings |= {"initial_temperature": 0.1, "temperature_learning_rate": 1e-2}
    runner = exact(make_runner(env=Parabola(32), cfg=bandit_cfg(variant=variant, **settings)))
    policy, latent = runner.alg.get_policy(), torch.zeros(2000, 1)

    def measure() -> tuple[float, torch.Tensor]:
        actions = policy.sample(latent).detach()
        return -4 * (actions - AIM).square().sum(dim=-1).mean().item(), actions.mean(dim=0)

    before, mean = measure()
    assert before == pytest.approx(-1.03, abs=0.08)
    torch.testing.assert_close(mean, torch.full((2,), MEAN), atol=0.03, rtol=0.0)
    runner.learn(12)
    after, mean = measure()
    assert after > -0.4
    assert (mean - AIM).norm() < 0.6 * (MEAN - AIM).norm()


"""
Settings.
"""


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"value_range": [0.0, 1.0]}, r"agent.algorithm.value_range = .*null.*backup_entropy=false"),
        ({"initial_temperature": 0.0}, r"agent.algorithm.initial_temperature = 0.0 .*> 0"),
        ({"num_distillation_updates": 0}, r"agent.algorithm.num_distillation_updates = 0 .*>= 1"),
        ({"distillation_own_fraction": 1.5}, r"agent.algorithm.distillation_own_fraction = 1.5 .*\[0, 1\]"),
        ({"variant": "PPO"}, r"agent.algorithm.variant = 'PPO' .*'NA', 'SAC'"),
    ],
)
def test_wrong_settings(make_runner, settings, message):
    with pytest.raises(ValueError, match=message):
        make_runner("dsrl", **settings)


def test_what_does_not_suit_the_learner_is_refused(make_runner):
    """A policy without a prior to learn, and returns that know of no entropies."""
    cfg = make_cfg("dsrl")
    cfg["actor"]["prior"]["kind"] = "normal"
    with pytest.raises(ValueError, match=r"agent.actor.prior.kind = 'normal' .*'steered'"):
        make_runner(cfg=cfg)
    cfg = make_cfg("dsrl")
    cfg["critic"]["dueling"] = True
    with pytest.raises(ValueError, match=r"agent.critic.dueling = True .*backup_entropy=false"):
        make_runner(cfg=cfg)
    cfg = make_cfg("dsrl", backup_entropy=False, value_range=[0.0, 1.0], **SMALL)
    cfg["critic"]["dueling"] = True
    make_runner(cfg=cfg, env=PointMass(8)).learn(1)


def test_noise_is_uniform_at_most(make_alg):
    """Entropies are per coordinate of w / b: a new prior is just below a uniform one's log 2."""
    alg = make_alg(actor_batch_size=512)
    entropy = alg.actor_loss(states_of(alg, 512))[1]["entropy"].item()
    assert 0.5 < entropy < math.log(2)
