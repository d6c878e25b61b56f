# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""RLDT and its base: targets, transport, exploration, guards, wrong settings."""

import copy
import math

import pytest
import torch
from tensordict import TensorDict

from flow_rl import testing
from flow_rl.algorithms.rldt import agreement, times_covariance, transport_losses
from flow_rl.flows import velocity_to_target
from flow_rl.testing import FilmedPointMass, PointMass
from tests.algorithms.conftest import OnPolicyRunner, collect, make_cfg

SMALL = {"num_critic_updates": 4, "target_repeat": 2, "num_actor_updates": 2, "critic_batch_size": 8, "warmup_steps": 0}


@pytest.fixture
def make_alg(make_runner):
    """A learner with a rollout in its replay: `make_alg(env=None, **settings)`."""

    def make(env=None, **settings):
        alg = collect(make_runner("rldt", env=env, **{**SMALL, **settings}))
        alg.replay.prepare(1, alg.settings.window)
        return alg

    return make


def straighten(alg) -> None:
    """Make the flow straight: the same velocity everywhere, small enough to meet no bound."""
    for parameter in alg.actor.velocity.parameters():
        parameter.data.zero_()
    alg.actor.velocity.backbone.net.output.bias.data.copy_(torch.tensor([0.1, -0.2, 0.05, 0.0]))
    alg.actor.sampler.clip = math.inf


def states_of(alg, num: int = 16) -> TensorDict:
    return alg.replay.sample(num, 1, new_fraction=0.0, split=False)[0]


def test_landing_points_of_a_straight_flow_are_its_ends(make_alg):
    """Whatever step a particle draws, x + (1 - t) v is where it ends, so that nothing is left to straighten."""
    alg = make_alg()
    straighten(alg)
    latent = torch.randn(64, 2)
    states = alg.flow(latent)
    x, t = alg.random_states(states)
    assert set(t.flatten().tolist()) == {0.0, 0.25, 0.5, 0.75}
    torch.testing.assert_close(velocity_to_target(alg.actor.drift(x, t, latent), x, t), states[-1])


def test_random_states_lie_on_their_own_chain(make_runner):
    """Each particle's state is that of its own chain at the time it is given."""
    alg = make_runner("rldt").alg
    states = torch.arange(5.0).view(5, 1, 1, 1) + 10 * torch.arange(6.0).view(6, 1) + torch.zeros(5, 3, 6, 4)
    x, t = alg.random_states(states, first=2)
    assert x.shape == (3, 6, 4) and t.shape == (3, 6, 1)
    torch.testing.assert_close(x, 4 * t + 10 * torch.arange(6.0).view(6, 1) + torch.zeros(3, 6, 4))
    assert set(t.flatten().tolist()) <= {0.5, 0.75}


@pytest.mark.parametrize("prediction", ["v", "x", "residual"])
def test_gradient_of_the_transport_losses(prediction):
    """On a linear velocity v = W x the gradients are those worked out by hand."""
    torch.manual_seed(0)
    K, c = 4, 0.5
    x, field, ends = torch.randn(3, 5, 7, 2, dtype=torch.float64)
    t = torch.randint(K, (5, 7, 1)) / K
    matrix = torch.randn(2, 2, dtype=torch.float64, requires_grad=True)
    velocity = x @ matrix.T
    landing = x + (1 - t) * velocity
    alignment, consistency = transport_losses(velocity, landing, field, ends, t, K, prediction)
    assert alignment.shape == consistency.shape == (5, 1)
    (alignment + c * consistency).mean().backward()
    w = 1 / (K * (1 - t))
    pull = w * field if prediction != "x" else (1 - t) / K * field
    by_velocity = -pull + 2 * c * w**2 * (landing - ends) * (1 - t)
    expected = torch.einsum("bpi,bpj->ij", by_velocity, x) / 35
    torch.testing.assert_close(matrix.grad, expected.detach())


def test_times_covariance():
    """It is the product with the covariance matrix of each state's own particles, and zero where they agree."""
    field, particles = torch.randn(2, 3, 6, 4, dtype=torch.float64)
    expected = torch.stack([field[i] @ torch.cov(particles[i].T) for i in range(3)])
    torch.testing.assert_close(times_covariance(field, particles), expected)
    assert times_covariance(field, particles[:, :1].expand(-1, 6, -1)).abs().max() < 1e-12


