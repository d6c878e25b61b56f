# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""SAC Flow: likelihood of its paths, soft values, gradients through the steps, temperature, guards, learning."""

import copy
import math

import pytest
import torch
from tensordict import TensorDict
from torch.distributions import Normal

from flow_rl.algorithms.sac_flow import path_entropy
from flow_rl.algorithms.temperature import Temperature
from flow_rl.flows import gaussian_velocity, sample_chain
from flow_rl.objectives import flow_matching_loss
from flow_rl.testing import PointMass, bandit
from tests.algorithms.conftest import OnPolicyRunner, collect, make_cfg

SMALL = {"num_critic_updates": 4, "target_repeat": 2, "num_actor_updates": 2, "critic_batch_size": 8, "warmup_steps": 0}
SMALL |= {"imitation_coef": 0.0}


@pytest.fixture
def make_alg(make_runner):
    """A learner with a rollout in its replay: `make_alg(num_flow_steps=4, clip=None, **settings)`."""

    def make(num_flow_steps: int = 4, clip: float | None = None, **settings):
        cfg = make_cfg("sac_flow", **{**SMALL, **settings})
        cfg["actor"] |= {"num_flow_steps": num_flow_steps, "intermediate_clip": clip}
        alg = collect(make_runner(cfg=cfg))
        alg.replay.prepare(1, alg.settings.window)
        return alg

    return make


def states_of(alg, num: int = 16) -> TensorDict:
    return alg.replay.sample(num, 1, new_fraction=0.0, split=False)[0]


def hold_std(alg, std: float) -> None:
    """The same noise everywhere."""
    alg.noise_predictor.set_bounds(std, std)


# -- likelihood and entropy -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clip", [None, 1.0])
def test_the_density_is_that_of_all_states(make_alg, clip):
    """Sum over K + 1 Gaussians and all coordinates, of the end before it is clipped; means are clipped."""
    alg = make_alg(clip=clip)
    latent = torch.randn(500, 2)
    torch.manual_seed(3)
    chunks, log_prob = alg.chain(latent)
    torch.manual_seed(3)
    x = torch.randn(500, 4)
    expected = Normal(0.0, 1.0).log_prob(x).sum(-1)
    for i in range(4):
        t = torch.full((500, 1), i / 4)
        mean = x + alg.actor.drift(x, t, latent) / 4
        mean = mean if clip is None else mean.clamp(-clip, clip)
        std = alg.std(t, latent)
        x = mean + std * torch.randn(500, 4).clamp(-3, 3)
        expected = expected + Normal(mean, std).log_prob(x).sum(-1)
    torch.testing.assert_close(log_prob, expected)
    torch.testing.assert_close(chunks, x.clamp(-1, 1))
    assert (x.abs() > 1).any()


def test_one_step_of_a_flow_that_stands_still(make_alg):
    """v = 0, K = 1: log pi = log N(x_0; 0, I) + log N(x_1; x_0, sigma^2)."""
    alg = make_alg(num_flow_steps=1)
    for parameter in alg.actor.velocity.parameters():
        parameter.data.zero_()
    hold_std(alg, 0.1)
    torch.manual_seed(3)
    _, log_prob = alg.chain(torch.zeros(50, 2))
    torch.manual_seed(3)
    noise, more = torch.randn(50, 4), torch.randn(50, 4)
    step = Normal(0.0, 0.1).log_prob(0.1 * more.clamp(-3, 3))
    torch.testing.assert_close(log_prob, (Normal(0.0, 1.0).log_prob(noise) + step).sum(-1))


def test_entropy_of_a_path(make_alg):
    """Known values; 0 lies where (K + 1) / (2 K) log(2 pi e) = -log sigma; samples have it on average."""
    assert path_entropy(4, 7, 0.1) == pytest.approx(-14.81, abs=0.005)
    for num_steps, std in ((1, 0.0585), (4, 0.1697), (10, 0.2100)):
        assert path_entropy(num_steps, 1, std) == pytest.approx(0.0, abs=0.005 * num_steps)
    alg = make_alg(target_std=0.1)
    hold_std(alg, 0.1)
    _, log_prob = alg.chain(torch.randn(20000, 2))
    assert -log_prob.mean().item() == pytest.approx(alg.temperature.target_entropy, abs=0.1)


