# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Best of N chunks, for every off-policy learner: who chooses, among what, and what comes of it."""

import copy

import pytest
import scipy.stats
import torch
from torch import nn

from flow_rl.algorithms.off_policy import OffPolicyAlgorithm
from flow_rl.configs import learners
from flow_rl.configs.compose import load
from flow_rl.models import FlowPolicy, check_compatible
from flow_rl.nn import Selector, SelectorSettings
from flow_rl.testing import FilmedPointMass, PointMass, bandit
from flow_rl.testing.learners import ENCODER
from flow_rl.utils.checkpoint import load_checkpoint
from tests.algorithms.conftest import collect, make_cfg
from tests.algorithms.test_learners import state_of

OFF_POLICY = ("dsrl", "qam", "residual", "rldt", "sac_flow", "trqam")
NUM = 5
every_learner = pytest.mark.parametrize("learner", OFF_POLICY)


def selecting(learner: str, **algorithm) -> dict:
    """Configuration of a learner whose policy chooses among NUM chunks."""
    cfg = make_cfg(learner, critic_warmup=0, **algorithm)
    cfg["actor"]["selector"] |= {"kind": "best_of_n", "num_candidates": NUM, "hidden_dims": [16]}
    return cfg


def selector(action_dim: int = 6, num: int = NUM) -> Selector:
    """One that prefers chunks with a great first coordinate, whatever the latent (of size 2)."""
    module = Selector(action_dim, 2, SelectorSettings("best_of_n", num, []))
    module.net[0].weight.data[0, 2] = 1.0
    return module


"""
The module.
"""


def test_candidates_noises_are_standard_normal_and_not_alike():
    """Mean 0 and covariance 1 of each, the first as given, and no two the same."""
    for size in (6, 5, 1):
        noise = torch.randn(20000, size)
        noises = selector(size, num=8).noises(noise).unflatten(0, (8, -1))
        assert torch.equal(noises[0], noise)
        for each in noises.transpose(1, 2):
            assert torch.allclose(each.mean(dim=1), torch.zeros(size), atol=0.03)
            assert torch.allclose(each.cov(), torch.eye(size), atol=0.05)
            for coordinate in each:
                assert scipy.stats.kstest(coordinate.numpy(), "norm").pvalue > 1e-4
        assert size == 1 or torch.pdist(noises[:, 0]).min() > 0.1
    assert torch.equal(selector().noises(torch.zeros(2, 6)), torch.zeros(NUM * 2, 6))


def test_the_best_is_chosen():
    chunks = torch.rand(NUM * 7, 6)
    found = selector()(chunks, torch.randn(7, 2))
    candidates = chunks.unflatten(0, (NUM, 7))
    for i in range(7):
        assert torch.equal(found[i], candidates[candidates[:, i, 0].argmax(), i])


def test_a_new_selector_takes_the_first(make_runner):
    """The policy is that of before."""
    actor = make_runner(cfg=selecting("rldt")).alg.actor
    latent, noise = torch.randn(9, 2), torch.randn(9, 4)
    assert torch.equal(actor.sample(latent, noise), actor.chunk(latent, noise))


def test_twins_choose_alike(make_runner, tmp_path):
    """TorchScript and ONNX take the same of the same candidates."""
    import onnxruntime

    runner = make_runner(cfg=selecting("dsrl"))  # with a steered prior besides
    actor = runner.alg.actor
    for net in (actor.selector.net, actor.prior.steering.net):
        nn.init.normal_(net[-1].weight)
    runner.export_policy_to_jit(str(tmp_path))
    runner.export_policy_to_onnx(str(tmp_path))
    twins = torch.jit.load(tmp_path / "policy.pt"), onnxruntime.InferenceSession(tmp_path / "policy.onnx")
    differ = 0
    for _ in range(8):
        obs, noise = torch.randn(1, 2), torch.randn(1, 4)
        latent = actor.get_latent({"policy": obs})
        expected = actor.action_normalizer.inverse(actor.sample(latent, noise)).detach()
        assert torch.allclose(twins[0](obs, noise), expected, atol=1e-5)
        assert torch.allclose(
            torch.from_numpy(twins[1].run(None, {"obs": obs.numpy(), "noise": noise.numpy()})[0]), expected, atol=1e-5
        )
        differ += not torch.allclose(actor.chunk(latent, actor.prior(latent, noise)), actor.sample(latent, noise))
    assert differ > 0, "the first of all candidates was always the best: nothing was tested"


