# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Learning from pixels alone: critics see images as the policy did when learning began."""

import copy

import pytest
import torch
from tensordict import TensorDict

from flow_rl.configs import learners
from flow_rl.testing import FilmedPointMass, PointMass
from tests.algorithms.conftest import make_cfg, pretrained

every_learner = pytest.mark.parametrize("learner", sorted(learners()))
ENCODER = {"kind": "vit", "output_dim": 8, "patch": 8, "width": 16, "depth": 1, "num_heads": 2, "shift": 2}


def pixels_cfg(learner: str, critic: tuple[str, ...] = ("policy", "front"), **algorithm) -> dict:
    cfg = make_cfg(learner, **algorithm)
    cfg["obs_groups"] = {"actor": ["policy", "front"], "critic": list(critic)}
    cfg["actor"]["encoder"] = ENCODER
    return cfg


def make(make_runner, learner: str, env: PointMass | None = None, **options):
    return make_runner(learner, env=env or FilmedPointMass(8), cfg=pixels_cfg(learner, **options))


@every_learner
def test_critics_learn_from_pixels_and_leave_their_view_alone(learner, make_runner):
    runner = make(make_runner, learner, time_limit_is_terminal=False)
    alg = runner.alg
    before = [copy.deepcopy(module.state_dict()) for module in (alg.door.view, alg.actor.observer.encoder, alg.critic)]
    runner.learn(2)
    after = [module.state_dict() for module in (alg.door.view, alg.actor.observer.encoder, alg.critic)]
    changed = [any(not torch.equal(a[key], b[key]) for key in a) for a, b in zip(before, after, strict=True)]
    learns = any(parameter.requires_grad for parameter in alg.actor.observer.encoder.parameters())
    assert changed == [False, learns, True]
    assert all(torch.isfinite(value).all() for state in after for value in state.values())
    obs = runner.env.get_observations()
    seen = alg.door(obs)
    assert seen["front_features"].shape == (8, 8) and torch.equal(seen["policy"], obs["policy"])


@every_learner
def test_each_picture_is_encoded_once_for_the_critic(learner, make_runner, monkeypatch):
    """Of 6 decisions in 8 environments: those acted upon, those before resets, and one more to end the rollout."""
    runner = make(make_runner, learner, time_limit_is_terminal=False)
    encoded, encode = [], runner.alg.door.view._encode
    monkeypatch.setattr(runner.alg.door.view, "_encode", lambda obs: encoded.append(len(obs)) or encode(obs))
    runner.learn(1)
    assert sum(encoded) == 8 * (7 + 6)


@every_learner
def test_observations_in_the_same_object_are_seen_anew(learner, make_runner):
    """Environments may write into what they returned before; the critic must not go on with what it saw there."""
    runner = make(make_runner, learner)
    alg, env = runner.alg, runner.env
    obs = env.get_observations()
    alg.train_mode()
    with torch.inference_mode():
        actions = alg.act(obs)
        before = alg.door.view(obs)["front_features"]
        following, rewards, dones, extras = env.step(actions)
        obs.update_(following)
        alg.process_env_step(obs, rewards, dones, extras)
        seen = alg.door(obs)["front_features"]
        torch.testing.assert_close(seen, alg.door.view(following)["front_features"])
        assert not torch.equal(seen, before)


@every_learner
def test_only_what_is_read_is_kept(learner, make_runner):
    """A camera that nobody sees takes no memory."""
    runner = make_runner(learner, env=FilmedPointMass(8), cfg=make_cfg(learner))
    kept = runner.alg.replay.groups if hasattr(runner.alg, "replay") else list(runner.alg.storage.data["obs"].keys())
    assert kept == ["policy"]
    runner.learn(1)


@every_learner
def test_the_view_is_that_of_the_pretrained_policy(learner, make_runner, tmp_path):
    teacher = make(make_runner, learner).alg.actor
    torch.save(pretrained(teacher), tmp_path / "pretrained.pt")
    runner = make(make_runner, learner, from_scratch=False)
    runner.load(str(tmp_path / "pretrained.pt"))
    view = runner.alg.door.view
    obs = runner.env.get_observations()
    features = teacher.get_latent(obs)[:, teacher.obs_dim :]
    torch.testing.assert_close(view(obs)["front_features"], features)
    # more dimensions, as in windows of the replay, and batches that are split
    windows = TensorDict({name: torch.stack([group, group]) for name, group in obs.items()}, batch_size=[2, 8])
    torch.testing.assert_close(view(windows)["front_features"], features.detach().expand(2, 8, -1))


@every_learner
def test_resuming_is_bit_identical(learner, make_runner, tmp_path):
    straight = make(make_runner, learner)
    straight.learn(1)
    straight.save(str(tmp_path / "half.pt"))
    env = copy.deepcopy(straight.env)
    straight.learn(1)
    resumed = make(make_runner, learner, env=env)
    resumed.alg.planned_iterations -= 1  # what is left of its schedules
    resumed.load(str(tmp_path / "half.pt"))
    resumed.learn(1)
    for name in ("actor", "critic", "view"):
        expected, found = (runner.alg.parts[name].state_dict() for runner in (straight, resumed))
        assert all(torch.equal(value, found[key]) for key, value in expected.items()), name


@every_learner
def test_cameras_of_the_critic_are_the_actors(learner, make_runner):
    cfg = pixels_cfg(learner)
    cfg["obs_groups"]["actor"] = ["policy"]
    with pytest.raises(
        ValueError, match=r"agent.obs_groups.critic = \['policy', 'front'\] .*images that networks of the actor see"
    ):
        make_runner(learner, env=FilmedPointMass(8), cfg=cfg)


@every_learner
def test_without_images_nothing_is_added(learner, make_runner):
    runner = make(make_runner, learner, critic=("policy",))
    assert runner.alg.door.view is None and "view_state_dict" not in runner.alg.save()
