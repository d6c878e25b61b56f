# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The off-policy residual: what it plays and keeps, its gradient, its targets, its schedule, and that it learns."""

import copy

import pytest
import torch
from tensordict import TensorDict

from flow_rl.testing import FilmedPointMass, PointMass
from flow_rl.testing.bandit import Bandit
from tests.algorithms.conftest import collect, make_cfg, pretrained, success
from tests.algorithms.test_pixels import pixels_cfg

SMALL = {"num_critic_updates": 4, "target_repeat": 2, "num_actor_updates": 2, "critic_batch_size": 8, "warmup_steps": 0}
MEAN, STD = 0.1, 0.2
"""The base's chunks in the linear-Gaussian world."""
SPREAD = 0.09586
"""Factor of the initial noise after four Euler steps there."""


class Quadratic(Bandit):
    """One decision per episode, rewarded by -|a - c|^2."""

    centre = torch.tensor([0.25, 0.0])

    def step(self, actions):
        obs, _, dones, extras = super().step(actions)
        return obs, -(actions - self.centre).square().sum(dim=-1), dones, extras


def gaussian_base(alg) -> None:
    """Let the flow be that of independent normal actions."""
    alg.actor.velocity.action_mean.fill_(MEAN)
    alg.actor.velocity.action_std.fill_(STD)
    for parameter in alg.actor.velocity.backbone.parameters():
        parameter.data.zero_()


def bandit_cfg(learner: str, scale: float = 0.3, **algorithm) -> dict:
    """A learner on the bandit, with a correction that reaches the best action."""
    cfg = make_cfg(learner, gamma=0.0, **algorithm)
    cfg["actor"] |= {"horizon": 1, "prediction": "residual", "intermediate_clip": None}
    cfg["actor"]["head"] = {"kind": "residual", "scale": scale, "hidden_dims": [32, 32]}
    return cfg


def shake(alg, std: float = 3.0) -> None:
    """Make the correction something."""
    torch.nn.init.normal_(alg.actor.head.net[-1].weight, std=std)


def check_frozen(runner, iterations: int = 2) -> None:
    """Training moves the head alone, and no gradient reaches the rest."""
    alg = runner.alg
    before = copy.deepcopy(alg.actor.state_dict())
    runner.learn(iterations)
    moved = {key for key, value in alg.actor.state_dict().items() if not torch.equal(before[key], value)}
    assert moved and all(key.startswith("head.") for key in moved)
    rest = [*alg.actor.velocity.parameters(), *alg.actor.observer.parameters()]
    assert rest and all(parameter.grad is None for parameter in rest)
    learnt = {id(parameter) for parameter in alg.optimizer.group("actor")["params"]}
    assert learnt.isdisjoint(map(id, rest)) and learnt.issuperset(map(id, alg.actor.head.parameters()))


@pytest.fixture
def make_alg(make_runner):
    """A learner with a rollout in its replay: `make_alg(env=None, **settings)`."""

    def make(env=None, **settings):
        alg = collect(make_runner("residual", env=env, **{**SMALL, **settings}))
        alg.replay.prepare(1, alg.settings.window)
        return alg

    return make


@pytest.mark.parametrize("pixels", [False, True], ids=["state", "pixels"])
def test_the_base_stays(pixels, make_runner):
    cfg = (pixels_cfg if pixels else make_cfg)("residual", **SMALL)
    check_frozen(make_runner(env=FilmedPointMass(8) if pixels else None, cfg=cfg))


def test_a_new_correction_plays_the_base(make_runner):
    """Bit for bit; also of a policy that was pretrained without a head."""
    alg = make_runner("residual", exploration_std=0.0, target_std=0.0, from_scratch=False).alg
    cfg = make_cfg("residual")
    cfg["actor"]["head"] = {"kind": "none"}
    cfg["algorithm"] |= {"class_name": "flow_rl.algorithms.rldt:Rldt"}
    cfg["algorithm"] = {key: cfg["algorithm"][key] for key in ("class_name",)}
    plain = make_runner(cfg=cfg).alg.actor
    alg.load(pretrained(plain))
    obs = PointMass().get_observations()
    latent, noise = alg.actor.get_latent(obs), torch.randn(32, 4)
    base = plain.sample(plain.get_latent(obs), noise)
    assert torch.equal(alg.get_policy().sample(latent, noise), base)
    alg.flow = lambda latent: alg.actor.flow(latent, noise)
    assert torch.equal(alg.explore(latent).chunk, base)
    assert torch.equal(alg.next_chunks(obs)[0][0], base)