def test_preconditioned_the_policy_moves_where_it_varies(make_alg):
    """A policy that varies in one direction moves along it alone, whatever the critic says of the others."""

    def moves(preconditioner: str) -> torch.Tensor:
        torch.manual_seed(0)
        alg = make_alg(preconditioner=preconditioner, temperature=0.0, consistency_coef=0.0, reference_coef=0.0)
        straighten(alg)

        def flow(latent):  # noise that differs in the first direction only
            noise = torch.randn(latent.shape[0], 1) * torch.tensor([0.3, 0.0, 0.0, 0.0])
            return alg.actor.flow(latent, noise)

        alg.flow = flow
        loss, _ = alg.actor_loss(states_of(alg))
        return torch.autograd.grad(loss, alg.actor.velocity.backbone.net.output.bias)[0].abs()

    with_it, without = moves("covariance"), moves("none")
    assert with_it[0] > 0 and with_it[1:].max() < 1e-6 * with_it[0]
    assert without.min() > 1e-3 * without.max()


def test_the_action_gradient_is_that_of_the_mean_member(make_alg):
    """It agrees with finite differences and leaves the critic's parameters without gradients."""
    alg = make_alg()
    latent, actions = torch.randn(2, 2), 0.5 * torch.randn(2, 3, 4)
    gradient = alg.action_gradient(latent, actions).mean(dim=0)
    critic = copy.deepcopy(alg.critic).double()
    direction = torch.randn(2, 3, 4, dtype=torch.float64)

    def value(shift: float) -> torch.Tensor:
        moved = actions.double() + shift * direction
        return critic(latent.double().repeat_interleave(3, 0).unsqueeze(0), moved.flatten(0, 1).unsqueeze(0)).mean(0)

    slope = (value(1e-5) - value(-1e-5)) / 2e-5
    torch.testing.assert_close((gradient * direction).sum(-1).flatten(), slope, atol=1e-5, rtol=1e-4, check_dtype=False)
    assert all(parameter.grad is None for parameter in alg.critic.parameters())


def test_targets_are_lambda_returns_of_the_bootstrap(make_alg, monkeypatch):
    """With a value of 1/2 everywhere the target of each step follows by hand from what ends its trajectory."""
    alg = make_alg(gamma=0.9, lam=0.5, window=3, critic_batch_size=200)
    monkeypatch.setattr(alg.td_critic, "chunk_values", lambda obs, *chunks: torch.full(obs.batch_size, 0.5))
    batch = alg.sample_critic()
    reward, target = batch["reward"], batch["targets"].squeeze(-1)
    ended, valid = batch["terminated"], batch["valid"]
    torch.testing.assert_close(target[..., 2], reward[..., 2] + 0.9 * 0.5 * ~ended[..., 2])
    following = 0.5 * 0.5 + 0.5 * target[..., 2]
    torch.testing.assert_close(target[..., 1], reward[..., 1] + 0.9 * following * ~ended[..., 1])
    success = ended & valid & (reward == 1)
    assert success.any() and (target[success] == 1).all()
    assert (target[ended & valid & (reward == 0)] == 0).all()


def test_targets_of_a_dueling_critic(make_runner, monkeypatch):
    """V is fitted to far-reaching returns, A to what near ones say beyond V; neither asks the policy for chunks."""
    cfg = make_cfg("rldt", **SMALL, gamma=0.9, lam=0.0, value_lam=1.0, window=3)
    cfg["critic"]["dueling"] = True
    alg = collect(make_runner(cfg=cfg))
    alg.replay.prepare(1, alg.settings.window)
    monkeypatch.setattr(alg.td_critic, "state_values", lambda obs: obs["policy"][:, 0])
    monkeypatch.setattr(alg, "flow", None)
    sampled = {}
    sample = alg.replay.sample

    def keep(*args, **kwargs):
        sampled["batch"] = sample(*args, **kwargs)
        sampled["value"] = sampled["batch"]["obs"]["policy"][..., 0].clone()
        return sampled["batch"]

    monkeypatch.setattr(alg.replay, "sample", keep)
    batch = alg.sample_critic()
    value, goes_on = sampled["value"], ~batch["terminated"]
    far, near = batch["targets"].unbind(-1)
    torch.testing.assert_close(near, batch["reward"] + 0.9 * value[..., 1:] * goes_on - value[..., :-1])
    last = batch["reward"][..., 2] + 0.9 * value[..., 3] * goes_on[..., 2]
    torch.testing.assert_close(far[..., 2], last)
    torch.testing.assert_close(far[..., 1], batch["reward"][..., 1] + 0.9 * last * goes_on[..., 1])
    assert goes_on.any() and not goes_on.all()


