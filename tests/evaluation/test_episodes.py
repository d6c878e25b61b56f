# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Evaluation counts every environment alike and films what happened."""

from types import SimpleNamespace

import imageio_ffmpeg
import numpy as np
import pytest
import torch

from flow_rl.evaluation.episodes import evaluate, play, record_film
from tests.toy_env import ToyEnv, ToyExpert


def test_each_environment_contributes_the_same_number_of_episodes():
    """Short episodes belong to environment 0, which succeeds: counting the first 8 finished would give 6/8."""
    env = ToyEnv()
    result = evaluate(env, ToyExpert(env), 8, seed=0, horizon=1, progress=False)
    assert result["episodes"] == 8 and result["success"] == 0.5
    assert result["mean_return"] == 0.5
    assert result["mean_episode_length"] == pytest.approx((1 + 2 + 3 + 4) / 4)
    assert result["ci95"][0] < 0.5 < result["ci95"][1]


def test_episodes_are_rounded_up_and_length_counts_control_steps():
    env = ToyEnv()
    result = evaluate(env, ToyExpert(env), 5, seed=0, horizon=2, progress=False)
    assert result["episodes"] == 8 and result["mean_episode_length"] == pytest.approx(2 * 2.5)
    assert result["outcomes"] == "11001100", "two episodes of each environment, of which the even ones succeed"


def test_film_plays_chunks_open_loop_until_every_environment_has_finished(tmp_path):
    class Chunks(ToyExpert):
        def act(self, obs):
            self.count += 1
            rows = 10.0 * self.count + torch.arange(2.0)
            return rows[:, None].expand(2, 3).reshape(1, 6).repeat(self.env.num_envs, 1)

    env, path = ToyEnv(), tmp_path / "f.mp4"
    successes = record_film(env, Chunks(env), path, group="film", seed=0, horizon=2, title="toy", hold=0.0)
    assert successes == 2
    assert [float(a[0, 0]) for a in env.actions] == [10, 11, 20, 21] and env.actions[0].shape == (4, 3)
    picture = list(imageio_ffmpeg.read_frames(str(path)))[-1]
    # each tile keeps the last picture before its reset: brightness 60, 120, 180, 240
    last = np.frombuffer(picture, dtype=np.uint8).reshape(-1, 146, 3)[34:]
    shades = [int(np.median(last[y : y + 48, x : x + 64])) for y in (6, 60) for x in (6, 76)]
    assert shades == pytest.approx([60, 120, 180, 240], abs=4)


def test_playing_once_ends_with_the_longest_first_episode_and_counts_each_once():
    env = ToyEnv()
    env.sim = SimpleNamespace(render=lambda: None, is_running=lambda: True)
    assert play(env, ToyExpert(env), seed=0, once=True).tolist() == [True, False, True, False]
    assert len(env.actions) == 4


def test_playing_on_ends_with_the_last_viewer():
    env = ToyEnv()
    env.sim = SimpleNamespace(render=lambda: None, is_running=lambda: len(env.actions) < 11)
    play(env, ToyExpert(env), seed=0, once=False)
    assert len(env.actions) == 11