def test_gradients_through_the_steps_are_the_flows_own():
    """On the exact field of N(m, s^2) the end moves with x_0 by prod (1 + c(t_i) / K)."""
    noise = torch.randn(8, 1, requires_grad=True)
    mean, std = torch.tensor([0.1]), torch.tensor([0.2])
    drift = lambda x, t: gaussian_velocity(x, t, mean, std)[0]  # noqa: E731
    chain = sample_chain(drift, lambda x, t: torch.full_like(x, 0.05), noise.double(), 4)
    inside = chain.states[:, :-1].abs().amax(dim=(1, 2)) < 1  # no mean is clipped
    (slope,) = torch.autograd.grad(chain.states[:, -1].sum(), noise)
    assert inside.any() and slope[inside].flatten().tolist() == pytest.approx([0.09586] * int(inside.sum()), abs=1e-5)


# -- losses -----------------------------------------------------------------------------------------------------------


def test_the_policys_gradient_is_that_of_the_value_at_its_end(make_alg):
    """Without entropy and almost without noise: -dQ/da times the Jacobian of the Euler steps, by finite differences."""
    alg = make_alg(temperature=0.0, learn_temperature=False)
    hold_std(alg, 1e-7)
    batch = states_of(alg).repeat(4)
    torch.manual_seed(3)
    ends = alg.chain(alg.actor.get_latent(batch["obs"][:, 0]))[0]
    inside = ends.abs().amax(dim=-1) < 1.0
    assert inside.sum() > 5
    batch["valid"][:, 0] = inside
    torch.manual_seed(3)
    loss, _ = alg.actor_loss(batch)
    loss.backward()
    assert all(parameter.grad is None for parameter in alg.critic.parameters())
    actor, critic = copy.deepcopy(alg.actor).double(), copy.deepcopy(alg.critic).double()
    obs = batch["obs"][:, 0].to(torch.float64)
    torch.manual_seed(3)
    noise = torch.randn(64, 4).double()
    parameters = list(zip(alg.actor.velocity.parameters(), actor.velocity.parameters(), strict=True))
    directions = [torch.randn_like(double) for _, double in parameters]

    def value(shift: float) -> float:
        for (_, double), direction in zip(parameters, directions, strict=True):
            double.data.add_(shift * direction)
        ends = actor.flow(actor.get_latent(obs), noise)[-1].clamp(-1, 1)
        for (_, double), direction in zip(parameters, directions, strict=True):
            double.data.sub_(shift * direction)
        return -critic(critic.get_latent(obs).unsqueeze(0), ends.unsqueeze(0)).amin(0)[inside].mean().item()

    slope = (value(1e-6) - value(-1e-6)) / 2e-6
    found = sum((single.grad * way).sum().item() for (single, _), way in zip(parameters, directions, strict=True))
    assert found == pytest.approx(slope, rel=1e-2) and abs(slope) > 1e-4


def test_optimum_of_the_soft_loss(make_alg):
    """Q = -kappa / 2 |a - c|^2, K = 1: the mean is c whatever the first noise, and sigma^2 = alpha / kappa."""
    centre, kappa, alpha = torch.tensor([0.4, -0.3, 0.0, 0.2]), 4.0, 0.04
    alg = make_alg(num_flow_steps=1, temperature=alpha, learn_temperature=False, actor_batch_size=64)
    alg.value_gradient = lambda latent, chunks: (chunks[:, 0].detach(), -kappa * (chunks.detach() - centre))
    optimizer = torch.optim.Adam([*alg.actor.parameters(), *alg.noise_predictor.parameters()], lr=1e-2)
    batch = states_of(alg, 64)
    batch["valid"][:] = True
    for _ in range(300):
        optimizer.zero_grad()
        alg.actor_loss(batch)[0].backward()
        optimizer.step()
    latent = alg.actor.get_latent(batch["obs"][:, 0])
    chunks = alg.actor.sample(latent)
    assert (chunks - centre).abs().mean() < 0.06
    assert alg.std(torch.zeros(1, 1), latent).mean().item() == pytest.approx(math.sqrt(alpha / kappa), abs=0.015)


