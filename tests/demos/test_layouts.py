# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Files in the layouts that people have: each takes a step of pretraining, or gets the error that names its fault."""

import os
import subprocess

import h5py
import numpy as np
import pytest

from flow_rl.demos.convert import LEROBOT
from flow_rl.demos.reader import DemoError
from tests.demos.formats import learn, needs_lerobot, picture

STEPS = (6, 4)


def robomimic(path, *, dtype=np.float32, packing=None, cameras=(), env_args="{}", next_obs=False):
    """Write a file as robomimic's scripts do: several vectors, pictures with channels last, rewards and dones."""
    rng = np.random.default_rng(0)
    options = {"compression": packing} if packing else {}
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["total"] = sum(STEPS)
        if env_args is not None:
            data.attrs["env_args"] = env_args
        for i, steps in enumerate(STEPS):
            demo = data.create_group(f"demo_{i}")
            demo.attrs["num_samples"] = steps
            for group in ("obs", "next_obs") if next_obs else ("obs",):
                for key, width in (("robot0_eef_pos", 3), ("object", 10)):
                    values = rng.normal(size=(steps, width)).astype(dtype)
                    demo.create_dataset(f"{group}/{key}", data=values, **options)
                for key in cameras:
                    demo.create_dataset(f"{group}/{key}", data=picture(steps, seed=i), **options)
            demo.create_dataset("actions", data=rng.uniform(-1, 1, size=(steps, 7)).astype(dtype), **options)
            demo["states"] = rng.normal(size=(steps, 32))
            demo["rewards"], demo["dones"] = np.eye(steps)[-1], np.eye(steps, dtype=np.int64)[-1]
    return path


@pytest.mark.parametrize(
    "layout",
    [
        {"next_obs": True},
        {"cameras": ("agentview_image", "robot0_eye_in_hand_image")},
        {"dtype": np.float64},
        {"packing": "gzip"},
        {"packing": "lzf"},
        {"env_args": None},
        {"env_args": '{"env_name": "Lift", "type": 1, "env_kwargs": {"control_freq": 20}}'},
    ],
    ids=str,
)
def test_robomimic(tmp_path, layout):
    demos = learn(robomimic(tmp_path / "demo.hdf5", **layout), "object", "robot0_eef_pos")
    assert demos.obs.shape == (10, 13) and demos.obs.dtype == np.float32 and demos.images == {}


def test_robomimics_pictures_have_their_channels_last(tmp_path):
    path = robomimic(tmp_path / "image.hdf5", cameras=("agentview_image",))
    demos = learn(path, "robot0_eef_pos", "agentview_image")
    assert demos.images["agentview_image"].shape == (10, 3, 64, 64)
    np.testing.assert_array_equal(demos.images["agentview_image"][:6], np.moveaxis(picture(6), 3, 1))


def test_what_robomimics_files_are_asked_for_and_lack_is_named(tmp_path):
    path = robomimic(tmp_path / "demo.hdf5")
    with pytest.raises(
        DemoError, match=r"obs/policy.*Valid observation keys of this file: \['object', 'robot0_eef_pos'"
    ):
        learn(path)
    with h5py.File(path, "a") as file:
        del file["data/demo_1/actions"]
        file["data/demo_1/actions"] = np.zeros((0, 7))
    with pytest.raises(DemoError, match="demo_1 has no samples.*flow-rl data filter"):
        learn(path, "object")


def minari_set(tmp_path, observations, space, *, steps=(5, 3), actions=None):
    """Write a data set by Minari's own functions; observations are made by a function of their number."""
    minari = pytest.importorskip("minari", reason="minari is not installed")
    import gymnasium as gym
    from minari.dataset.minari_storage import MinariStorage

    rng = np.random.default_rng(0)
    action_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float32) if actions is None else actions
    (tmp_path / "set-v0").mkdir()
    storage = MinariStorage.new(tmp_path / "set-v0" / "data", space, action_space)
    storage.update_metadata({"dataset_id": "set-v0", "minari_version": minari.__version__})
    buffers = []
    for i, length in enumerate(steps):
        ends = np.arange(length) == length - 1
        taken = rng.uniform(-1, 1, size=(length, 2)).astype(np.float32) if actions is None else np.zeros(length, int)
        buffers.append(
            minari.data_collector.EpisodeBuffer(
                observations=observations(length + 1),
                actions=taken,
                rewards=np.ones(length),
                terminations=ends & (i == 0),
                truncations=ends & (i > 0),
                infos={},
            )
        )
    storage.update_episodes(buffers)
    return tmp_path / "set-v0"


def test_minari_with_terminated_and_truncated(tmp_path):
    """One observation more than actions, which belongs to no action."""
    import gymnasium as gym

    space = gym.spaces.Box(-np.inf, np.inf, (3,), np.float64)
    source = minari_set(tmp_path, lambda num: np.arange(3.0 * num).reshape(num, 3), space)
    demos = learn(source)
    assert demos.lengths.tolist() == [5, 3]
    np.testing.assert_array_equal(demos.obs[:, 0], [0, 3, 6, 9, 12, 0, 3, 6])