@pytest.mark.parametrize("dueling", [False, True])
def test_foresight(make_runner, monkeypatch, dueling):
    """It is 1 for a critic that says what came, -1 for one that says the opposite, and 0 for one that says nothing."""
    cfg = make_cfg("rldt", **SMALL)
    cfg["critic"]["dueling"] = dueling
    alg = collect(make_runner(cfg=cfg))
    alg.replay.prepare(1, alg.settings.window)
    batch = alg.sample_critic(split=False)
    assert batch["valid"].any() and not batch["valid"].all()
    for factor in (3.0, -2.0, 0.0):
        said = factor * batch["targets"].flatten(1, 2) + 0.1
        said[~batch["valid"].flatten(1, 2)] = 100.0  # what does not exist does not count
        monkeypatch.setattr(alg.critic, "estimates", lambda latent, action, said=said: said.expand(2, -1, -1))
        assert alg.td_critic.foresight(batch)["foresight"].item() == pytest.approx(
            (factor > 0) - (factor < 0), abs=1e-3
        )


def test_bootstrap(make_alg):
    """The least member after averaging over draws, their mean, or deviations below it, within the bounds."""
    alg = make_alg(bootstrap_draws=3, value_range=[-0.1, 0.2])
    obs = TensorDict({"policy": torch.randn(50, 2)}, batch_size=[50])
    found = {}
    for kind in ("min", "mean", 0.5):
        alg.settings.bootstrap = kind
        torch.manual_seed(3)
        found[kind] = alg.td_critic.chunk_values(obs, *alg.next_chunks(obs))
        torch.manual_seed(3)
        draws = [alg.flow(alg.actor.get_latent(obs))[-1].clamp(-1, 1) for _ in range(3)]
        latent, target = alg.critic.get_latent(obs), alg.td_critic.target
        members = torch.stack([target(torch.cat([latent, draw], -1)[None]).squeeze(-1) for draw in draws]).mean(0)
        mean = members.mean(0)
        wanted = {"min": members.amin(0), "mean": mean, 0.5: mean - 0.5 * (members - mean).square().mean(0).sqrt()}
        torch.testing.assert_close(found[kind], wanted[kind].clamp(-0.1, 0.2))
    assert (found["min"] <= found[0.5]).all() and (found[0.5] <= found["mean"]).all() and found["mean"].max() <= 0.2
    assert not torch.equal(found[0.5], found["mean"])


def test_a_learner_may_add_to_the_values_of_next_chunks(make_alg, monkeypatch):
    """As SAC adds an entropy: targets contain the bonus of each draw, averaged, where the episode goes on."""
    alg = make_alg(gamma=0.9, lam=0.0, value_range=None, bootstrap_draws=2)
    next_chunks = alg.next_chunks

    def targets(bonus: tuple[float, float] | None) -> TensorDict:
        def with_bonus(obs):
            chunks, none = next_chunks(obs)
            return chunks, none if bonus is None else torch.tensor(bonus).view(2, 1).expand(chunks.shape[:2])

        monkeypatch.setattr(alg, "next_chunks", with_bonus)
        torch.manual_seed(3)
        return alg.sample_critic()

    plain, more = targets(None), targets((1.0, 3.0))
    added = 0.9 * 2.0 * ~plain["terminated"].unsqueeze(-1)
    torch.testing.assert_close(more["targets"], plain["targets"] + added)
    assert plain["terminated"].any() and not plain["terminated"].all()


