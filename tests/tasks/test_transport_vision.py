# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The transport task seen through cameras: one from the side and one on each wrist."""

import pytest
import torch

pytestmark = pytest.mark.sim

NUM_ENVS = 2
WRISTS = ("wrist", "wrist_2")


@pytest.fixture(scope="module")
def env(make_env):
    task = "FlowRL-Transport-DualFranka-Vision"
    with make_env(horizon=1, num_envs=NUM_ENVS, task=task, physics="ovphysx") as env, torch.inference_mode():
        yield env


def test_the_actor_sees_three_pictures_and_feels_both_robots(env):
    obs, _ = env.reset(seed=0)
    for camera in ("front", *WRISTS):
        assert obs[camera].shape == (NUM_ENVS, 3, 96, 96) and obs[camera].dtype == torch.uint8
        assert obs[camera].float().std() > 20, "not blank"
    assert obs["policy"].shape == (NUM_ENVS, 18) and obs["state"].shape == (NUM_ENVS, 59)
    assert torch.equal(obs["state"][:, :18], obs["policy"])
    assert not torch.equal(obs["wrist"], obs["wrist_2"])


@pytest.mark.parametrize("arm", [0, 1])
def test_each_wrist_camera_moves_with_its_own_hand(env, arm):
    before = {name: image.float() for name, image in env.reset(seed=0)[0].items()}
    action = torch.zeros(NUM_ENVS, 14)
    action[:, 7 * arm + 1] = 0.6
    for _ in range(5):
        after, *_ = env.step(action)
    moved, still = ((after[name].float() - before[name]).abs().mean() for name in (WRISTS[arm], WRISTS[1 - arm]))
    assert moved > 2 and moved > 3 * still