def test_soft_values_of_next_chunks(make_alg):
    """What is added is alpha (-log pi - H_target), of each draw its own; nothing where entropy is left out."""
    alg = make_alg(temperature=0.5, bootstrap_draws=3)
    obs = TensorDict({"policy": torch.randn(50, 2)}, batch_size=[50])
    torch.manual_seed(3)
    chunks, bonus = alg.next_chunks(obs)
    torch.manual_seed(3)
    for draw in range(3):
        expected, log_prob = alg.chain(alg.actor.get_latent(obs))
        torch.testing.assert_close(chunks[draw], expected)
        torch.testing.assert_close(bonus[draw], -0.5 * log_prob - 0.5 * alg.temperature.target_entropy)
    plain, none = make_alg(entropy_in_backup=False, value_range=[0.0, 1.0]).next_chunks(obs)
    assert plain.shape == (1, 50, 4) and none is None


def test_targets_contain_the_entropy(make_alg):
    """y = r + gamma (min Q' + alpha (-log pi - H_target)) where the episode goes on, and r alone where it ends."""
    alg = make_alg(gamma=0.9, lam=0.0, window=1, temperature=0.5)
    torch.manual_seed(3)
    batch = alg.sample_critic()
    torch.manual_seed(3)
    sampled = alg.replay.sample(16, 1, new_fraction=alg.settings.new_fraction)
    obs = sampled["obs"][:, :, 1:].flatten()
    chunks, bonus = alg.next_chunks(obs)
    values = alg.td_critic.target(torch.cat([alg.critic.get_latent(obs), chunks[0]], -1)[None]).squeeze(-1).amin(0)
    soft = (values + bonus[0]).view(2, 16, 1)
    expected = sampled["reward"] + 0.9 * soft * ~sampled["terminated"]
    torch.testing.assert_close(batch["targets"].squeeze(-1), expected)
    assert sampled["terminated"].any() and not sampled["terminated"].all()


def test_the_temperature_falls_where_entropy_is_high():
    """One step each way, and none where it is not learnt; weight decay leads to the first one."""
    for log_prob, rises in ((-5.0, False), (5.0, True)):
        temperature = Temperature(0.2, target_entropy=0.0)
        optimizer = torch.optim.SGD(temperature.parameters(), lr=0.1)
        temperature.loss(torch.full((3,), log_prob)).mean().backward()
        optimizer.step()
        assert (temperature() > 0.2).item() is rises
    assert not any(p.requires_grad for p in Temperature(0.2, 0.0, learn=False).parameters())
    temperature = Temperature(0.2, 0.0)
    temperature.log_scale.data.fill_(1.0)
    temperature.log_scale.grad = torch.zeros(())
    torch.optim.AdamW(temperature.parameters(), lr=1.0, weight_decay=1.0).step()
    assert temperature().item() == pytest.approx(0.2)


def test_alpha_brings_the_noise_to_what_is_asked(make_alg):
    """Whatever the critic says, sigma settles at `target_std`."""
    settings = {"temperature_learning_rate": 0.03, "learning_rate": 1e-3, "actor_batch_size": 32}
    alg = make_alg(num_flow_steps=1, target_std=0.15, temperature=0.003, **settings)
    alg.value_gradient = lambda latent, chunks: (chunks[:, 0].detach(), -0.2 * chunks.detach())
    sigma = [alg.actor_step(step)["sigma"] for step in range(200)]
    assert abs(sigma[0].item() - 0.15) > 0.03
    assert torch.stack(sigma[-50:]).mean().item() == pytest.approx(0.15, abs=0.02)
    assert alg.temperature().item() != pytest.approx(0.003)