@pytest.mark.parametrize("warmup", [0, 3])
def test_a_learner_may_alternate(make_alg, monkeypatch, warmup):
    """Turns are taken in the order that it says, targets are sampled when they are used up, and warm-up still holds."""
    alg = make_alg(critic_warmup=warmup)
    turns = []
    step, sample = alg.td_critic.step, alg.sample_critic
    monkeypatch.setattr(alg, "schedule", lambda: iter(["critic", "actor"] * 4))
    monkeypatch.setattr(alg, "sample_critic", lambda: turns.append("targets") or sample())
    monkeypatch.setattr(alg.td_critic, "step", lambda *batch: turns.append("critic") or step(*batch))
    monkeypatch.setattr(alg, "begin_iteration", lambda: turns.append("begin"))
    monkeypatch.setattr(alg, "actor_step", lambda step: turns.append(step) or {})
    alg.improve()
    actor = [] if warmup else ["begin", 0, 1, 2, 3]
    expected = ["targets", "critic", *actor[:2], "critic", *actor[2:3], "targets", "critic", *actor[3:4], "critic"]
    assert turns == [*expected, *actor[4:]]


def test_members_learn_from_their_own_trajectories(make_alg):
    """Without disjoint subsets all members see one batch; with them each sees its own."""
    assert make_alg(disjoint=False).sample_critic().batch_size == (1, 16)
    assert make_alg(disjoint=True).sample_critic().batch_size == (2, 16)
    alg = make_alg(disjoint=False)
    assert torch.isfinite(alg.td_critic.step(alg.sample_critic(), alg.optimizer)["critic"])


def test_the_critic_may_see_more_than_the_policy(make_runner):
    """Privileged observations reach the critic and the replay, not the policy."""

    class Privileged(PointMass):
        def get_observations(self):
            obs = super().get_observations()
            obs["secret"] = torch.cat([self.position, self.episode_length_buf.unsqueeze(-1).float()], dim=-1)
            return obs

    cfg = make_cfg("rldt", **SMALL) | {"obs_groups": {"actor": ["policy"], "critic": ["policy", "secret"]}}
    runner = make_runner(cfg=cfg, env=Privileged())
    runner.learn(2)
    assert runner.alg.actor.obs_dim == 2
    assert runner.alg.critic.mlp.weights[0].shape[1] == 2 + 3 + 4
    assert runner.alg.replay.groups == ["policy", "secret"]


def test_exploration(make_alg):
    """Noise follows the flow's curvature: none on a straight flow; Gaussian noise has the asked size."""
    alg = make_alg(exploration="min_extrp", exploration_std=1.0)
    latent = torch.randn(4000, 2)
    alg.explore(latent)
    assert alg.noise_scale > 1e-3
    straighten(alg)
    torch.manual_seed(0)
    straight = alg.explore(latent).chunk
    torch.manual_seed(0)
    torch.testing.assert_close(straight, alg.flow(latent)[-1].clamp(-1, 1), atol=1e-4, rtol=0.0)
    alg = make_alg(exploration="gaussian", exploration_std=0.1)
    for parameter in alg.actor.velocity.parameters():
        parameter.data.zero_()
    torch.manual_seed(0)
    noisy = alg.explore(latent).chunk
    torch.manual_seed(0)
    moved = (noisy - alg.flow(latent)[-1])[noisy.abs() < 0.5]
    assert float(moved.detach().std()) == pytest.approx(0.1, abs=0.01)


def test_only_the_critic_learns_during_warm_up(make_runner):
    """The policy stays as it is for the asked number of iterations, then moves."""
    runner = make_runner("rldt", **SMALL | {"critic_warmup": 1})
    before = copy.deepcopy(runner.alg.actor.state_dict())
    critic = copy.deepcopy(runner.alg.critic.state_dict())
    runner.learn(1)
    assert all(torch.equal(before[key], value) for key, value in runner.alg.actor.state_dict().items())
    assert any(not torch.equal(critic[key], value) for key, value in runner.alg.critic.state_dict().items())
    runner.learn(1)
    assert any(not torch.equal(before[key], value) for key, value in runner.alg.actor.state_dict().items())