def test_what_is_executed_is_kept(make_runner):
    """The clipped sum, within reach of the base where no noise is added."""
    runner = make_runner("residual", exploration_std=0.0, **SMALL)
    alg, env = runner.alg, runner.env
    shake(alg)
    bases, executed, flow, step = [], [], alg.flow, env.step
    alg.flow = lambda latent: bases.append(flow(latent)) or bases[-1]
    env.step = lambda actions: executed.append(actions) or step(actions)
    env.max_episode_length = 100
    collect(runner)
    bases, executed = torch.stack([states[-1] for states in bases]).clamp(-1, 1), torch.stack(executed)
    moved = (alg.actor.action_normalizer(executed) - bases).abs()
    assert 0.05 < moved.max() <= alg.actor.head.scale + 1e-6 and executed.abs().max() <= 1.0
    ended = alg.replay.length[alg.replay.ring[:-1]].max()
    slot = alg.replay.ring[:-1][alg.replay.length[alg.replay.ring[:-1]].argmax()]
    kept = alg.replay.action[slot, :ended]
    found = (executed[:, None] - kept[None, :, None]).abs().amax(dim=-1)  # (T, steps, E)
    assert found.amin(dim=0).amin(dim=-1).max() == 0.0
    assert ended > 1


@torch.no_grad()
def test_exploration(make_runner):
    """Noise of its deviation; uniform corrections while the critic warms up; then the sum is clipped."""
    runner = make_runner(cfg=bandit_cfg("residual", critic_warmup=1, random_scale=0.2), env=Quadratic(8))
    alg = runner.alg
    gaussian_base(alg)
    noise = 0.1 * torch.randn(4000, 2)
    alg.flow = lambda latent: alg.actor.flow(latent, noise)
    latent = torch.zeros(4000, 1)
    base = alg.base(latent)
    torch.testing.assert_close(base, MEAN + SPREAD * noise, rtol=1e-3, atol=1e-4)
    played = alg.explore(latent).chunk - base
    assert played.abs().max() <= 0.2 + 1e-6 and played.std() == pytest.approx(0.2 / 3**0.5, rel=0.03)
    alg.iteration = 1
    played = alg.explore(latent).chunk - base
    assert played.std() == pytest.approx(0.05, rel=0.03) and abs(played.mean()) < 0.003
    alg.settings.exploration_std = 5.0
    assert alg.explore(latent).chunk.abs().max() == 1.0


@torch.no_grad()
def test_the_progressive_schedule(make_runner):
    """The share of corrected decisions rises from none to all; the others are the base's, without noise."""
    alg = make_runner("residual", progressive=4).alg
    latent, noise = torch.randn(4000, 2), 0.2 * torch.randn(4000, 4)
    alg.flow = lambda latent: alg.actor.flow(latent, noise)
    base = alg.base(latent)
    for iteration, share in ((0, 0.0), (1, 0.25), (3, 0.75), (4, 1.0), (9, 1.0)):
        alg.iteration = iteration
        corrected = (alg.explore(latent).chunk != base).any(dim=-1).float().mean().item()
        assert alg.share == share and corrected == pytest.approx(share, abs=0.03 * (0 < share < 1))


@torch.no_grad()
def test_noise_of_targets_is_bounded(make_alg):
    alg = make_alg(target_std=0.5, target_clip=0.1, bootstrap_draws=3)
    shake(alg)
    obs = PointMass().get_observations()
    noise = 0.2 * torch.randn(32, 4)
    alg.flow = lambda latent: alg.actor.flow(latent, noise)
    chunks, bonus = alg.next_chunks(obs)
    expected = alg.actor.sample(alg.actor.get_latent(obs), noise)
    assert chunks.shape == (3, 32, 4) and bonus is None and chunks.abs().max() <= 1.0
    moved = (chunks - expected).abs().max()
    assert moved == pytest.approx(0.1, abs=1e-6)