def test_checkpoints_with_and_without(make_runner):
    """A policy without selector may get one, and another number of candidates changes no parameter."""
    plain, chooses = (make_runner(cfg=cfg).alg.actor for cfg in (make_cfg("rldt"), selecting("rldt")))
    check_compatible({"policy": plain.settings}, chooses.settings)
    more = copy.deepcopy(chooses.settings)
    more["selector"]["num_candidates"] = 2 * NUM
    check_compatible({"policy": chooses.settings}, more)
    FlowPolicy.from_settings(more).load_state_dict(chooses.state_dict())
    with pytest.raises(ValueError, match=r"selector.kind best_of_n vs none.*agent.actor.selector.kind=best_of_n"):
        check_compatible({"policy": chooses.settings}, plain.settings)


"""
Every off-policy learner.
"""


def test_these_are_all_off_policy_learners():
    classes = {name: load(load(path)().algorithm.class_name) for name, path in learners().items()}
    assert sorted(name for name, cls in classes.items() if issubclass(cls, OffPolicyAlgorithm)) == sorted(OFF_POLICY)


@every_learner
def test_it_learns_to_choose(learner, make_runner, tmp_path):
    """Two iterations move the selector, and the checkpoint's policy plays as the learner's."""
    runner = make_runner(cfg=selecting(learner), log=True)
    before = runner.alg.actor.selector.state_dict()["net.0.weight"].clone()
    runner.learn(2)
    assert not torch.equal(before, runner.alg.actor.selector.net[0].weight)
    policy = FlowPolicy.from_checkpoint(load_checkpoint(tmp_path / "model_1.pt"))
    latent, noise = policy.get_latent(runner.env.get_observations()), torch.randn(32, 4)
    assert torch.equal(policy.sample(latent, noise), runner.alg.actor.sample(latent, noise))


@every_learner
def test_resuming_is_bit_identical(learner, make_runner, tmp_path):
    """One iteration, a checkpoint, and one more in a new process state equal two in a row."""
    straight = make_runner(cfg=selecting(learner), env=PointMass(8))
    straight.learn(1)
    straight.save(str(tmp_path / "half.pt"))
    env = copy.deepcopy(straight.env)
    straight.learn(1)
    resumed = make_runner(cfg=selecting(learner), env=env)
    resumed.alg.planned_iterations -= 1  # what is left of its schedules
    resumed.load(str(tmp_path / "half.pt"))
    resumed.learn(1)
    expected, found = state_of(straight.alg), state_of(resumed.alg)
    assert expected.keys() == found.keys()
    assert [key for key, value in expected.items() if not torch.equal(value, found[key])] == []


@every_learner
def test_the_critic_chooses_what_is_done(learner, make_runner):
    """With values that are the sum of what is judged, that sum is the greatest of all candidates'."""
    alg = collect(make_runner(cfg=selecting(learner)))
    alg.td_critic.member_values = lambda obs, chunks: chunks.sum(dim=-1).expand(2, -1, -1)
    drawn, obs = [], alg.env.get_observations()
    explore = alg.explore

    def watched(latent):
        drawn.append(explore(latent))
        return drawn[-1]

    alg.explore = watched
    with torch.inference_mode():
        decision = alg.decide(obs)
    candidates = alg.judged(drawn[0]).unflatten(0, (NUM, len(obs)))
    assert len(drawn) == 1 and candidates.shape[1] == 32
    assert torch.equal(alg.judged(decision), candidates[candidates.sum(dim=-1).argmax(dim=0), torch.arange(len(obs))])
    alg.iteration = -1  # while the critic warms up it says nothing
    with torch.inference_mode():
        alg.decide(obs)
    assert len(drawn[1].chunk) == len(obs)