def test_the_learning_rate_rises_over_the_first_steps(make_alg, monkeypatch):
    """Linear warm-up, counted over the run and not over the iteration."""
    alg = make_alg(warmup_steps=4, learning_rate=1e-3, final_learning_rate=1e-3, num_actor_updates=2)
    rates = []
    minimize = alg.optimizer.minimize
    monkeypatch.setattr(alg.optimizer, "minimize", lambda loss: (rates.append(alg.learning_rate), minimize(loss))[1])
    for iteration in range(3):
        alg.iteration = iteration
        del rates[: len(rates)]
        alg.improve()
        expected = [1e-3 * min(1.0, (2 * iteration + step + 1) / 4) for step in range(2)]
        assert rates[-2:] == pytest.approx(expected)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_gradients_that_are_not_finite_do_not_reach_the_policy(value, make_alg, capsys):
    """The step is left out and counted, the policy stays finite, and a message says what to do."""
    alg = make_alg()
    alg.actor_step(0)
    before = copy.deepcopy(alg.actor.state_dict())
    healthy = copy.deepcopy(alg.critic.state_dict())
    alg.critic.mlp.weights[0].data[0, 0, 0] = value
    for step in range(2):
        alg.actor_step(step)
    assert all(torch.equal(before[key], tensor) for key, tensor in alg.actor.state_dict().items())
    assert alg.optimizer.skipped_steps == 2
    numbers = alg._numbers({}, [])
    assert numbers["skipped_steps"] == 2
    message = capsys.readouterr().out
    assert "2 optimiser steps of iteration 0 were left out" in message and "critic_learning_rate" in message
    alg.critic.load_state_dict(healthy)
    alg.actor_step(2)
    assert alg.optimizer.skipped_steps == 0
    assert any(not torch.equal(before[key], tensor) for key, tensor in alg.actor.state_dict().items())


def test_returns_beyond_the_bounds_of_targets(make_runner):
    """A bound that the task exceeds is an error that names the field and the return seen."""
    with pytest.raises(ValueError, match=r"value_range = \[0.0, 0.5\] .*from 1 to 1.*number of successes"):
        make_runner("rldt", env=PointMass(radius=0.9), **SMALL, value_range=[0.0, 0.5]).learn(1)


def test_a_restart_does_not_join_two_episodes(make_runner, tmp_path):
    """After loading, environments that begin anew do not continue stored trajectories; others do."""
    runner = make_runner("rldt", env=PointMass(8, radius=0.0), **SMALL)
    runner.learn(1)  # 6 of at most 8 decisions
    runner.save(str(tmp_path / "model.pt"))
    assert (runner.alg.replay.step == 6).all()
    fresh = make_runner("rldt", env=PointMass(8, radius=0.0), **SMALL)
    fresh.load(str(tmp_path / "model.pt"))
    assert (fresh.alg.replay.step == 6).all()
    fresh.alg.train_mode()
    assert (fresh.alg.replay.step == 0).all()


def test_rewards_below_the_bounds_of_targets(make_alg):
    """Penalties would be clipped without a word."""

    class Costly(PointMass):
        def step(self, actions):
            obs, rewards, dones, extras = super().step(actions)
            return obs, rewards - 1.0, dones, extras

    alg = make_alg(Costly(limit=3, radius=0.0), value_range=[0.0, 1.0])
    with pytest.raises(ValueError, match=r"value_range = \[0.0, 1.0\] .*from -3 to -3"):
        alg.update()


def test_the_critics_normaliser_sees_what_was_observed(make_runner):
    """Before any trajectory is complete the replay has no rows, which must not count as observations of zero."""
    env = PointMass(8, limit=99, radius=0.0)
    alg = collect(make_runner("rldt", env=env, **SMALL))
    assert (alg.replay.length == 0).all()
    alg.update()
    normalizer = alg.critic.obs_normalizer
    assert normalizer.count == 6 * 8 and normalizer.std.min() > 0.1


def test_the_trust_region_sees_the_encoder(make_runner):
    """Where only the encoder of a camera has moved, the policy has, and its distance from the reference is not 0."""
    alg = testing.make_runner("rldt", pixels=True, **SMALL).alg
    alg.begin_iteration()
    obs = FilmedPointMass(8).get_observations()
    ends = torch.rand(8, 3, 4)

    def distance() -> float:
        latent = alg.actor.get_latent(obs).unsqueeze(1).expand(-1, 3, -1)
        return alg.reference_loss(ends, latent, obs).mean().item()

    assert distance() == 0.0
    with torch.no_grad():
        for parameter in alg.actor.observer.encoder.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    assert distance() > 1e-4


