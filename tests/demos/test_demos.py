# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Demonstration files survive a round trip, an interruption and misuse."""

import contextlib
import json
import signal
import subprocess
import sys
import textwrap

import h5py
import numpy as np
import pytest
import torch

from flow_rl.demos.chunks import ChunkDataset
from flow_rl.demos.reader import DemoError, Demos, load_demos
from flow_rl.demos.writer import DemoWriter

OBS, ACT = 5, 2


def episode(length: int, seed: int = 0) -> dict:
    """Keyword arguments of one random episode."""
    rng = np.random.default_rng(seed)
    dones = np.zeros(length, dtype=bool)
    dones[-1] = True
    return {
        "obs": {"policy": rng.normal(size=(length, OBS)).astype(np.float32)},
        "actions": rng.uniform(-1, 1, size=(length, ACT)).astype(np.float32),
        "rewards": dones.astype(np.float32),
        "dones": dones,
    }


@pytest.fixture
def demo_file(tmp_path):
    """A file of three successful episodes and a failed one."""
    path = tmp_path / "demos.hdf5"
    with DemoWriter(path, env_args={"env_name": "Toy", "quality": 0.5}) as writer:
        for i, length in enumerate((4, 7, 3, 5)):
            writer.write(**episode(length, seed=i), success=i != 2, seed=i, strategy="left")
    return path


def test_round_trip_keeps_every_number(demo_file):
    demos = load_demos(demo_file, only_successful=False)
    expected = [episode(length, seed=i) for i, length in enumerate((4, 7, 3, 5))]
    np.testing.assert_array_equal(demos.obs, np.concatenate([e["obs"]["policy"] for e in expected]))
    np.testing.assert_array_equal(demos.actions, np.concatenate([e["actions"] for e in expected]))
    assert demos.lengths.tolist() == [4, 7, 3, 5]
    assert demos.env_args["env_name"] == "Toy" and demos.env_args["quality"] == 0.5


def test_failed_episodes_are_left_out_by_default(demo_file):
    assert load_demos(demo_file).lengths.tolist() == [4, 7, 5]


def test_plain_h5py_reads_the_robomimic_layout(demo_file):
    with h5py.File(demo_file) as file:
        assert file["data"].attrs["total"] == 19
        assert json.loads(file["data"].attrs["env_args"])["type"] == 2
        demo = file["data/demo_1"]
        assert demo.attrs["num_samples"] == 7 and demo.attrs["success"] and demo.attrs["strategy"] == "left"
        assert demo["obs/policy"].shape == (7, OBS) and demo["actions"].shape == (7, ACT)
        assert demo["rewards"].shape == (7,) and demo["dones"][-1] == 1


def test_isaac_lab_reads_our_file(demo_file):
    datasets = pytest.importorskip("isaaclab.utils.datasets")
    handler = datasets.HDF5DatasetFileHandler()
    handler.open(str(demo_file))
    loaded = handler.load_episode("demo_1", device="cpu")
    assert handler.get_env_name() == "Toy" and handler.get_num_episodes() == 4
    assert not handler.is_legacy_quaternion_format()
    expected = episode(7, seed=1)
    np.testing.assert_array_equal(loaded.data["actions"].numpy(), expected["actions"])
    np.testing.assert_array_equal(loaded.data["obs"]["policy"].numpy(), expected["obs"]["policy"])
    assert loaded.success and loaded.seed == 1
    handler.close()


def test_we_read_isaac_lab_files_with_a_flat_observation(tmp_path):
    datasets = pytest.importorskip("isaaclab.utils.datasets")
    handler = datasets.HDF5DatasetFileHandler()
    handler.create(str(tmp_path / "mimic.hdf5"), env_name="Other")
    data = datasets.EpisodeData()
    for _ in range(3):
        data.add("obs", torch.ones(OBS))
        data.add("actions", torch.zeros(ACT))
    data.pre_export()
    handler.write_episode(data)
    handler.close()
    demos = load_demos(tmp_path / "mimic.hdf5")
    assert demos.obs.shape == (3, OBS) and demos.env_args["env_name"] == "Other"


def test_robomimic_keys_are_concatenated_in_the_given_order(tmp_path):
    with h5py.File(tmp_path / "low_dim.hdf5", "w") as file:
        demo = file.create_group("data/demo_0")
        demo["actions"] = np.zeros((3, ACT))
        demo["obs/robot0_eef_pos"] = np.ones((3, 3))
        demo["obs/object"] = np.full((3, 2), 2.0)
    demos = load_demos(tmp_path / "low_dim.hdf5", obs_keys=("object", "robot0_eef_pos"))
    assert demos.obs[0].tolist() == [2, 2, 1, 1, 1]
    with pytest.raises(DemoError, match=r"obs/policy.*\['object', 'robot0_eef_pos'\].*--obs_keys"):
        load_demos(tmp_path / "low_dim.hdf5")