@every_learner
def test_returns_end_in_the_best_of_n(learner, make_runner):
    """The chunk with the highest value and bonus, by the least of the members where they are combined so."""
    alg = collect(make_runner(cfg=selecting(learner, bootstrap="min", bootstrap_draws=2)))
    signs = torch.tensor([1.0, -2.0]).view(2, 1, 1)
    alg.td_critic.member_values = lambda obs, chunks: signs * chunks.sum(dim=-1)
    obs, drawn, next_chunks = alg.env.get_observations(), [], alg.next_chunks

    def watched(obs):
        drawn.append(next_chunks(obs))
        return drawn[-1]

    alg.next_chunks = watched
    chunks, bonus = alg.selection.next_chunks(obs)
    candidates, added = drawn[0]
    assert chunks.shape == (2, 32, 4) and (bonus is None) == (added is None)
    for draw in range(2):
        for i in range(32):
            own = candidates[draw, i :: len(obs)]
            value = (signs[:, :, 0] * own.sum(dim=-1)).amin(dim=0)
            best = (value if added is None else value + added[draw, i :: len(obs)]).argmax()
            assert torch.equal(chunks[draw, i], own[best])
            assert added is None or bonus[draw, i] == added[draw, i :: len(obs)][best]


@pytest.mark.parametrize(("where", "remaining"), [("select_in_rollout", "next_chunks"), ("select_in_backup", "decide")])
def test_each_place_can_be_left_out(where, remaining, make_runner):
    alg, called = collect(make_runner(cfg=selecting("rldt", **{where: False}))), []
    for name in ("decide", "next_chunks"):
        own = getattr(alg.selection, name)
        setattr(alg.selection, name, lambda obs, name=name, own=own: called.append(name) or own(obs))
    alg.replay.prepare(1, alg.settings.window)
    with torch.inference_mode():
        alg.decide(alg.env.get_observations())
        alg.sample_critic()
    assert not alg.critic.dueling and called == [remaining]


def test_it_learns_from_pixels(make_runner):
    """The selector sees the features of the policy's encoders, which its own steps leave alone."""
    cfg = selecting("rldt", learning_rate=0.0, final_learning_rate=0.0, weight_decay=0.0)
    cfg["obs_groups"] = {"actor": ["policy", "front"], "critic": ["policy", "front"]}
    cfg["actor"]["encoder"] = ENCODER
    runner = make_runner(cfg=cfg, env=FilmedPointMass(8))
    before = copy.deepcopy(runner.alg.actor.state_dict())
    runner.learn(2)
    after = runner.alg.actor.state_dict()
    moved = {key.split(".")[0] for key in before if not torch.equal(before[key], after[key])}
    assert moved == {"selector"}


def test_it_is_refused_where_nothing_can_choose(make_runner):
    cfg = make_cfg("score_flow")
    cfg["actor"]["selector"]["kind"] = "best_of_n"
    with pytest.raises(ValueError, match=r"agent.actor.selector.kind = 'best_of_n' .*use an off-policy learner"):
        make_runner(cfg=cfg)
    cfg = selecting("rldt")
    cfg["actor"]["initial_noise"] = "zero"
    with pytest.raises(ValueError, match=r"agent.actor.selector.kind = 'best_of_n' .*all chunks are the same"):
        make_runner(cfg=cfg)
    cfg = selecting("rldt")
    cfg["actor"]["selector"]["num_candidates"] = 1
    with pytest.raises(ValueError, match=r"agent.actor.selector.num_candidates = 1 .*>= 2"):
        make_runner(cfg=cfg)


def test_choosing_alone_earns_more():
    """On the bandit, with a velocity that hardly learns, the best of eight earns what one chunk does not."""
    cfg = bandit.configuration(12, learning_rate=1e-8, final_learning_rate=1e-8, critic_warmup=2)
    cfg["actor"]["selector"] |= {"kind": "best_of_n", "num_candidates": 8, "hidden_dims": [64, 64]}
    runner = bandit.make_runner(cfg, seed=0)
    torch.manual_seed(1)
    before = bandit.measure(runner.alg.actor)["reward"]
    runner.learn(12)
    torch.manual_seed(1)
    after = bandit.measure(runner.alg.actor)["reward"]
    assert before < 0.5 and after > before + 0.25, (before, after)