def test_checkpoints_without_the_replay(make_runner, tmp_path, capsys):
    """On request the replay is left out, and loading says that it begins anew."""
    runner = make_runner("rldt", save_replay=False, **SMALL)
    runner.learn(1)
    state = runner.alg.save()
    assert "replay_state_dict" not in state
    runner.alg.load(state)
    assert "written without replay, which begins anew" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_particles": 0}, r"agent.algorithm.num_particles = 0 .*>= 1"),
        ({"temperature": -0.1}, r"agent.algorithm.temperature = -0.1 .*>= 0"),
        ({"lam": 1.5}, r"agent.algorithm.lam = 1.5 .*\[0, 1\]"),
        ({"kernel": "cosine"}, r"agent.algorithm.kernel = 'cosine' .*'rbf', 'imq', 'delta'"),
        ({"normalization": "all"}, r"agent.algorithm.normalization = 'all'"),
        ({"preconditioner": "adam"}, r"agent.algorithm.preconditioner = 'adam' .*'none', 'covariance'"),
        ({"preconditioner": "covariance", "num_particles": 1}, r"agent.algorithm.num_particles = 1 .*>= 2"),
        ({"backend": "cuda"}, r"agent.algorithm.backend = 'cuda' .*'torch', 'warp'"),
        ({"bandwidth": 0.0}, r"agent.algorithm.bandwidth = 0.0 .*null"),
        ({"exploration": "none"}, r"agent.algorithm.exploration = 'none' .*'min_extrp', 'gaussian'"),
        ({"reference": "first"}, r"agent.algorithm.reference = 'first' .*'iteration', 'pretrained'"),
        ({"exploration_min_time": 1.0}, r"agent.algorithm.exploration_min_time = 1.0"),
        ({"value_lam": 1.5}, r"agent.algorithm.value_lam = 1.5 .*\[0, 1\] or null"),
        ({"bootstrap": "max"}, r"agent.algorithm.bootstrap = 'max' .*'min', 'mean'"),
        ({"bootstrap": -0.5}, r"agent.algorithm.bootstrap = -0.5 .*a number >= 0"),
        ({"new_fraction": 1.1}, r"agent.algorithm.new_fraction = 1.1 .*\[0, 1\]"),
        ({"target_repeat": 3}, r"agent.algorithm.target_repeat = 3 .*divisor of num_critic_updates = 4"),
        ({"value_range": [1.0, 0.0]}, r"agent.algorithm.value_range = \[1.0, 0.0\] .*low < high"),
        ({"window": 0}, r"agent.algorithm.window = 0 .*>= 1"),
        ({"capacity": 1}, r"agent.algorithm.capacity = 1 .*>= 2"),
    ],
)
def test_wrong_settings(settings, message, make_runner):
    """Each message names the field, the value, what is valid and the remedy."""
    with pytest.raises(ValueError, match=message):
        make_runner("rldt", **{**SMALL, **settings})


def test_wrong_ensemble(make_runner):
    """An ensemble without members is refused."""
    cfg = make_cfg("rldt", **SMALL)
    cfg["critic"]["num_members"] = 0
    with pytest.raises(ValueError, match=r"agent.critic.num_members = 0 .*>= 1"):
        make_runner(cfg=cfg)


def test_a_dueling_critic_learns(make_runner, tmp_path):
    """Both of its parts move, its target follows, and its checkpoint can be taken up again."""
    cfg = make_cfg("rldt", **SMALL)
    cfg["critic"]["dueling"] = True
    runner = make_runner(cfg=cfg)
    before = copy.deepcopy(runner.alg.critic.state_dict())
    runner.learn(1)
    after = runner.alg.critic.state_dict()
    assert not any(torch.equal(before[key], after[key]) for key in after if "weights" in key and ".0" in key)
    assert runner.alg.td_critic.target.advantage.weights[-1].abs().sum() > 0
    runner.save(str(tmp_path / "model.pt"))
    other = make_runner(cfg=copy.deepcopy(cfg))
    other.load(str(tmp_path / "model.pt"))
    assert all(torch.equal(after[key], value) for key, value in other.alg.critic.state_dict().items())