def test_values_reach_the_chunks_alone(make_alg):
    """They are the critic's, with its gradient in the chunk, and its parameters get none."""
    alg = make_alg()
    obs, chunks = PointMass().get_observations(), torch.rand(32, 4, requires_grad=True)
    values = alg.values(obs, chunks)
    expected = alg.critic(alg.critic.get_latent(obs).unsqueeze(0), chunks.unsqueeze(0))
    torch.testing.assert_close(values, expected)
    torch.testing.assert_close(torch.autograd.grad(values.sum(), chunks), torch.autograd.grad(expected.sum(), chunks))
    loss, metrics = alg.actor_loss(alg.replay.sample(16, 1, new_fraction=0.0, split=False)[0])
    loss.backward()
    assert all(parameter.grad is None for parameter in alg.critic.parameters())
    assert alg.actor.head.net[-1].weight.grad.any() and all(not value.requires_grad for value in metrics.values())


def test_the_optimum_of_a_known_value(make_alg, monkeypatch):
    """With Q = -|a - a*|^2 the correction becomes clip((a* - b) / c, -1, 1)."""
    alg = make_alg(learning_rate=3e-3, actor_batch_size=64)
    for parameter in alg.actor.velocity.parameters():
        parameter.data.zero_()
    alg.actor.head.scale = 0.3
    best = torch.tensor([0.1, 0.5, -0.2, -0.6])
    monkeypatch.setattr(alg, "values", lambda obs, chunks: -(chunks - best).square().sum(dim=-1).unsqueeze(0))
    flow = alg.flow
    alg.flow = lambda latent: 0.02 * flow(latent)  # a base that varies
    for step in range(300):
        alg.actor_step(step)
    states = alg.replay.sample(256, 1, new_fraction=0.0, split=False)[0]
    latent = alg.actor.get_latent(states["obs"][:, 0])
    base = alg.base(latent)
    found, scale = alg.actor.head(base, latent), alg.actor.head.scale
    expected = base + scale * ((best - base) / scale).clamp(-1, 1)
    assert (found - expected).abs().mean() < 1e-2 < (base - expected).abs().mean()


def test_few_members_at_random(make_runner):
    """Of members whose values are 0 .. 9 the lesser of two is 8 / 3 on average, and each draw has its own."""
    alg = make_runner("residual", value_range=None).alg
    values = torch.arange(10.0).unsqueeze(-1).expand(-1, 20_000)
    found = alg.td_critic.combine(values)
    assert found.mean() == pytest.approx(8 / 3, abs=0.06) and set(found.tolist()) == set(map(float, range(9)))
    alg.settings.bootstrap_members = None
    assert not alg.td_critic.combine(values).any()
    alg.settings.bootstrap, alg.settings.bootstrap_members = "mean", 10
    torch.testing.assert_close(alg.td_critic.combine(values), torch.full((20_000,), 4.5))


def test_returns_reach_to_the_end_of_the_window(make_alg, monkeypatch):
    """They are n-step returns, n = 3 at the window's first place."""
    alg = make_alg(gamma=0.9, critic_batch_size=200)
    monkeypatch.setattr(alg.td_critic, "chunk_values", lambda obs, *chunks: torch.full(obs.batch_size, 0.5))
    batch = alg.sample_critic()
    target, goes_on = batch["targets"].squeeze(-1), ~batch["terminated"] & ~batch["truncated"]
    whole = (goes_on & (batch["reward"] == 0)).all(dim=-1)
    assert whole.any()
    torch.testing.assert_close(target[whole], torch.tensor([0.9**3, 0.9**2, 0.9]).expand(int(whole.sum()), 3) * 0.5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"exploration_std": -0.1}, r"agent.algorithm.exploration_std = -0.1 .*>= 0"),
        ({"target_std": -0.1}, r"agent.algorithm.target_std = -0.1 .*>= 0"),
        ({"target_clip": 0.0}, r"agent.algorithm.target_clip = 0.0 .*> 0"),
        ({"random_scale": -1.0}, r"agent.algorithm.random_scale = -1.0 .*>= 0"),
        ({"progressive": -1}, r"agent.algorithm.progressive = -1 .*>= 0"),
        ({"bootstrap_members": 0}, r"agent.algorithm.bootstrap_members = 0 .*>= 1, or null"),
        ({"bootstrap_members": 11}, r"agent.algorithm.bootstrap_members = 11 .*at most the 10 members.*num_members"),
    ],
)
def test_wrong_settings(settings, message, make_runner):
    """Each message names the field, the value, the valid choices and the remedy."""
    with pytest.raises(ValueError, match=message):
        make_runner("residual", **settings)