def test_imitation_is_part_of_the_loss(make_alg):
    """Its weight counts and it is logged."""
    alg = make_alg()
    batch, losses = states_of(alg), {}
    for weight in (0.0, 0.5, 1.0):
        alg.settings.imitation_coef = weight
        torch.manual_seed(0)
        losses[weight], metrics = alg.actor_loss(batch)
        assert ("imitation" in metrics) == (weight > 0)
    assert (losses[1.0] - losses[0.5]).item() == pytest.approx(0.5 * metrics["imitation"].item(), rel=1e-3)
    assert metrics["imitation"] > 0


# -- guards -----------------------------------------------------------------------------------------------------------


def test_the_policy_leaves_the_critic_alone(make_alg):
    """A step of the policy moves policy, noise and temperature; normalisers and critic stay bit-identical."""
    alg = make_alg()
    before = {name: copy.deepcopy(alg.parts[name].state_dict()) for name in alg.parts}
    alg.actor_step(0)
    moved = {
        name: [key for key, value in alg.parts[name].state_dict().items() if not torch.equal(value, state[key])]
        for name, state in before.items()
    }
    assert not moved["critic"] and not moved["target"]
    assert moved["noise_predictor"] and moved["temperature"]
    assert moved["actor"] and all(key.startswith("sampler.velocity") for key in moved["actor"])


def test_without_learning_rates_nothing_moves(make_alg):
    rates = dict.fromkeys(("learning_rate", "final_learning_rate", "temperature_learning_rate"), 0.0)
    alg = make_alg(**rates, critic_learning_rate=0.0, final_critic_learning_rate=0.0)
    names = ("actor", "noise_predictor", "temperature")
    before = {name: copy.deepcopy(alg.parts[name].state_dict()) for name in names}
    mlp = copy.deepcopy(alg.critic.mlp.state_dict())
    alg.update()
    assert all(torch.equal(mlp[key], value) for key, value in alg.critic.mlp.state_dict().items())
    for name, state in before.items():
        assert all(torch.equal(state[key], value) for key, value in alg.parts[name].state_dict().items()), name


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"value_range": [0.0, 1.0]}, r"agent.algorithm.value_range = \[0.0, 1.0\] .*entropy_in_backup=false"),
        ({"target_std": 0.5}, r"agent.algorithm.target_std = 0.5 .*std_max = 0.3"),
        ({"target_std": 0.03}, r"agent.algorithm.target_std = 0.03 .*std_min = 0.03"),
        ({"std_min": 0.0}, r"agent.algorithm.std_min = 0.0 .*> 0"),
        ({"temperature": 0.0}, r"agent.algorithm.temperature = 0.0 .*learn_temperature=false"),
        ({"temperature": -1.0, "learn_temperature": False}, r"agent.algorithm.temperature = -1.0 .*>= 0"),
        ({"noise_clip": 0.0}, r"agent.algorithm.noise_clip = 0.0 .*> 0"),
        ({"temperature_learning_rate": -1.0}, r"agent.algorithm.temperature_learning_rate = -1.0"),
        ({"imitation_coef": -1.0}, r"agent.algorithm.imitation_coef = -1.0"),
    ],
)
def test_wrong_settings(settings, message, make_runner):
    with pytest.raises(ValueError, match=message):
        make_runner("sac_flow", **{**SMALL, **settings})


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("critic", {"dueling": True}, r"agent.critic.dueling = True .*entropy_in_backup=false"),
        ("actor", {"head": {"kind": "residual"}}, r"agent.actor.head.kind = 'residual' .*without a head"),
    ],
)
def test_networks_that_do_not_go_with_it(part, change, message, make_runner):
    cfg = make_cfg("sac_flow", **SMALL)
    cfg[part] |= change
    with pytest.raises(ValueError, match=message):
        make_runner(cfg=cfg)


def test_a_dueling_critic_without_entropy_in_values(make_runner):
    cfg = make_cfg("sac_flow", **SMALL, entropy_in_backup=False)
    cfg["critic"]["dueling"] = True
    runner = make_runner(cfg=cfg)
    runner.learn(1)
    assert all(torch.isfinite(value).all() for value in runner.alg.actor.state_dict().values())


