# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""QAM and TRQAM: what they lead to where it is known, what stays as it was, the multiplier, wrong settings."""

import copy
import math

import pytest
import torch
from rsl_rl.runners import OnPolicyRunner
from tensordict import TensorDict

from flow_rl import testing
from flow_rl.testing import FilmedPointMass, bandit
from tests.algorithms.conftest import collect, make_cfg

SMALL = {"num_critic_updates": 4, "target_repeat": 2, "num_actor_updates": 2, "critic_batch_size": 8, "warmup_steps": 0}


@pytest.fixture
def make_alg(make_runner):
    """A learner with a rollout in its replay: `make_alg(learner, env=None, **settings)`."""

    def make(learner="qam", env=None, **settings):
        alg = collect(make_runner(learner, env=env, **{**SMALL, "num_sde_steps": 4, **settings}))
        alg.replay.prepare(1, alg.settings.window)
        return alg

    return make


def states_of(alg, num: int = 16):
    return alg.replay.sample(num, 1, new_fraction=0.0, split=False)[0]


def parameters(module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(module, before: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(before[name], value) for name, value in module.state_dict().items())


class Hill(bandit.Bandit):
    """Its reward is -|a - c|^2."""

    CENTRE = torch.tensor([0.4, -0.3])

    def step(self, actions):
        obs, _, dones, extras = super().step(actions)
        return obs, -(actions - self.CENTRE).square().sum(dim=-1), dones, extras


def gaussian_runner(learner: str, mean: float, std: float, num_flow_steps: int, **settings) -> OnPolicyRunner:
    """A learner on a bandit; its policy is the exact flow to N(mean, std^2), which residual prediction begins with."""
    settings = {**SMALL, "num_sde_steps": 16, "gamma": 0.0, "window": 1, "value_range": None, **settings}
    cfg = make_cfg(learner, **settings)
    cfg["actor"] |= {
        "horizon": 1,
        "num_flow_steps": num_flow_steps,
        "prediction": "residual",
        "hidden_dims": [64, 64],
        "intermediate_clip": None,
    }
    cfg["num_steps_per_env"] = 4
    runner = OnPolicyRunner(Hill(64), cfg, device="cpu")
    velocity = runner.alg.actor.velocity
    velocity.action_mean.fill_(mean)
    velocity.action_std.fill_(std)
    for parameter in velocity.backbone.net.output.parameters():
        parameter.data.zero_()
    runner.alg.policy_replaced()
    return runner


def taught(learner: str, gradient, mean: float, std: float, num_steps: int, **settings):
    """A learner after steps on a critic whose gradient is known, with its metrics of each step."""
    rate = {"learning_rate": 3e-3, "final_learning_rate": 3e-3}
    alg = collect(gaussian_runner(learner, mean, std, 64, **{"behaviour": "pretrained", **rate, **settings}))
    alg.replay.prepare(1, alg.settings.window)
    alg.action_gradient = lambda latent, actions: gradient(actions)
    return alg, [alg.actor_step(step) for step in range(num_steps)]


def test_the_policy_becomes_the_tilted_gaussian():
    """N(0.2, 0.3^2) times exp(-eta kappa / 2 (a + 0.2)^2) is N(-0.057, 0.179^2), with a divergence of 0.58.

    On K = 16 steps the optimum, found by least squares on a line for each step, is N(-0.072, 0.152^2) and 0.78.
    """
    eta, kappa = 10.0, 2.0
    alg, log = taught("qam", lambda a: -kappa * (a + 0.2), 0.2, 0.3, 150, inverse_temperature=eta, actor_batch_size=96)
    chunks = alg.actor.flow(torch.zeros(4000, 1))[-1]
    assert chunks.mean().item() == pytest.approx(-0.072, abs=0.03)
    assert chunks.std(dim=0).mean().item() == pytest.approx(0.152, rel=0.08)
    divergence = torch.stack([entry["path_kl"] for entry in log[-20:]]).mean().item()
    assert divergence == pytest.approx(2 * 0.78, rel=0.1), "of two coordinates"


def test_a_budget_holds_the_divergence():
    """Whatever the scale of the critic, the multiplier finds the eta whose paths diverge by the budget."""
    found = {}
    for scale in (0.1, 3.0):
        alg, log = taught(
            "trqam",
            lambda a, scale=scale: scale * torch.ones_like(a),
            0.0,
            0.3,
            200,
            kl_budget=0.2,
            dual_rate=0.05,
            inverse_temperature=3.0,
            actor_batch_size=32,
            num_sde_steps=6,
        )
        assert torch.stack([entry["path_kl"] for entry in log[-30:]]).mean().item() == pytest.approx(0.2, rel=0.35)
        found[scale] = alg.budget.weight.item()
        assert alg.save()["budget_state_dict"]["weight"] == alg.budget.weight
    assert found[0.1] < 1.0 < found[3.0]
    assert found[3.0] / found[0.1] == pytest.approx(30.0, rel=0.5)


def test_the_multiplier_divides_eta(make_alg):
    """The loss is QAM's at eta / multiplier; steps of half the size halve eta."""
    alg = make_alg("trqam", inverse_temperature=8.0)
    assert alg.inverse_temperature == 8.0 and alg.name == "trqam"
    alg.budget.weight.fill_(4.0)
    batch = states_of(alg)
    torch.manual_seed(1)
    with_multiplier, _ = alg.actor_loss(batch)
    alg.budget, alg.settings.inverse_temperature = None, 2.0
    torch.manual_seed(1)
    plain, _ = alg.actor_loss(batch)
    torch.testing.assert_close(with_multiplier, plain)
    alg.scale_steps(0.5)
    assert alg.inverse_temperature == 1.0


def test_the_multiplier_follows_the_divergence(make_alg):
    alg = make_alg("trqam", kl_budget=0.5, dual_rate=0.1)
    for divergence, factor in ((0.25, math.exp(-0.05)), (0.5, 1.0), (9.0, math.exp(0.1))):
        alg.budget.weight.fill_(1.0)
        alg.budget.update(torch.tensor(divergence))
        assert alg.budget.weight.item() == pytest.approx(factor)
    for divergence, bound in ((0.0, 0.01), (9.0, 100.0)):
        for _ in range(200):
            alg.budget.update(torch.tensor(divergence))
        assert alg.budget.weight.item() == pytest.approx(bound)


def test_the_action_gradient_is_that_of_the_targets(make_alg):
    """Of the mean of the target's members, and exactly zero in coordinates outside the box."""
    alg = make_alg()
    for parameter in alg.critic.parameters():
        parameter.data.add_(1.0)
    latent, actions = torch.randn(6, 2), 0.5 * torch.randn(6, 4)
    actions[:, 0], actions[:, 1] = 1.2, -3.0
    gradient = alg.action_gradient(latent, actions)
    assert (gradient[:, :2] == 0).all() and (gradient[:, 2:] != 0).any()
    target = copy.deepcopy(alg.td_critic.target).double()
    direction = torch.randn(6, 4, dtype=torch.float64)

    def value(shift: float) -> torch.Tensor:
        moved = (actions.double() + shift * direction).clamp(-1, 1)
        return target(torch.cat([latent.double(), moved], dim=-1)[None]).mean(dim=0).squeeze(-1)

    slope = (value(1e-5) - value(-1e-5)) / 2e-5
    torch.testing.assert_close((gradient * direction).sum(-1), slope, atol=1e-5, rtol=1e-4, check_dtype=False)
    assert all(parameter.grad is None for parameter in alg.td_critic.target.parameters())


def test_without_values_the_policy_stays_the_behaviour(make_alg):
    """At eta = 0 the loss is zero where learning begins, and steps change nothing."""
    alg = make_alg(inverse_temperature=0.0, behaviour="pretrained")
    before = parameters(alg.actor)
    log = [alg.actor_step(step) for step in range(3)]
    assert all(entry["matching"] == 0 and entry["path_kl"] == 0 for entry in log)
    assert same(alg.actor, before)


@pytest.mark.parametrize("learner", ["qam", "trqam"])
def test_without_learning_rates_nothing_moves(learner, make_runner):
    rates = ("learning_rate", "final_learning_rate", "critic_learning_rate", "final_critic_learning_rate")
    runner = make_runner(learner, **SMALL, **dict.fromkeys(rates, 0.0))
    alg = runner.alg
    modules = [alg.actor, alg.critic.mlp, alg.td_critic.target, alg.slow, alg.behaviour]
    before = [parameters(module) for module in modules]
    runner.learn(1)
    assert all(same(module, state) for module, state in zip(modules, before, strict=True))


def test_the_behaviour_may_stay_as_it_was(make_runner, tmp_path):
    """Also when a run goes on from a checkpoint; the paper's clones what has been done."""
    runner = make_runner("qam", **SMALL, behaviour="pretrained")
    assert runner.alg.behaviour is None
    before = parameters(runner.alg.slow)
    runner.learn(3)
    assert same(runner.alg.slow, before) and not same(runner.alg.slow.policy, parameters(runner.alg.actor))
    runner.save(str(tmp_path / "model.pt"))
    other = make_runner("qam", **SMALL, behaviour="pretrained")
    other.load(str(tmp_path / "model.pt"))
    other.learn(1)
    assert same(other.alg.slow, before)


def test_the_slow_behaviour_follows_the_cloning_one(make_alg):
    """By the share of the target networks, after a step that moves the behaviour but not by the critic."""
    alg = make_alg(target_momentum=0.9)
    slow, actor = parameters(alg.slow.policy), parameters(alg.actor)
    alg.action_gradient = lambda latent, actions: torch.zeros_like(actions)
    alg.actor_step(0)
    assert same(alg.actor, actor) and not same(alg.behaviour, actor)
    for name, value in alg.slow.policy.named_parameters():
        torch.testing.assert_close(value, slow[name].lerp(alg.behaviour.state_dict()[name], 0.1))
    assert not any(parameter.requires_grad for parameter in alg.slow.parameters())


def test_the_behaviour_clones_the_replay(make_alg):
    alg = make_alg(learning_rate=1e-2, final_learning_rate=1e-2, actor_batch_size=64)
    alg._apply_schedules()
    alg.replay.action.fill_(0.5)
    losses = [alg.actor_step(step)["cloning"].item() for step in range(100)]
    assert losses[-1] < 0.4 * losses[0]
    assert (alg.behaviour.sample(torch.zeros(200, 2)) - 0.5).abs().mean() < 0.15


def test_an_empty_replay_teaches_nothing(make_runner):
    """The multiplier waits, and nothing but a finite zero is asked of the policy."""
    alg = make_runner("trqam", **SMALL).alg
    alg.replay.prepare(1, alg.settings.window)
    before = parameters(alg.actor)
    for parameter in alg.slow.parameters():
        parameter.data.add_(0.01)
    metrics = alg.actor_step(0)
    assert metrics["matching"] == 0 and metrics["cloning"] == 0 and same(alg.actor, before)
    assert alg.budget.weight == 1.0


def test_each_sees_pictures_with_its_own_encoder():
    """Where only the policy's encoder has moved, it has diverged from the behaviour."""
    alg = testing.make_runner("qam", pixels=True, **SMALL).alg
    obs = FilmedPointMass(8).get_observations()
    batch = batch_of(alg, obs)
    assert alg.actor_loss(batch)[1]["path_kl"] == 0.0
    with torch.no_grad():
        for parameter in alg.actor.observer.encoder.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    loss, metrics = alg.actor_loss(batch)
    assert metrics["path_kl"] > 1e-5
    loss.backward()
    for policy in (alg.actor, alg.behaviour):
        assert any(parameter.grad is not None for parameter in policy.observer.encoder.parameters())


def batch_of(alg, obs) -> TensorDict:
    obs = alg.door(obs).select(*alg.replay.groups)
    num = len(obs)
    return TensorDict(
        {
            "obs": torch.stack([obs, obs], dim=1),
            "action": torch.zeros(num, 1, 4),
            "valid": torch.ones(num, 1, dtype=torch.bool),
        },
        batch_size=[num],
    )


def test_a_dueling_critic_and_one_member(make_runner):
    cfg = make_cfg("qam", **SMALL)
    cfg["critic"] |= {"dueling": True, "num_members": 1}
    make_runner(cfg=cfg).learn(1)


@pytest.mark.parametrize("learner", ["qam", "trqam"])
def test_learning_on_a_bandit(learner):
    """With a critic that learns from what is done the mean moves to the best action."""
    settings = {"num_critic_updates": 32, "num_actor_updates": 12, "critic_batch_size": 64, "actor_batch_size": 64}
    settings |= {"critic_learning_rate": 3e-3, "learning_rate": 2e-3, "final_learning_rate": 1e-3, "target_repeat": 16}
    runner = gaussian_runner(learner, 0.0, 0.35, 10, **settings, critic_warmup=2, inverse_temperature=10.0)
    runner.alg.num_iterations = 10
    centre, policy = runner.env.CENTRE, runner.alg.actor

    def distance() -> float:
        return (policy.sample(torch.zeros(2000, 1)).mean(dim=0) - centre).norm().item()

    assert distance() > 0.45
    runner.learn(10)
    assert distance() < 0.2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_sde_steps": 1}, r"agent.algorithm.num_sde_steps = 1 .*>= 2"),
        ({"inverse_temperature": -1.0}, r"agent.algorithm.inverse_temperature = -1.0 .*>= 0"),
        ({"behaviour": "policy"}, r"agent.algorithm.behaviour = 'policy' .*'replay', 'pretrained'"),
        ({"kl_budget": 0.0}, r"agent.algorithm.kl_budget = 0.0 .*> 0 or null"),
        ({"kl_budget": 1.0, "inverse_temperature": 0.0}, r"agent.algorithm.inverse_temperature = 0.0 .*> 0"),
        ({"dual_rate": 0.0}, r"agent.algorithm.dual_rate = 0.0 .*> 0"),
    ],
)
def test_wrong_settings(settings, message, make_runner):
    """Each message names the field, the value, what is valid and the remedy."""
    with pytest.raises(ValueError, match=message):
        make_runner("qam", **SMALL, **settings)
