# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Packages in an environment: each sees what its conditions leave of its own observations."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from flow_rl.evaluation.packaged import Conditions, PackagePolicy
from tests.deploy.conftest import IMAGES, A, H, package, vision_package  # noqa: F401


def make_env(num_envs: int = 2, names=("eef_pos", "gripper_qpos"), images=()):
    manager = SimpleNamespace(
        active_terms={"policy": list(names), **{name: ["rgb"] for name in images}},
        group_obs_term_dim={"policy": [(3,), (2,)]},
        group_obs_dim={"policy": (5,), **{name: tuple(IMAGES[name]) for name in images}},
    )
    chunk = SimpleNamespace(horizon=1)
    return SimpleNamespace(
        num_envs=num_envs,
        device="cpu",
        observation_manager=manager,
        action_manager=SimpleNamespace(total_action_dim=A),
        cfg=SimpleNamespace(actions=SimpleNamespace(chunk=chunk)),
    )


def watch(policy: PackagePolicy) -> list[list]:
    """Record what each runner is shown: (observations, stamp, now, chunk)."""
    seen = [[] for _ in policy.runners]
    for runner, log in zip(policy.runners, seen, strict=True):

        def act(obs, stamp, now, act=runner.act, log=log):
            chunk = act(obs, stamp, now)
            log.append((obs, stamp, now, chunk))
            return chunk

        runner.act = act
    return seen


def observe(tick: int, num_envs: int = 2, images=()) -> dict[str, torch.Tensor]:
    """Numbers that tell tick and environment."""
    vectors = torch.arange(num_envs)[:, None] + 0.01 * tick + torch.arange(5) / 10
    pictures = {name: torch.full((num_envs, *IMAGES[name]), tick, dtype=torch.uint8) for name in images}
    return {"policy": vectors.float(), **pictures}


def test_each_environment_is_shown_its_own_terms_and_chunks_are_played_out(package):  # noqa: F811
    policy = PackagePolicy(package, make_env(), Conditions())
    seen = watch(policy)
    actions = torch.stack([policy.act(observe(tick)) for tick in range(2 * H)])
    for i, log in enumerate(seen):
        assert [entry[2] for entry in log] == [0.0, pytest.approx(0.4)]
        np.testing.assert_allclose(log[1][0]["eef_pos"], i + 0.04 + np.array([0.0, 0.1, 0.2]), atol=1e-6)
        np.testing.assert_allclose(log[1][0]["gripper_qpos"], i + 0.04 + np.array([0.3, 0.4]), atol=1e-6)
        np.testing.assert_array_equal(actions[:, i], np.concatenate([entry[3].actions for entry in log]))
    assert not torch.equal(actions[:, 0], actions[:, 1])


def test_delays_show_the_past_but_not_that_of_another_episode(package):  # noqa: F811
    policy = PackagePolicy(package, make_env(), Conditions(delay=3), execute=1)
    seen = watch(policy)
    for tick in range(5):
        policy.act(observe(tick))
    policy.reset(torch.tensor([1]))
    for tick in range(5, 7):
        policy.act(observe(tick))
    ages = [[round(now - stamp, 6) for _, stamp, now, _ in log] for log in seen]
    assert ages[0] == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.3, 0.3, 0.3])
    assert ages[1] == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.3, 0.0, 0.1])
    assert seen[0][6][0]["eef_pos"][0] == pytest.approx(0.03) and seen[1][6][0]["eef_pos"][0] == pytest.approx(1.05)
    assert not any(chunk.is_held for log in seen for *_, chunk in log)


def test_sensor_noise_is_a_share_of_the_spread(package):  # noqa: F811
    policy = PackagePolicy(package, make_env(1), Conditions(sensor_noise=0.1), execute=1)
    (log,) = watch(policy)
    for _ in range(400):
        policy.act(observe(0, 1))
    errors = np.array([entry[0]["eef_pos"] for entry in log]) - np.array([0.0, 0.1, 0.2])
    scale = np.array(package.contract["observations"][0]["normalisation"]["scale"])
    np.testing.assert_allclose(errors.std(axis=0), 0.1 * scale, rtol=0.15)
    assert np.abs(errors.mean(axis=0)).max() < 0.03 * scale.max()


def test_dropped_frames_hold_the_robot(vision_package):  # noqa: F811
    env = make_env(1, images=IMAGES)
    policy = PackagePolicy(vision_package, env, Conditions(dropped_frames=0.3), execute=1)
    (log,) = watch(policy)
    for tick in range(200):
        policy.act(observe(tick, 1, IMAGES))
    held = [chunk.reason for *_, chunk in log if chunk.is_held]
    assert 0.4 < len(held) / len(log) < 0.62  # 1 - 0.7^2, for two cameras
    assert {reason.split("'")[1] for reason in held} == set(IMAGES)


def test_seeds(package):  # noqa: F811
    def play(seed):
        policy = PackagePolicy(package, make_env(), Conditions(sensor_noise=0.1), seed)
        return torch.stack([policy.act(observe(tick)) for tick in range(6)])

    assert torch.equal(play(0), play(0)) and not torch.equal(play(0), play(1))


def test_an_environment_of_other_observations_is_refused(package):  # noqa: F811
    with pytest.raises(ValueError, match="--package = .for FlowRL-Nowhere: .*gripper_qpos.*one for this environment"):
        PackagePolicy(package, make_env(names=("eef_pos", "elbow")), Conditions())


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({"delay": -1}, "--delay = -1"),
        ({"sensor_noise": -0.1}, "--sensor_noise"),
        ({"dropped_frames": 1.0}, r"\[0, 1\)"),
    ],
)
def test_conditions_that_cannot_be(conditions, message):
    with pytest.raises(ValueError, match=message):
        Conditions(**conditions)


def test_names_of_conditions():
    assert str(Conditions()) == "none" and str(Conditions(2, 0.1, 0.05)) == (
        "delay 2, sensor noise 0.1, dropped frames 0.05"
    )