def test_the_reference_may_be_where_learning_began(make_runner, tmp_path):
    """It stays what it was, also when a run goes on from a checkpoint; the paper's follows the policy."""

    def distance(alg, weights) -> float:
        return sum(
            (weights[key] - value).abs().sum().item() for key, value in alg.reference.policy.state_dict().items()
        )

    following = make_runner("rldt", **SMALL, critic_warmup=0)
    first = copy.deepcopy(following.alg.actor.state_dict())
    following.learn(2)
    assert distance(following.alg, first) > 0

    runner = make_runner("rldt", **SMALL, critic_warmup=0, reference="pretrained")
    runner.alg.actor.load_state_dict(first)
    runner.alg.policy_replaced()
    runner.learn(2)
    assert distance(runner.alg, first) == 0 < distance(runner.alg, runner.alg.actor.state_dict())
    runner.save(str(tmp_path / "model.pt"))
    other = make_runner("rldt", **SMALL, critic_warmup=0, reference="pretrained")
    other.load(str(tmp_path / "model.pt"))
    other.learn(1)
    assert distance(other.alg, first) == 0


@pytest.mark.parametrize("kernel", ["rbf", "imq", "delta"])
def test_one_member_and_every_kernel(kernel, make_runner):
    """The paper's ablations are settings."""
    cfg = make_cfg("rldt", **SMALL, kernel=kernel, temperature=0.0, num_particles=1)
    cfg["critic"]["num_members"] = 1
    make_runner(cfg=cfg).learn(1)


@pytest.mark.gpu
def test_an_iteration_does_not_wait_for_the_device():
    """Collection and all updates run without a single copy to the host; the log is read afterwards."""
    env = PointMass(64, device="cuda:0")
    runner = OnPolicyRunner(env, make_cfg("rldt", **SMALL) | {"device": "cuda:0"}, device="cuda:0")
    runner.learn(1)  # kernels are compiled and memory is allocated
    alg, obs = runner.alg, env.get_observations()
    alg.train_mode()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        with torch.inference_mode():
            for _ in range(6):
                obs, rewards, dones, extras = env.step(alg.act(obs))
                alg.process_env_step(obs, rewards, dones, extras)
            alg.compute_returns(obs)
        alg.replay.prepare(1, alg.settings.window)
        log = alg.improve()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.isfinite(torch.stack([entry["critic"] for entry in log if "critic" in entry])).all()


@pytest.mark.gpu
def test_the_sampler_can_be_captured():
    """A CUDA graph of the K-step flow gives, replayed with other observations, what the flow gives."""
    alg = OnPolicyRunner(PointMass(64, device="cuda:0"), make_cfg("rldt") | {"device": "cuda:0"}, device="cuda:0").alg
    latent, noise = torch.randn(64, 2, device="cuda:0"), torch.randn(64, 4, device="cuda:0")
    with torch.no_grad():
        alg.actor.flow(latent, noise)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            states = alg.actor.flow(latent, noise)
        latent.normal_()
        graph.replay()
        torch.testing.assert_close(states, alg.actor.flow(latent, noise))


@pytest.mark.gpu
@pytest.mark.slow
def test_compiled_with_cuda_graphs():
    """Sampler and critic run as CUDA graphs made by torch.compile."""
    cfg = make_cfg("rldt", **SMALL) | {"device": "cuda:0", "torch_compile_mode": "reduce-overhead"}
    runner = OnPolicyRunner(PointMass(64, device="cuda:0"), cfg, device="cuda:0")
    runner.learn(2)
    assert all(torch.isfinite(value).all() for value in runner.alg.actor.state_dict().values())


def test_agreement_of_critics():
    """1 for equal gradients, -1 / (M - 1) where they cancel, about 0 for noise."""
    torch.manual_seed(0)
    one = torch.randn(1, 64, 8, 16)
    assert agreement(one.expand(3, -1, -1, -1)).item() == pytest.approx(1.0, rel=1e-5)
    assert agreement(torch.cat([one, -one])).item() == pytest.approx(-1.0, rel=1e-5)
    assert abs(agreement(torch.randn(4, 64, 8, 16)).item()) < 0.02
    signal = one + torch.randn(2, 64, 8, 16)
    assert agreement(signal).item() == pytest.approx(0.5, abs=0.03), "half of the square is signal"


