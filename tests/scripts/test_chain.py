# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The scripts work one after the other on the real task."""

import json
import re
import signal
import time
from pathlib import Path

import cv2
import h5py
import imageio_ffmpeg
import numpy as np
import pytest

from flow_rl.demos.reader import load_demos
from flow_rl.demos.writer import DemoWriter
from tests.commands import Python

pytestmark = [pytest.mark.sim, pytest.mark.slow]

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
TASK = ["--task", "FlowRL-Lift-Franka", "--device", "cpu"]
SIM = [*TASK, "physics=ovphysx", "env.episode_length_s=8"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("chain")


def start(folder, name: str, *words) -> Python:
    return Python(SCRIPTS / f"{name}.py", *words, cwd=folder)


def run(folder, name: str, *words) -> str:
    process = start(folder, name, *words)
    out, err = process.communicate()
    assert process.returncode == 0, err[-3000:]
    return out


@pytest.fixture(scope="module")
def demos(folder):
    path = folder / "demos.hdf5"
    run(folder, "collect_demos", *SIM, "--num_demos", 12, "--num_envs", 12, "--output", path)
    return path


@pytest.fixture(scope="module")
def checkpoint(folder, demos):
    path = folder / "p.pt"
    words = ["agent.num_steps=50", "agent.actor.hidden_dims=[64,64]"]
    run(folder, "pretrain", *TASK, "--demos", demos, "--output", path, *words)
    return path


def evaluate(folder, checkpoint, output: str, *words) -> dict:
    path = folder / output
    run(folder, "evaluate", *SIM, "--checkpoint", checkpoint, "--output", path, "--overwrite", *words)
    return json.loads(path.read_text())


def test_demonstrations_follow_several_strategies_and_name_their_origin(demos):
    loaded = load_demos(demos)
    assert loaded.num_demos == 12 and (loaded.obs_dim, loaded.action_dim) == (19, 7)
    assert np.abs(loaded.actions).max() <= 1.0
    assert loaded.env_args["task"] == "FlowRL-Lift-Franka" and "isaaclab" in loaded.env_args["versions"]
    with h5py.File(demos) as file:
        assert len({demo.attrs["strategy"] for demo in file["data"].values()}) >= 2
        for demo in file["data"].values():
            assert demo["rewards"][:].sum() == 1 and demo["rewards"][-1] == 1, "a success pays once, at the end"
            assert demo["dones"][:].sum() == 1 and demo["dones"][-1] == 1


def test_evaluation_repeats_itself_and_says_what_it_did(folder, checkpoint):
    words = ["--num_episodes", 8, "--num_envs", 4, "--seed", 3]
    first, second = (evaluate(folder, checkpoint, f"{i}.json", *words) for i in (1, 2))
    keys = ("success", "ci95", "episodes", "mean_return", "mean_episode_length", "sampling", "task", "seed", "policy")
    assert [first[key] for key in keys] == [second[key] for key in keys]
    assert first["episodes"] == 8 and first["sampling"] == "random_noise_ode" and first["policy"] == "pretrain"
    assert 4 <= first["mean_episode_length"] <= 80 and first["env_steps_per_s"] > 0
    zero = evaluate(folder, checkpoint, "z.json", *words, "--sampling", "zero")
    assert zero["sampling"] == "zero_noise_ode"


def test_chunks_may_take_time(folder, checkpoint):
    """Three of four actions are executed, one of them the former chunk's."""
    words = ["--num_episodes", 4, "--num_envs", 4, "--inference_delay", 1, "--chunking", "rtc"]
    result = evaluate(folder, checkpoint, "rtc.json", *words)
    assert result["chunking"] == {"horizon": 4, "execute": 3, "delay": 1, "method": "rtc"}
    assert result["episodes"] == 4 and result["jerk"] > 0 and len(result["jerk_of_actions"]) == 7


def test_expert_succeeds_and_is_filmed(folder):
    words = ["--policy", "expert", "--num_episodes", 8, "--num_envs", 8, "--output", "e.json"]
    run(folder, "evaluate", *SIM, *words, "--video", "e.mp4", "--video_envs", 4)
    assert json.loads((folder / "e.json").read_text())["success"] >= 0.9
    reader = imageio_ffmpeg.read_frames(str(folder / "e.mp4"))
    assert next(reader)["codec"] == "h264"
    frames = [np.frombuffer(frame, np.uint8) for frame in reader]
    assert len(frames) > 15 and frames[0].std() > 10
    assert (frames[0] != frames[len(frames) // 2]).mean() > 0.01, "the film moves"


def test_checkpoint_of_another_task_is_refused(folder, demos):
    """Demonstrations with one observation less make a policy that does not fit."""
    loaded = load_demos(demos)
    with DemoWriter(folder / "narrow.hdf5") as writer:
        one = np.zeros(len(loaded.obs))
        writer.write(obs={"policy": loaded.obs[:, 1:]}, actions=loaded.actions, rewards=one, dones=one)
    path, words = folder / "narrow.pt", ["agent.num_steps=1", "agent.actor.hidden_dims=[8]"]
    run(folder, "pretrain", *TASK, "--demos", folder / "narrow.hdf5", "--output", path, *words)
    process = start(folder, "evaluate", *SIM, "--checkpoint", path, "--num_episodes", 2, "--output", "n.json")
    _, err = process.communicate()
    assert process.returncode == 2 and "obs_dim 18 vs 19" in err, err[-2000:]
    assert not (folder / "n.json").exists()


def test_interrupted_collection_leaves_whole_episodes(folder):
    path = folder / "interrupted.hdf5"
    process = start(folder, "collect_demos", *SIM, "--num_demos", 100000, "--num_envs", 8, "--output", path)
    deadline = time.time() + 300
    while not (path.exists() and path.stat().st_size > 50_000):
        assert process.poll() is None and time.time() < deadline
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode not in (0, None) and "stopped:" in err, err[-2000:]
    demos = load_demos(path)
    assert demos.num_demos >= 8
    assert f"stopped: {demos.num_demos} of 100000" in err


def test_two_policies_are_compared_from_the_same_starts(folder, checkpoint):
    film = folder / "compare.mp4"
    words = ["--names", "clone", "teacher", "--video", film, "--num_envs", 2, "env.episode_length_s=3"]
    out = run(folder, "compare", *SIM, "--checkpoints", checkpoint, "expert", *words)
    solved, total = re.search(r"^clone: (\d) of (\d), ", out, re.MULTILINE).groups()
    assert total == "2" and "teacher: 2 of 2, 100.0% [34.2%, 100.0%]" in out
    assert f"only clone: 0, only teacher: {2 - int(solved)}, both: {solved}, neither: 0" in out
    frames = imageio_ffmpeg.read_frames(str(film))
    width, height = next(frames)["size"]
    first = np.frombuffer(next(frames), dtype=np.uint8).reshape(height, width, 3).astype(np.float32)
    half = (width - 2) // 2
    left, right = (
        cv2.resize(picture, None, fx=1 / 8, fy=1 / 8, interpolation=cv2.INTER_AREA)
        for picture in (first[70:, :half], first[70:, -half:])
    )
    assert left.std() > 20 and np.abs(left - right).max() < 20, "a cube elsewhere would differ by about 80"