# -- learning ---------------------------------------------------------------------------------------------------------


def test_a_bandit_moves_the_chunks_to_the_best_one(monkeypatch):
    """Reward -|a - c|^2: the mean of the policy that is played comes near c, from a random policy."""
    centre = torch.tensor([0.5, -0.4])
    monkeypatch.setattr(bandit, "reward", lambda actions: -(actions - centre).square().sum(-1))
    settings = {"gamma": 0.0, "window": 1, "learning_rate": 2e-3, "critic_learning_rate": 5e-3, "actor_batch_size": 64}
    cfg = make_cfg("sac_flow", **settings, num_critic_updates=64, num_actor_updates=32, critic_warmup=2)
    cfg |= {"max_iterations": 8, "num_steps_per_env": 4}
    cfg["actor"]["horizon"] = 1
    runner = OnPolicyRunner(bandit.Bandit(64), cfg, device="cpu")
    policy, latent = runner.alg.actor, torch.zeros(500, 1)

    def distance() -> float:
        return (policy.sample(latent).mean(0) - centre).norm().item()

    before = distance()
    runner.learn(8)
    assert before > 0.5 and distance() < 0.15


def test_a_policy_that_has_overshot_the_box_comes_back(make_alg):
    """With all chunks beyond a bound, and a critic that wants them inside, they do not stay there."""
    alg = make_alg(clip=1.0, learning_rate=1e-2)
    alg.value_gradient = lambda latent, chunks: (chunks[:, 0].detach(), -chunks.detach())
    alg.actor.velocity.backbone.net.output.bias.data.fill_(8.0)
    latent = torch.zeros(100, 2)
    assert (alg.actor.sample(latent) == 1.0).all()
    for step in range(60):
        alg.actor_step(step)
    assert alg.actor.sample(latent).abs().mean() < 0.5


def success(policy, num: int = 512) -> float:
    """Share of episodes of four decisions that the policy that is played succeeds in."""
    torch.manual_seed(77)
    env = PointMass(num, limit=4)
    obs, done, total = env.get_observations(), torch.zeros(num, dtype=torch.bool), torch.zeros(num)
    with torch.no_grad():
        for _ in range(4):
            obs, rewards, dones, _ = env.step(policy(obs))
            total += rewards * ~done
            done |= dones.bool()
    return total.mean().item()


def clone(policy, num_steps: int = 300) -> None:
    """Pretrain a policy on a slow and noisy way to the origin."""
    optimizer = torch.optim.Adam(policy.velocity.parameters(), lr=3e-3)
    for _ in range(num_steps):
        angle, radius = 2 * torch.pi * torch.rand(256, 1), 1.2 * torch.rand(256, 1)
        direction = torch.cat([angle.cos(), angle.sin()], dim=-1)
        actions = (0.6 * torch.randn(256, 4) - 0.4 * direction.repeat(1, 2)).clamp(-1, 1)
        latent = policy.get_latent({"policy": radius * direction})
        drift = lambda x, t, latent=latent: policy.velocity_field(x, t, latent)  # noqa: E731
        loss = flow_matching_loss(drift, actions, torch.randn(256, 4), torch.rand(256, 1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def test_a_clone_learns_to_succeed():
    """A cloned policy that reaches the goal in a third of its short episodes comes to reach it in most."""
    settings = {"learning_rate": 1e-3, "actor_batch_size": 64, "num_critic_updates": 64, "critic_warmup": 2}
    cfg = make_cfg("sac_flow", **settings) | {"max_iterations": 10}
    runner = OnPolicyRunner(PointMass(64, limit=4), cfg, device="cpu")
    clone(runner.alg.actor)
    runner.alg.policy_replaced()
    before = success(runner.alg.actor)
    runner.learn(10)
    after = success(runner.alg.actor)
    assert before < 0.5 and after > before + 0.3, (before, after)
