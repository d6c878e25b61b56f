# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Demonstrations as trajectories: where chunks begin and what they earn, whose they are in a batch, what is refused."""

import h5py
import numpy as np
import pytest
import torch
from rsl_rl.runners import OnPolicyRunner

from flow_rl.demos.writer import DemoWriter
from flow_rl.testing import FilmedPointMass, PointMass, small_config
from flow_rl.testing.learners import ENCODER

LENGTHS = (5, 4, 30)
FEW = {"num_critic_updates": 4, "target_repeat": 2, "num_actor_updates": 2, "critic_batch_size": 10, "window": 2}


def write(path, columns: int = 2):
    """Three demonstrations of the point mass whose observations count from 10 on; the last step earns 1."""
    with DemoWriter(path) as writer:
        for i, steps in enumerate(LENGTHS):
            at = np.arange(steps, dtype=np.float32)
            vectors = np.stack([10 + at, np.full(steps, i)], axis=1)[:, :columns]
            obs = {"policy": vectors, "front": np.full((steps, 3, 16, 16), 50 * i, np.uint8)}
            actions = np.stack([at / 100, np.full(steps, i / 10)], axis=1).astype(np.float32)
            done = at == steps - 1
            writer.write(obs=obs, actions=actions, rewards=done.astype(np.float32), dones=done, success=True)
    return path


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "demos.hdf5")


def make_alg(path, learner: str = "residual", pixels: bool = False, **algorithm):
    """A learner at the beginning of training."""
    torch.manual_seed(0)
    cfg = small_config(learner, demonstrations=str(path), **FEW, **algorithm)
    if pixels:
        cfg["obs_groups"] = {"actor": ["policy", "front"], "critic": ["policy", "front"]}
        cfg["actor"]["encoder"] = ENCODER
    runner = OnPolicyRunner((FilmedPointMass if pixels else PointMass)(8), cfg, device="cpu")
    runner.alg.actor.action_normalizer.scale.fill_(2.0)  # as if a policy had been loaded
    runner.alg.train_mode()
    return runner


def test_chunks_begin_at_every_second_step(path):
    """H = 2 and at most 8 decisions: lengths 3, 2 and, cut, 8; the last action is repeated; actions are normalised."""
    replay = make_alg(path).alg.demonstrations
    assert replay.length[:3].tolist() == [3, 2, 8] and replay.truncated[:3].tolist() == [False, False, True]
    assert replay.obs_policy[0, :4, 0].tolist() == [10.0, 12.0, 14.0, 14.0]
    assert replay.obs_policy[2, :9, 0].tolist() == [10.0 + 2.0 * k for k in range(9)]
    torch.testing.assert_close(replay.action[0, 2], torch.tensor([0.04, 0.0, 0.04, 0.0]) / 2)
    torch.testing.assert_close(replay.action[1, 1], torch.tensor([0.02, 0.1, 0.03, 0.1]) / 2)
    assert replay.reward[:3].sum(dim=1).tolist() == [1.0, 1.0, 0.0] and replay.reward[0, 2] == 1.0
    assert replay.total[:3].tolist() == [1.0, 1.0, 0.0]


@pytest.mark.parametrize("pixels", [False, True], ids=["state", "pixels"])
def test_their_share_of_each_batch(tmp_path, pixels):
    """Half of every step's windows and states, mixed; none of what shall be new. Points are within 2 of the origin."""
    alg = make_alg(write(tmp_path / "demos.hdf5", columns=2 - pixels), pixels=pixels).alg
    replay, over = alg.replay, torch.ones(8, dtype=torch.bool)
    for _ in range(8):
        obs = alg.door(alg.env.get_observations())
        replay.begin_step(obs, action=torch.zeros(8, 4))
        replay.end_step(torch.zeros(8), over, ~over, obs, obs)
    replay.prepare(1, 2)
    batch = alg.windows(1000, 1, 0.33, split=False)
    theirs = batch["obs"]["policy"][0, :, 0, 0] > 5.0
    assert batch.shape == (1, 1000) and int(theirs.sum()) == 500
    assert 200 < int(theirs[:500].sum()) < 300, "single steps take them one after the other"
    assert not (alg.windows(100, 1, 1.0, split=False)["obs"]["policy"] > 5.0).any()
    if pixels:
        features = alg.demonstrations.obs_front_features[:3, 0]
        assert not torch.equal(features[0], features[2]) and alg.demonstrations.obs_front.dtype == torch.uint8


@pytest.mark.parametrize("learner", ["residual", "rldt", "sac_flow", "dsrl", "qam"])
def test_learners_go_on_learning_from_them(path, learner):
    runner = make_alg(path, learner)
    runner.learn(2)
    assert all(torch.isfinite(value).all() for value in runner.alg.get_policy().state_dict().values())


def test_what_is_refused(path):
    with pytest.raises(ValueError, match=r"demonstration_fraction = 1.0 .*half of each batch"):
        make_alg(path, demonstration_fraction=1.0)
    with pytest.raises(ValueError, match=r"demonstrations = .*variant=NA"):
        make_alg(path, "dsrl", variant="SAC")
    with pytest.raises(ValueError, match="is not a file"):
        make_alg(path.with_name("other.hdf5"))
    with h5py.File(path, "a") as file:
        file["data/demo_1/rewards"][0] = np.nan
    with pytest.raises(ValueError, match=r"demo_1/rewards has 4 numbers for 4 actions, or one that is not finite"):
        make_alg(path)
    with h5py.File(path, "a") as file:
        del file["data/demo_1/rewards"]
    with pytest.raises(ValueError, match=r"demo_1/rewards is missing.*flow-rl collect writes them"):
        make_alg(path)
