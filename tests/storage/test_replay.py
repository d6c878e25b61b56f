# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The replay: windows inside trajectories, balance, newest and disjoint shares, wrap-around, checkpoints."""

import copy

import pytest
import torch
from tensordict import TensorDict

from flow_rl.storage.replay import TrajectoryReplay

E = 3


class Play:
    """Environments whose observation tells environment, episode and step, so that every window can be traced."""

    fields = {"action": (2,), "draw": ()}

    def __init__(self, seed: int = 0, **settings):
        settings = {"capacity": 12, "max_length": 40} | settings
        self.random = torch.Generator().manual_seed(seed)
        self.episode, self.step = torch.zeros(E), torch.zeros(E)
        self.replay = TrajectoryReplay(self.obs(), self.fields, **settings)
        self.ended: list[tuple[int, int, int, float]] = []  # environment, episode, length, return

    def obs(self) -> TensorDict:
        rows = torch.stack([torch.arange(float(E)), self.episode, self.step], dim=-1)
        return TensorDict({"policy": rows}, batch_size=[E])

    def advance(self, terminated=None, truncated=None, reward=None) -> None:
        """One step; by default each episode ends with probability 0.4, half of these ends earn 1."""
        draw = torch.rand(E, generator=self.random)
        terminated = draw < 0.4 if terminated is None else torch.tensor(terminated)
        truncated = torch.zeros(E, dtype=torch.bool) if truncated is None else torch.tensor(truncated)
        reward = (draw < 0.2).float() if reward is None else torch.tensor(reward)
        self.replay.begin_step(self.obs(), action=torch.stack([self.episode, self.step], dim=-1), draw=self.step)
        self.step += 1
        final = self.obs()
        ended = terminated | truncated
        for env in ended.nonzero().flatten().tolist():
            self.ended.append((env, int(self.episode[env]), int(self.step[env]), float(reward[env])))
        self.episode += ended
        self.step *= ~ended
        self.replay.end_step(reward, terminated, truncated, self.obs(), final)

    def sample(self, num: int = 400, window: int = 3, new_fraction: float = 0.0, **kwargs) -> TensorDict:
        self.replay.prepare(window)
        return self.replay.sample(num, window, new_fraction=new_fraction, **kwargs)


def test_windows_stay_inside_one_trajectory():
    """Every valid place of a window follows the one before it in the same episode, after many wrap-arounds too."""
    play = Play()
    for _ in range(100):
        play.advance()
    batch = play.sample()[0]
    obs, valid = batch["obs", "policy"], batch["valid"]
    assert valid.any(dim=1).all()
    for step in range(3):
        here = valid[:, step]
        assert torch.equal(obs[:, step, 1:][here], batch["action"][:, step][here])
        assert torch.equal(obs[:, step, 2][here], batch["draw"][:, step][here])
        goes_on = here & ~batch["terminated"][:, step]
        assert torch.equal(obs[:, step + 1, :2][goes_on], obs[:, step, :2][goes_on])
        assert torch.equal(obs[:, step + 1, 2][goes_on], obs[:, step, 2][goes_on] + 1)
        if step < 2:  # nothing valid follows an end
            assert not (valid[:, step + 1] & here & batch["terminated"][:, step]).any()


def test_exactly_the_newest_trajectories_are_kept():
    """After many wrap-arounds the ring holds the last N ended trajectories, with their lengths."""
    play = Play()
    for _ in range(100):
        play.advance()
    batch = play.sample(4000, 1)[0]
    found = {tuple(map(int, row[:2])) for row in batch["obs", "policy"][:, 0].tolist()}
    assert found == {(env, episode) for env, episode, _, _ in play.ended[-12:]}
    slots = play.replay.ring[:-1]
    assert sorted(play.replay.length[slots].tolist()) == sorted(length for *_, length, _ in play.ended[-12:])
    assert len(set(slots.tolist()) | set(play.replay.slot.tolist())) == 12 + E


