# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What the log says of a policy is what happened to it."""

from types import SimpleNamespace

import pytest
import torch
from tensordict import TensorDict

from flow_rl.algorithms.probe import Probe
from flow_rl.configs import learners

every_learner = pytest.mark.parametrize("learner", sorted(learners()))


@pytest.fixture
def policy(make_runner):
    return make_runner("rldt").alg.actor


def filled(policy, num_steps=6):
    obs = TensorDict({"policy": torch.randn(32, 2)}, batch_size=[32])
    probe = Probe(policy, obs, num_steps)
    for _ in range(num_steps):
        probe.see(TensorDict({"policy": torch.randn(32, 2)}, batch_size=[32]))
    return probe


def test_a_policy_that_stays_has_not_moved(policy):
    probe = filled(policy)
    probe.begin(policy)
    numbers = probe.measure(policy)
    assert numbers["policy_move"] == numbers["policy_distance"] == numbers["policy_chunk_distance"] == 0.0
    assert numbers["policy_spread"] > 0.1 and numbers["policy_bend"] > 0.0


def test_moves_of_iterations_and_the_whole_way(policy):
    """The velocity is shifted by 0.1 in each of two iterations: chunks move as far, velocities by its square."""
    probe = filled(policy)
    bias = policy.velocity.backbone
    bias = [module for module in bias.modules() if isinstance(module, torch.nn.Linear)][-1].bias
    for iteration in (1, 2):
        probe.begin(policy)
        with torch.no_grad():
            bias.add_(0.1)
        numbers = probe.measure(policy)
        assert numbers["policy_move"] == pytest.approx(0.01, rel=1e-3)
        assert numbers["policy_distance"] == pytest.approx((0.1 * iteration) ** 2, rel=1e-3)
    assert 0.05 < numbers["policy_chunk_distance"] < 0.4


def test_a_straight_flow_has_no_bend(policy):
    """A velocity that depends on neither state nor time is straight, where no bound on states bends it."""
    probe = filled(policy)
    probe.noise.mul_(0.1)
    with torch.no_grad():
        for parameter in policy.velocity.backbone.parameters():
            parameter.zero_()
    probe.begin(policy)
    assert probe.measure(policy)["policy_bend"] == pytest.approx(0.0, abs=1e-6)


def test_nothing_is_said_before_states_are_known(policy):
    probe = Probe(policy, TensorDict({"policy": torch.zeros(32, 2)}, batch_size=[32]), 6)
    probe.begin(policy)
    assert probe.measure(policy) == {}


def test_training_is_not_disturbed(policy):
    probe = filled(policy)
    before = torch.get_rng_state()
    probe.begin(policy)
    probe.measure(policy)
    assert torch.equal(torch.get_rng_state(), before)


def test_distance_of_the_tool_in_metres(make_runner):
    """A task says where chunks lead: here a step of 0.1 m per unit. Five environments do not divide the states."""
    alg = make_runner("rldt").alg
    probe = filled(alg.actor)
    probe.begin(alg.actor)
    with torch.no_grad():
        list(alg.actor.velocity.backbone.parameters())[-1].add_(0.1)

    def planned_paths(chunks):
        steps = chunks.unflatten(-1, (alg.actor.settings["horizon"], -1))[..., :1]
        path = torch.nn.functional.pad((0.1 * steps).cumsum(dim=-2), (0, 2, 1, 0))
        return path.unsqueeze(0)  # one arm

    term = SimpleNamespace(planned_paths=planned_paths)
    manager = SimpleNamespace(active_terms=["chunk"], get_term=lambda name: term)
    env = SimpleNamespace(num_envs=5, device="cpu", action_manager=manager)
    metres = probe.measure(alg.actor, env)["policy_distance_m"]
    latent = alg.actor.get_latent({"policy": probe.obs_policy})
    now = alg.actor.action_normalizer.inverse(alg.actor.flow(latent, probe.noise[0])[-1])
    first = alg.actor.action_normalizer.inverse(probe.chunks)
    moved = planned_paths((now - first).unsqueeze(0))[0, 0, :, 1:].norm(dim=-1).mean()
    assert metres.item() == pytest.approx(moved.item(), rel=0.05) and metres > 1e-3  # some states count twice
    term.planned_paths = lambda chunks: chunks.new_zeros(0, *chunks.shape[:2], 2, 3)
    assert "policy_distance_m" not in probe.measure(alg.actor, env), "a task that says nothing"


@every_learner
def test_every_learner_says_where_its_time_goes(learner, make_runner):
    runner = make_runner(learner)
    seen, update = [], runner.alg.update
    runner.alg.update = lambda: seen.append(update()) or seen[-1]
    runner.learn(1)
    phases = {"act", "critic", "actor"} if hasattr(runner.alg, "replay") else {"act", "update"}
    assert {name for name in seen[0] if name.startswith("seconds_")} == {f"seconds_{phase}" for phase in phases}
    assert all(seen[0][f"seconds_{phase}"] > 0.0 for phase in phases)


@every_learner
def test_every_learner_says_how_its_policy_moves(learner, make_runner):
    """Over two iterations the whole way is not the second step; a resumed run measures from the same beginning."""
    runner = make_runner(learner)
    seen = []
    update = runner.alg.update
    runner.alg.update = lambda: seen.append(update()) or seen[-1]
    runner.learn(2)
    actor = runner.alg.actor
    moving = [*actor.velocity.parameters(), *(actor.head.parameters() if actor.head is not None else ())]
    if any(parameter.requires_grad for parameter in moving):
        assert 0.0 < seen[0]["policy_move"] == pytest.approx(seen[0]["policy_distance"], rel=1e-5)
        assert seen[1]["policy_distance"] != pytest.approx(seen[1]["policy_move"], rel=1e-3)
    else:  # what moves is beside the velocity, and chunks tell
        assert seen[1]["policy_move"] == seen[1]["policy_distance"] == 0.0
    assert 0.0 < seen[0]["policy_chunk_distance"] != pytest.approx(seen[1]["policy_chunk_distance"], rel=1e-3)
    again = make_runner(learner)
    again.alg.load(runner.alg.save())
    again.alg.probe.begin(again.alg.actor)
    found = again.alg.probe.measure(again.alg.actor)
    for name in ("policy_distance", "policy_chunk_distance"):
        assert found[name].item() == pytest.approx(seen[1][name], rel=1e-4)
    assert found["policy_move"] == 0.0