def test_imitation_learns_what_led_to_a_success(make_alg):
    """Without a critic's field the policy comes to do what successes in the replay did, and not what failures did."""
    alg = make_alg(imitation_coef=1.0, actor_batch_size=64)
    success = alg.replay._level(alg.replay.total) > 0
    assert success[alg.replay.ring[:-1]].any(), "the rollout holds a success"
    alg.replay.action[success] = 0.5
    alg.replay.action[~success] = -0.5
    before = alg.imitation_loss().item()
    optimizer = torch.optim.Adam(alg.actor.parameters(), lr=1e-2)
    for _ in range(200):
        optimizer.zero_grad()
        alg.imitation_loss().backward()
        optimizer.step()
    assert alg.imitation_loss().item() < 0.3 * before
    chunks = alg.actor.sample(torch.zeros(200, 2))
    assert (chunks - 0.5).abs().mean() < 0.15


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_imitation_of_the_newest_alone(make_alg, share):
    """Of successes of two ages, the setting says which are imitated."""
    alg = make_alg(imitation_coef=1.0, imitation_new_fraction=share, actor_batch_size=64)
    replay, ring = alg.replay, alg.replay.ring[:-1]
    held = ring[replay.length[ring] > 0]
    replay.total[held] = 1.0
    replay.stamp[held[::2]], replay.stamp[held[1::2]] = replay.clock, replay.clock - 1
    replay.prepare(1, alg.settings.window)
    drawn, sample = [], replay.sample
    replay.sample = lambda *args, **kwargs: drawn.append(sample(*args, **kwargs)) or drawn[-1]
    replay.action[held[::2]], replay.action[held[1::2]] = 1.0, -1.0
    alg.imitation_loss()
    values = set(drawn[0]["action"].flatten().tolist())
    assert values == ({1.0} if share else {1.0, -1.0})


def test_imitation_is_part_of_the_loss(make_alg):
    """Its weight counts, it is logged, and without a success it is zero and has no gradient."""
    alg = make_alg(imitation_coef=0.5)
    batch = states_of(alg)
    monitored = {}
    for weight in (0.0, 0.5, 1.0):
        alg.settings.imitation_coef = weight
        torch.manual_seed(0)
        monitored[weight], metrics = alg.actor_loss(batch)
        assert ("imitation" in metrics) == (weight > 0)
    assert (monitored[1.0] - monitored[0.5]).item() == pytest.approx(0.5 * metrics["imitation"].item(), rel=1e-3)
    alg.replay.total.zero_()
    alg.replay.prepare(1, alg.settings.window)
    loss = alg.imitation_loss()
    assert loss.item() == 0.0
    loss.backward()
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in alg.actor.parameters())


def test_a_negative_weight_of_imitation_is_refused(make_runner):
    with pytest.raises(ValueError, match="agent.algorithm.imitation_coef = -1"):
        make_runner("rldt", imitation_coef=-1)


def test_a_budget_bounds_the_whole_way(make_alg):
    """A field that pushes for ever: the distance from the first policy settles near the budget, and the weight is kept.

    With the weight alone it grows well beyond.
    """

    def distance(alg) -> float:
        alg.action_gradient = lambda latent, ends: torch.ones(1, *ends.shape)
        alg.optimizer.group("actor")["lr"] = 3e-3
        seen = [alg.actor_step(step)["reference"] / alg.actor.output_dim for step in range(400)]
        return torch.stack(seen[-50:]).mean().item()

    settings = {"reference": "pretrained", "reference_coef": 0.002, "consistency_coef": 0.0}
    free = distance(make_alg(**settings))
    alg = make_alg(**settings, reference_budget=0.02)
    held = distance(alg)
    assert 0.01 < held < 0.04 < 2 * held < free
    assert alg.budget.weight > 0.002
    assert alg.save()["budget_state_dict"]["weight"] == alg.budget.weight


def test_a_budget_needs_a_reference_that_stays(make_runner):
    with pytest.raises(ValueError, match="agent.algorithm.reference_budget = 0.1 .*reference=pretrained"):
        make_runner("rldt", reference_budget=0.1, reference="iteration")