def test_success_levels_are_balanced():
    """One success among eleven failures makes up half of the batch; unbalanced, its share of the steps."""
    for balanced, share in ((True, 0.5), (False, 1 / 12)):
        play = Play(balanced=balanced)
        for success in (1.0, 0.0, 0.0, 0.0):
            play.advance(terminated=[True] * E, reward=[success, 0.0, 0.0])
        batch = play.sample(20_000, 1)[0]
        assert float(batch["reward"].mean()) == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize("new_fraction", [0.0, 1.0])
def test_successes_can_be_drawn_alone(new_fraction):
    """Of three environments one succeeds: every step of its trajectory is drawn, the others' never."""
    play = Play(balanced=False)
    play.advance(terminated=[False] * E, reward=[0.0] * E)
    play.advance(terminated=[True] * E, reward=[0.0, 1.0, 0.0])
    batch = play.sample(200, 1, new_fraction=new_fraction, split=False, successes=True)[0]
    assert batch["valid"].all()
    assert set(batch["obs"]["policy"][:, 0, 0].tolist()) == {1.0}
    assert set(batch["obs"]["policy"][:, 0, 2].tolist()) == {0.0, 1.0}


def test_without_a_success_nothing_counts():
    play = Play()
    play.advance(terminated=[True] * E, reward=[0.0] * E)
    assert play.sample(50, 2)["valid"].any()
    assert not play.sample(50, 2, successes=True)["valid"].any()


def test_every_step_is_drawn_equally_often():
    """Windows begin before and end after a trajectory, so that its ends are not drawn less often than its middle."""
    play = Play(balanced=False)
    for step in range(5):
        play.advance(terminated=[step == 4] * E)
    batch = play.sample(60_000, 3)[0]
    steps = batch["obs", "policy"][:, :-1, 2][batch["valid"]].long()
    shares = torch.bincount(steps, minlength=5) / len(steps)
    torch.testing.assert_close(shares, torch.full((5,), 0.2), atol=0.01, rtol=0.0)


@pytest.mark.parametrize("balanced", [False, True])
def test_steps_of_short_trajectories_are_drawn_as_often(balanced):
    """A window begins at more places of a short trajectory, for its length, than of a long one."""
    play = Play(balanced=balanced)
    for step in range(36):
        play.advance(terminated=[step in (3, 35)] * E, reward=[0.0] * E)
    batch = play.sample(20_000, 12)[0]
    episode = batch["obs", "policy"][:, :-1, 1][batch["valid"]]
    shares = torch.bincount(episode.long(), minlength=2) / len(episode)
    torch.testing.assert_close(shares, torch.tensor([4 / 36, 32 / 36]), atol=0.01, rtol=0.0)


def test_share_of_the_newest():
    """The asked share comes from trajectories completed since the last call; without any, from all."""
    play = Play()
    play.advance(terminated=[True] * E, reward=[0.0] * E)
    play.replay.prepare(1)
    for _ in range(3):
        play.advance(terminated=[True] * E, reward=[0.0] * E)
    batch = play.sample(9000, 1, new_fraction=1 / 3)[0]
    assert (batch["obs", "policy"][6000:, 0, 1] >= 1).all()
    assert float((batch["obs", "policy"][:, 0, 1] == 0).float().mean()) == pytest.approx(2 / 3 / 4, abs=0.02)
    assert play.sample(100, 1, new_fraction=1.0)["valid"].all()


def test_ages_of_what_is_drawn():
    """Ten rollouts of one trajectory an environment: each age has as many steps; a share is of the newest."""
    play = Play(capacity=12 * E, balanced=False)
    for _ in range(10):
        play.advance(terminated=[True] * E)
        play.replay.prepare(1)
    ages = play.replay.ages(new_fraction=0.0)
    assert ages["batch_age"].item() == pytest.approx(4.5) and ages["batch_new"].item() == pytest.approx(0.1)
    assert ages["batch_old"].item() == pytest.approx(0.2), "those of the first two rollouts"
    ages = play.replay.ages(new_fraction=0.5)
    assert ages["batch_age"].item() == pytest.approx(2.25) and ages["batch_new"].item() == pytest.approx(0.55)