def test_episodes_are_read_in_numeric_order(tmp_path):
    with DemoWriter(tmp_path / "d.hdf5") as writer:
        for i in range(11):
            writer.write(**episode(i + 1, seed=i))
    assert load_demos(tmp_path / "d.hdf5").lengths.tolist() == list(range(1, 12))


def test_existing_file_is_never_touched_without_overwrite(demo_file):
    before = demo_file.read_bytes()
    with pytest.raises(FileExistsError, match="--overwrite"):
        DemoWriter(demo_file)
    with DemoWriter(demo_file, overwrite=True):
        pass  # nothing was collected
    assert demo_file.read_bytes() == before
    with DemoWriter(demo_file, overwrite=True) as writer:
        writer.write(**episode(2))
    assert load_demos(demo_file).lengths.tolist() == [2]


def test_interrupted_episode_is_dropped(tmp_path):
    path = tmp_path / "d.hdf5"
    with pytest.raises(ValueError), DemoWriter(path) as writer:
        writer.write(**episode(3))
        writer.write(**(episode(3) | {"rewards": ["not a number"]}))
    with h5py.File(path) as file:
        assert list(file) == ["data"] and list(file["data"]) == ["demo_0"] and file["data"].attrs["total"] == 3


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGKILL])
def test_killed_collection_leaves_whole_episodes(tmp_path, kind):
    """The collecting process is stopped after five episodes, wherever it is."""
    path = tmp_path / "d.hdf5"
    code = f"""
        import sys
        import numpy as np
        from flow_rl.demos.writer import DemoWriter
        with DemoWriter({str(path)!r}) as writer:
            for i in range(100000):
                z = np.zeros((9, 2))
                writer.write(obs={{"policy": z}}, actions=z, rewards=z[:, 0], dones=z[:, 0])
                print(i, flush=True)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # a suite started in the background hands down "ignore SIGINT"
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    for _ in range(5):
        process.stdout.readline()
    while process.poll() is None:
        process.send_signal(kind)
        # An interrupt inside a destructor is only printed by Python; the user presses the keys again.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=5)
    demos = load_demos(path)
    assert demos.num_demos >= 5 and set(demos.lengths.tolist()) == {9}


def corrupt(path, kind):
    """Damage a good file in one way."""
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:-2000])
    elif kind == "foreign":
        path.write_bytes(b"PK\x03\x04 this is not HDF5")
    else:
        with h5py.File(path, "a") as file:
            if kind == "no data":
                file.move("data", "samples")
            elif kind == "empty":
                for name in list(file["data"]):
                    del file["data"][name]
            elif kind == "all failed":
                for demo in file["data"].values():
                    demo.attrs["success"] = False
            elif kind == "no actions":
                del file["data/demo_1/actions"]
            elif kind == "nan":
                file["data/demo_1/actions"][3, 1] = np.nan
            elif kind == "infinite obs":
                file["data/demo_0/obs/policy"][0, 2] = np.inf
            elif kind == "width":
                del file["data/demo_3/actions"]
                file["data/demo_3/actions"] = np.zeros((5, ACT + 1))
            elif kind == "length":
                del file["data/demo_1/actions"]
                file["data/demo_1/actions"] = np.zeros((6, ACT))
            elif kind == "image":
                del file["data/demo_0/obs/policy"]
                file["data/demo_0/obs/policy"] = np.zeros((4, 8, 8, 3))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("truncated", "truncated"),
        ("foreign", "cannot be read as HDF5"),
        ("no data", "no group 'data'.*samples"),
        ("empty", "holds no successful episode"),
        ("all failed", "holds no successful episode"),
        ("no actions", "demo_1 has no dataset 'actions'"),
        ("nan", r"demo_1/actions\[3, 1\]=nan"),
        ("infinite obs", r"demo_0/obs\[0, 2\]=inf"),
        ("width", "demo_3 has action_dim=3, valid is 2"),
        ("length", "6 actions, 7 observations"),
        ("image", "Images are bytes of shape"),
    ],
)
def test_damaged_file_is_one_clear_error_and_stays_as_it_is(demo_file, kind, words):
    corrupt(demo_file, kind)
    before = demo_file.read_bytes()
    with pytest.raises(DemoError, match=words) as error:
        load_demos(demo_file)
    assert "demos" in str(error.value) and demo_file.read_bytes() == before


def test_missing_file_and_wrong_task_width(demo_file):
    with pytest.raises(DemoError, match="is not a file.*flow-rl collect"):
        load_demos(demo_file.with_name("none.hdf5"))
    with pytest.raises(DemoError, match="obs_dim=5, valid is 19"):
        load_demos(demo_file, obs_dim=19)


def toy_demos() -> Demos:
    """Two episodes of lengths 3 and 2 whose action is the row number."""
    actions = np.arange(5, dtype=np.float32)[:, None]
    return Demos(obs=actions.copy(), actions=actions, lengths=np.array([3, 2]))


def test_chunks_slide_and_repeat_the_last_action_of_their_own_episode():
    dataset = ChunkDataset(toy_demos(), horizon=3)
    assert dataset.chunks.tolist() == [[0, 1, 2], [1, 2, 2], [2, 2, 2], [3, 4, 4], [4, 4, 4]]


def test_chunk_rows_are_actions_in_time_order():
    demos = Demos(np.zeros((2, 1), np.float32), np.array([[1, 2], [3, 4]], np.float32), np.array([2]))
    assert ChunkDataset(demos, horizon=2).chunks.tolist() == [[1, 2, 3, 4], [3, 4, 3, 4]]


def test_samples_pair_an_observation_with_its_chunk():
    obs, chunks, _ = ChunkDataset(toy_demos(), horizon=2).sample(64, torch.Generator().manual_seed(0))
    assert torch.equal(obs["policy"][:, 0], chunks[:, 0]) and len(obs["policy"].unique()) == 5


def test_what_is_repeated_past_the_end_is_no_data():
    demos = Demos(np.arange(5, dtype=np.float32)[:, None], np.zeros((5, 2), np.float32), np.array([3, 2]))
    obs, _, is_data = ChunkDataset(demos, horizon=3).sample(200, torch.Generator().manual_seed(0))
    known = {int(row): mask.tolist() for row, mask in zip(obs["policy"][:, 0], is_data, strict=True)}
    one, two, three = [True] * 2 + [False] * 4, [True] * 4 + [False] * 2, [True] * 6
    assert known == {0: three, 1: two, 2: one, 3: two, 4: one}


@pytest.fixture
def vision_file(tmp_path):
    """Two episodes of a camera whose frames are as bright as their number."""
    path, start = tmp_path / "vision.hdf5", 0
    with DemoWriter(path) as writer:
        for length in (3, 2):
            numbers = np.arange(start, start + length)
            frames = np.broadcast_to(numbers[:, None, None, None], (length, 3, 8, 8)).astype(np.uint8)
            obs = {"policy": numbers[:, None].astype(np.float32), "front": frames}
            writer.write(obs=obs, actions=np.zeros((length, 2)), rewards=np.zeros(length), dones=np.zeros(length))
            start += length
    return path


def test_images_stay_bytes_beside_their_vectors(vision_file):
    with h5py.File(vision_file) as file:
        assert file["data/demo_0/obs/front"].compression == "lzf"
    demos = load_demos(vision_file, obs_keys=("policy", "front"))
    assert demos.images["front"].dtype == np.uint8 and demos.images["front"].shape == (5, 3, 8, 8)
    data = ChunkDataset(demos, horizon=2)
    for part in data.split(0.5):
        assert part.obs["front"].data_ptr() == data.obs["front"].data_ptr(), "a copy of pictures takes much memory"
    obs, _, _ = data.sample(32)
    assert obs["front"].dtype == torch.uint8
    assert torch.equal(obs["front"][:, 1, 4, 4].float(), obs["policy"][:, 0])


def test_state_demonstrations_are_no_vision_demonstrations(demo_file, vision_file):
    with pytest.raises(DemoError, match="has no dataset 'obs/front'. Valid observation keys of this file"):
        load_demos(demo_file, obs_keys=("policy", "front"))
    with pytest.raises(DemoError, match="nothing but images in ..front.*vectors"):
        load_demos(vision_file, obs_keys=("front",))
    with h5py.File(vision_file, "a") as file:
        del file["data/demo_1/obs/front"]
        file["data/demo_1/obs/front"] = np.zeros((2, 3, 16, 16), np.uint8)
    with pytest.raises(DemoError, match=r"demo_1 has images of shape \(3, 16, 16\)"):
        load_demos(vision_file, obs_keys=("policy", "front"))


def test_horizon_below_one_is_refused():
    with pytest.raises(ValueError, match="horizon=0"):
        ChunkDataset(toy_demos(), horizon=0)


def test_split_holds_out_whole_episodes(demo_file):
    demos = load_demos(demo_file, only_successful=False)
    train, held_out = ChunkDataset(demos, horizon=2).split(0.25, seed=3)
    assert len(train.lengths) == 3 and len(held_out.lengths) == 1
    assert sorted([*train.lengths, *held_out.lengths]) == [3, 4, 5, 7]
    assert len(train) == train.lengths.sum() and len(held_out) == held_out.lengths.sum()
    drawn = [{tuple(row) for row in part.sample(500)[0]["policy"].tolist()} for part in (train, held_out)]
    assert [len(rows) for rows in drawn] == [len(train), len(held_out)] and not drawn[0] & drawn[1]
    toy = ChunkDataset(toy_demos(), horizon=2)
    assert toy.split(0.0)[1] is None
    with pytest.raises(ValueError, match="validation_fraction=1.5"):
        toy.split(1.5)