def test_minari_with_dict_spaces(tmp_path):
    """Goals, nested spaces, single numbers and pictures; what Minari packs as JPEG is read by Minari."""
    import gymnasium as gym

    boxes = {"observation": gym.spaces.Box(-np.inf, np.inf, (4,)), "desired_goal": gym.spaces.Box(-9, 9, (2,))}
    inner = gym.spaces.Dict({"angle": gym.spaces.Box(-9, 9, ())})
    pictures = gym.spaces.Box(0, 255, (64, 64, 3), np.uint8)
    space = gym.spaces.Dict(boxes | {"arm": inner, "front": pictures})

    def observations(num: int) -> dict:
        vectors = {"observation": np.ones((num, 4), np.float32), "desired_goal": np.zeros((num, 2), np.float32)}
        return vectors | {"arm": {"angle": np.arange(num, dtype=np.float32)}, "front": picture(num)}

    source = minari_set(tmp_path, observations, space)
    demos = learn(source, "observation", "desired_goal", "arm.angle", "front")
    assert demos.obs.shape == (8, 7) and demos.obs[4].tolist() == [1, 1, 1, 1, 0, 0, 4]
    assert np.abs(demos.images["front"][:5].astype(int) - np.moveaxis(picture(5), 3, 1)).mean() < 3.0
    with pytest.raises(DemoError, match=r"obs/policy.*\['arm.angle', 'desired_goal', 'front', 'observation'\]"):
        learn(source)


def test_minari_with_discrete_actions_is_refused(tmp_path):
    import gymnasium as gym

    space = gym.spaces.Box(-1, 1, (3,))
    source = minari_set(tmp_path, lambda num: np.zeros((num, 3), np.float32), space, actions=gym.spaces.Discrete(4))
    with pytest.raises(ValueError, match=r"episode 0 has actions of Discrete\(4\). Valid: a Box"):
        learn(source)


MAKE = """
import numpy as np, pandas as pd, sys
from pathlib import Path
from lerobot.datasets.lerobot_dataset import LeRobotDataset

root, layout = Path(sys.argv[1]), sys.argv[2]
joints = {"dtype": "float32", "shape": (3,), "names": ["shoulder", "elbow", "gripper"]}
camera = {"dtype": "video", "shape": (64, 64, 3), "names": ["height", "width", "channels"]}
features = {"observation.state": joints, "action": joints}
if layout == "two cameras":
    features |= {"observation.images.top": camera, "observation.images.wrist": camera}
data = LeRobotDataset.create("me/so101", fps=30, features=features, root=root)
for steps in (4, 3):
    for step in range(steps):
        shade = np.full((64, 64, 3), 20 * step, np.uint8)
        row = np.array([step, -step, 1.0], np.float32)  # of a gripper that never moves
        frame = {name: shade if "images" in name else row for name in features}
        data.add_frame(frame | {"task": "Put the cube into the box."})
    data.save_episode(parallel_encoding=False)
data.finalize()
if layout == "empty episode":
    (path,) = (root / "meta" / "episodes").rglob("*.parquet")
    table = pd.read_parquet(path)
    empty = table.iloc[[1]].assign(episode_index=2, length=0, dataset_from_index=7, dataset_to_index=7)
    pd.concat([table, empty]).to_parquet(path)
    info = root / "meta" / "info.json"
    info.write_text(info.read_text().replace('"total_episodes": 2', '"total_episodes": 3'))
"""


@needs_lerobot
@pytest.mark.slow
@pytest.mark.parametrize("layout", ["two cameras", "constant gripper", "empty episode"])
def test_lerobot(tmp_path, layout, capsys):
    source = tmp_path / "so101"
    command = [os.environ[LEROBOT], "-c", MAKE, str(source), layout]
    made = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    cameras = ("top", "wrist") if layout == "two cameras" else ()
    demos = learn(source, "policy", *cameras)
    assert demos.lengths.tolist() == [4, 3] and demos.env_args["fps"] == 30
    assert demos.obs[:, 2].tolist() == demos.actions[:, 2].tolist() == [1.0] * 7
    assert demos.actions[:4, 0].tolist() == [0, 1, 2, 3]
    for name in cameras:
        assert demos.images[name].shape == (7, 3, 64, 64)
        shades = demos.images[name].mean(axis=(1, 2, 3))
        np.testing.assert_allclose(shades, [0, 20, 40, 60, 0, 20, 40], atol=4)
    out = capsys.readouterr().out
    assert "2 episodes" in out and ("without 2, which had no samples" in out) == (layout == "empty episode")


@needs_lerobot
@pytest.mark.slow
def test_a_folder_of_an_older_lerobot_is_refused(tmp_path):
    (tmp_path / "old" / "meta").mkdir(parents=True)
    (tmp_path / "old" / "meta" / "info.json").write_text('{"codebase_version": "v2.1", "fps": 30, "features": {}}')
    with pytest.raises(ValueError, match="no data set that LeRobot can open.*convert_dataset_v21_to_v30"):
        learn(tmp_path / "old")