def test_disjoint_subsets():
    """Each subset draws trajectories of its own, together all of them; the whole is there on request."""
    play = Play(num_subsets=3)
    for _ in range(60):
        play.advance()
    batch = play.sample(2000, 1)
    rows = [{tuple(row) for row in part[:, 0, :2].tolist()} for part in batch["obs", "policy"]]
    assert batch.batch_size == (3, 2000)
    assert not rows[0] & rows[1] and not rows[0] & rows[2] and not rows[1] & rows[2]
    whole = play.replay.sample(4000, 1, new_fraction=0.0, split=False)
    assert {tuple(row) for row in whole["obs", "policy"][0, :, 0, :2].tolist()} == rows[0] | rows[1] | rows[2]


def test_truncation_keeps_the_observation_before_the_reset():
    """What follows the last step of a truncated trajectory is its own last observation."""
    play = Play()
    play.advance(terminated=[False] * E)
    play.advance(terminated=[False] * E, truncated=[True] * E, reward=[0.0] * E)
    batch = play.sample(200, 1)[0]
    last = batch["truncated"][:, 0]
    assert last.any() and not batch["terminated"].any()
    assert (batch["obs", "policy"][last][:, 1, 1:] == torch.tensor([0.0, 2.0])).all()


def test_long_episodes_are_cut_not_ended():
    """A trajectory of the greatest length is stored as truncated, and the rest of the episode as another one."""
    play = Play(max_length=4)
    for _ in range(9):
        play.advance(terminated=[False] * E, reward=[0.0] * E)
    batch = play.sample(400, 4)[0]
    steps = batch["obs", "policy"][:, :-1, 2][batch["valid"]]
    assert set(steps.tolist()) == set(range(8))
    assert not batch["terminated"].any()
    ends = batch["obs", "policy"][:, 1:, 2][batch["truncated"] & batch["valid"]]
    assert set(ends.tolist()) == {4.0, 8.0}


def test_an_empty_replay_counts_nothing():
    """Before the first trajectory is complete, everything sampled is marked as outside."""
    play = Play()
    play.advance(terminated=[False] * E)
    assert not play.sample(50, 3, new_fraction=0.5)["valid"].any()


def test_checkpoint_in_the_middle_of_a_trajectory():
    """Written state continues exactly, unfinished trajectories included."""
    play = Play()
    for _ in range(20):
        play.advance()
    twin = copy.deepcopy(play)
    twin.replay = TrajectoryReplay(play.obs(), play.fields, capacity=12, max_length=40)
    twin.replay.load_state_dict(copy.deepcopy(play.replay.state_dict()))
    for one in (play, twin):
        for _ in range(20):
            one.advance()
        torch.manual_seed(1)
        one.batch = one.sample()
    for key, value in play.batch.items(include_nested=True, leaves_only=True):
        assert torch.equal(value, twin.batch[key]), key


def test_unfinished_trajectories_are_dropped_after_a_restart():
    """Only environments that are at the stored step go on with their trajectory."""
    play = Play()
    play.advance(terminated=[False] * E)
    play.replay.align(torch.tensor([1, 0, 5]))
    assert play.replay.step.tolist() == [1, 0, 0]


def test_other_sizes_begin_anew(capsys):
    """A checkpoint of another capacity is not forced in."""
    replay = Play().replay
    state = replay.adapt(Play(capacity=24).replay.state_dict())
    assert all(torch.equal(state[key], value) for key, value in replay.state_dict().items())
    assert "begins anew" in capsys.readouterr().out
    with pytest.raises(ValueError, match="capacity = 2 must hold"):
        Play(capacity=2)


def test_images_take_a_byte_per_colour_and_pixel():
    num_envs, capacity, length = 3, 6, 5

    def size(**groups: torch.Tensor) -> int:
        obs = TensorDict(groups, batch_size=[num_envs])
        return TrajectoryReplay(obs, {"action": (2,)}, capacity=capacity, max_length=length).num_bytes

    vector, image = torch.zeros(num_envs, 2), torch.zeros(num_envs, 3, 96, 96, dtype=torch.uint8)
    frames = (capacity + num_envs) * (length + 1)
    assert size(policy=vector, front=image) - size(policy=vector) == frames * 27_648
    assert size(policy=vector) > frames * 2 * 4