@pytest.mark.parametrize("learner", ["residual", "resip"])
def test_a_head_is_needed(learner, make_runner):
    cfg = make_cfg(learner)
    cfg["actor"]["head"]["kind"] = "none"
    with pytest.raises(
        ValueError, match=r"agent.actor.head.kind = 'none' .*Remedy: set agent.actor.head.kind=residual"
    ):
        make_runner(cfg=cfg)


@pytest.mark.parametrize("learner", ["residual", "resip"])
def test_without_a_rate_nothing_moves(learner, make_runner):
    rates = ("learning_rate", "final_learning_rate", "critic_learning_rate", "final_critic_learning_rate")
    few = SMALL if learner == "residual" else {}
    alg = collect(make_runner(learner, **dict.fromkeys(rates, 0.0), **few))
    before = copy.deepcopy([alg.actor.state_dict(), dict(alg.critic.mlp.state_dict())])
    alg.update()
    after = [alg.actor.state_dict(), alg.critic.mlp.state_dict()]
    assert all(torch.equal(b[key], a[key]) for b, a in zip(before, after, strict=True) for key in b)


@torch.no_grad()
def play(alg) -> torch.Tensor:
    """Chunks of the policy on the bandit, as it is played."""
    return alg.get_policy().sample(torch.zeros(1000, 1), torch.randn(1000, 2))


def test_the_mean_moves_to_the_best_action(make_runner):
    """On a one-step bandit with reward -|a - c|^2; the frozen base's spread is corrected, too."""
    rates = {"learning_rate": 3e-3, "final_learning_rate": 1e-3, "warmup_steps": 0}
    few = {"num_critic_updates": 64, "critic_warmup": 2, "window": 1, "value_range": None, "actor_batch_size": 64}
    cfg = bandit_cfg("residual", **rates, **few) | {"max_iterations": 8}
    cfg["critic"]["num_members"] = 3
    runner = make_runner(cfg=cfg, env=Quadratic(64))
    gaussian_base(runner.alg)
    before = play(runner.alg)
    assert (before.mean(dim=0) - MEAN).abs().max() < 0.02
    assert before.std(dim=0) == pytest.approx(SPREAD, rel=0.1)
    runner.learn(8)
    after = play(runner.alg)
    assert (after.mean(dim=0) - Quadratic.centre).abs().max() < 0.03
    assert after.std(dim=0).max() < 0.9 * SPREAD


def test_it_learns(make_runner):
    """From a random base that rarely reaches the goal, corrected as far as it takes, to a policy that mostly does."""
    few = {"num_critic_updates": 64, "critic_warmup": 1, "actor_batch_size": 64}
    cfg = make_cfg("residual", **few, learning_rate=2e-3, final_learning_rate=1e-3)
    cfg["actor"]["head"]["scale"] = 1.0
    cfg["critic"]["num_members"] = 3
    cfg["num_steps_per_env"], cfg["max_iterations"] = 16, 6
    runner = make_runner(cfg=cfg, env=PointMass(64))
    before = success(runner.alg.get_policy())
    runner.learn(6)
    assert before < 0.5
    after = success(runner.alg.get_policy())
    assert after > before + 0.3


def test_states_go_on_from_one_kind_of_residual_to_the_other(make_runner):
    """What an on-policy run has learnt is where an off-policy run begins."""
    other = make_runner("resip").alg
    shake(other)
    alg = make_runner("residual").alg
    alg.load(other.save())
    obs, noise = PointMass().get_observations(), torch.randn(32, 4)
    states = TensorDict(obs, batch_size=[32])
    assert torch.equal(
        alg.actor.sample(alg.actor.get_latent(states), noise), other.actor.sample(other.actor.get_latent(states), noise)
    )
