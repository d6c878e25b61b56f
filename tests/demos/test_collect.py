# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Collected episodes are whole, unbiased and survive an interruption."""

import h5py
import numpy as np
import pytest
import torch

from flow_rl.demos.collect import collect
from flow_rl.demos.reader import load_demos
from flow_rl.demos.writer import DemoWriter
from tests.toy_env import ToyEnv, ToyExpert


def run(path, num_demos, env=None, **options):
    env = env or ToyEnv()
    with DemoWriter(path) as writer:
        return collect(env, ToyExpert(env), writer, num_demos, seed=0, progress=False, **options)


def test_all_episodes_are_written_in_rounds_of_one_per_environment(tmp_path):
    run(tmp_path / "d.hdf5", 8, keep="all")
    demos = load_demos(tmp_path / "d.hdf5", only_successful=False)
    assert demos.lengths.tolist() == [1, 2, 3, 4, 1, 2, 3, 4]


def test_each_row_pairs_an_observation_with_the_action_taken_there(tmp_path):
    run(tmp_path / "d.hdf5", 8, keep="all")
    with h5py.File(tmp_path / "d.hdf5") as file:
        demo = file["data/demo_7"]  # environment 3, second episode: steps 5 to 8 of the run
        np.testing.assert_array_equal(demo["obs/policy"], [[3, 1, 0], [3, 1, 1], [3, 1, 2], [3, 1, 3]])
        assert demo["actions"][:, 0].tolist() == [5, 6, 7, 8]
        assert demo["dones"][:].tolist() == [0, 0, 0, 1] and demo["rewards"][:].tolist() == [0, 0, 0, 0]
        assert not demo.attrs["success"] and demo.attrs["strategy"] == "right"


def test_episodes_that_wait_for_their_round_stay_as_they_were(tmp_path):
    """Environment 0 ends one episode a step and the fourth needs four: all but the last wait while others begin."""
    run(tmp_path / "d.hdf5", 12, keep="all")
    with h5py.File(tmp_path / "d.hdf5") as file:
        for i in range(12):
            demo = file[f"data/demo_{i}"]
            index, number, length = i % 4, i // 4, i % 4 + 1
            expected = [[index, number, step] for step in range(length)]
            np.testing.assert_array_equal(demo["obs/policy"], expected, err_msg=f"demo_{i}")
            assert demo["dones"][:].tolist() == [0] * (length - 1) + [1]
            assert demo["actions"][:, 0].tolist() == [1 + number * length + step for step in range(length)]


def test_only_successful_episodes_are_kept_by_default(tmp_path):
    rate = run(tmp_path / "d.hdf5", 3)
    with h5py.File(tmp_path / "d.hdf5") as file:
        assert [demo["obs/policy"][0, 0] for demo in file["data"].values()] == [0, 2, 0]
        assert all(demo.attrs["success"] for demo in file["data"].values())
    assert rate == 0.5, "counted over whole rounds, not over what finished first"


def test_what_an_expert_does_after_its_plan_is_not_recorded(tmp_path):
    class Planner(ToyExpert):
        """Rests from its third tick of an episode on."""

        ticks = torch.zeros(4, dtype=torch.long)

        @property
        def rests(self):
            return self.ticks >= 2

        def act(self):
            self.ticks += 1
            return super().act()

        def reset(self, env_ids):
            super().reset(env_ids)
            self.ticks[env_ids] = 0

    env = ToyEnv()
    with DemoWriter(tmp_path / "d.hdf5") as writer:
        rate = collect(env, Planner(env), writer, 4, seed=0, progress=False)
    # environments 1 and 3 never succeed, but 3 goes on after the plan is done
    with h5py.File(tmp_path / "d.hdf5") as file:
        assert [(int(demo["obs/policy"][0, 0]), len(demo["actions"])) for demo in file["data"].values()][:3] == [
            (0, 1),
            (2, 2),
            (3, 2),
        ]
    assert rate == 0.75


def test_interruption_keeps_finished_episodes(tmp_path):
    class Interrupted(ToyEnv):
        def step(self, actions):
            if len(self.actions) == 3:
                raise KeyboardInterrupt
            return super().step(actions)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "d.hdf5", 100, env=Interrupted(), keep="all")
    # after three steps: environment 0 finished three episodes, environment 1 one, environment 2 one
    assert load_demos(tmp_path / "d.hdf5", only_successful=False).lengths.tolist() == [1, 2, 3, 1, 1]


def test_hopeless_expert_is_an_error_and_writes_nothing(tmp_path):
    class Hopeless(ToyEnv):
        def step(self, actions):
            obs, rewards, terminated, truncated, extras = super().step(actions)
            self._success[:] = False
            return obs, rewards, terminated, truncated, extras

    with pytest.raises(RuntimeError, match="succeeded in 0 of .* --quality"):
        run(tmp_path / "d.hdf5", 3, env=Hopeless())
    assert not (tmp_path / "d.hdf5").exists()
