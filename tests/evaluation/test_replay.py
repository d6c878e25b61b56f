# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Demonstrations solve their task again from where they began, and need not from elsewhere."""

import os
import subprocess
import sys
from types import SimpleNamespace

import h5py
import pytest
import torch

from flow_rl.cli import replay as command
from flow_rl.demos.collect import collect
from flow_rl.demos.episodes import read_hdf5
from flow_rl.demos.writer import DemoWriter
from flow_rl.evaluation.replay import has_starts, replay


class LineEnv:
    """Carts on a line that must come to 1 within eight steps; an action moves a cart, from where a reset puts it."""

    max_episode_length = 8

    def __init__(self, num_envs: int):
        self.num_envs, self.device = num_envs, "cpu"
        self.scene = SimpleNamespace(get_state=self._state)
        self.sim = SimpleNamespace(is_running=lambda: True, render=lambda: None)
        self.termination_manager = SimpleNamespace(
            active_terms=["success"], get_term=lambda name: {"success": self.success}[name]
        )
        self.x, self.time = torch.zeros(num_envs), torch.zeros(num_envs)

    def _state(self, is_relative: bool) -> dict:
        assert is_relative
        return {"articulation": {}, "rigid_object": {"cart": {"root_pose": self.x[:, None]}}}

    def reset(self, seed=None):
        torch.manual_seed(seed)
        self._begin(torch.arange(self.num_envs))
        return {"policy": self.x[:, None].clone()}, {}

    def reset_to(self, state, env_ids, is_relative):
        assert is_relative and len(env_ids) == self.num_envs
        self.x, self.time[:] = state["rigid_object"]["cart"]["root_pose"][:, 0].clone(), 0

    def step(self, actions):
        self.x, self.time = self.x + actions[:, 0], self.time + 1
        self.success = (self.x - 1).abs() < 1e-3
        truncated = ~self.success & (self.time >= self.max_episode_length)
        done = self.success | truncated
        rewards = self.success.float()
        self._begin(done.nonzero().flatten())
        return {"policy": self.x[:, None].clone()}, rewards, self.success.clone(), truncated, {}

    def _begin(self, env_ids):
        self.x[env_ids], self.time[env_ids] = -torch.rand(len(env_ids)), 0


class Expert:
    """Walks a quarter at a time, as fast as needed."""

    strategies = ("walk",)

    def __init__(self, env):
        self.env, self.strategy = env, torch.zeros(env.num_envs, dtype=torch.long)

    def act(self):
        return (1 - self.env.x[:, None]).clamp(max=0.25)

    def reset(self, env_ids):
        pass


@pytest.fixture
def demos(tmp_path):
    """Seven demonstrations by three carts."""
    env = LineEnv(3)
    with DemoWriter(tmp_path / "demos.hdf5", env_args={"task": "Line"}) as writer:
        collect(env, Expert(env), writer, 7, seed=0, progress=False)
    return tmp_path / "demos.hdf5"


def test_collections_keep_where_episodes_began(demos):
    """In the layout of Isaac Lab Mimic, with a first dimension of one."""
    with h5py.File(demos) as file:
        for name in file["data"]:
            start = file[f"data/{name}/initial_state/rigid_object/cart/root_pose"]
            assert start.shape == (1, 1) and start[0, 0] == file[f"data/{name}/obs/policy"][0, 0]
        assert len({float(file[f"data/{name}/obs/policy"][0, 0]) for name in file["data"]}) == 7


def test_all_succeed_from_where_they_began_and_not_from_elsewhere(demos):
    """Also two at a time, of which the last round has only one to play."""
    episodes = list(read_hdf5(demos, with_obs=False).episodes)
    assert has_starts(episodes)
    holds = torch.zeros(1)
    assert replay(LineEnv(2), episodes, holds, seed=5) == [True] * 7
    for episode in episodes:
        episode.start = None
    assert not has_starts(episodes)
    assert sum(replay(LineEnv(2), episodes, holds, seed=5)) < 3


def test_after_the_last_action_only_what_holds_goes_on(demos):
    """A cart that still moves passes by its goal."""
    episodes = list(read_hdf5(demos).episodes)[:2]
    for episode, step in zip(episodes, (0.25, 0.4), strict=True):
        episode.actions = episode.actions[:1] * 0 + step
        episode.start["rigid_object/cart/root_pose"][:] = 0.0
    assert replay(LineEnv(2), episodes, torch.ones(1), seed=0) == [True, False], "four times 0.25 is 1"
    assert replay(LineEnv(2), episodes, torch.zeros(1), seed=0) == [False, False]


def test_a_scene_that_differs_is_named(demos):
    episodes = list(read_hdf5(demos).episodes)
    env = LineEnv(2)
    env.action_manager = SimpleNamespace(total_action_dim=1)
    command.fit(env, episodes, "demos.hdf5")
    episodes[1].start["rigid_object/box/root_pose"] = episodes[1].start.pop("rigid_object/cart/root_pose")
    with pytest.raises(ValueError, match="rigid_object/box/root_pose, rigid_object/cart/root_pose differ. Valid"):
        command.fit(env, episodes, "demos.hdf5")
    env.action_manager.total_action_dim = 7
    with pytest.raises(ValueError, match=r"demos.hdf5 = 'actions of sizes \[1\]' .*Valid: 7 here"):
        command.fit(env, episodes, "demos.hdf5")


def test_task_and_overrides_are_those_of_the_collection():
    origin = {"task": "Line", "overrides": ["physics=ovphysx", "env.seed=3", "env.episode_length_s=8"]}
    recorded = ["physics=ovphysx", "env.episode_length_s=8"]
    assert command.as_collected(["d.hdf5"], origin) == ["d.hdf5", "--task", "Line", *recorded]
    words = ["d.hdf5", "--task", "Other", "env.episode_length_s=9"]
    assert command.as_collected(words, origin) == [*words[:3], *recorded, words[3]]
    with pytest.raises(ValueError, match="--task = None .*which does not name it"):
        command.as_collected(["d.hdf5"], {})


@pytest.mark.sim
@pytest.mark.slow
def test_lift_is_solved_again(tmp_path):
    """What was collected by three environments is replayed by two, on the engine of the collection."""
    words = {
        "collect": ["--task", "FlowRL-Lift-Franka", "--num_demos", "4", "--num_envs", "3", "--output", "demos.hdf5"],
        "data": ["replay", "demos.hdf5", "--num_envs", "2"],
    }
    words["collect"].append("physics=ovphysx")
    for name, more in words.items():
        code = [sys.executable, "-m", "flow_rl.cli.main", name, *more, "--device", "cpu"]
        run = subprocess.run(
            code, cwd=tmp_path, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True
        )
        assert run.returncode == 0, run.stderr[-3000:]
    assert "starts: where they were recorded" in run.stdout
    assert "4 of 4 episodes succeed" in run.stdout and "recorded as successes: 4 of 4" in run.stdout
