# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""``flow-rl data``: what a file holds, each fault that is looked for, and what filtering keeps."""

import fcntl
import re
import subprocess
import sys

import h5py
import numpy as np
import pytest

from flow_rl.cli import data
from flow_rl.demos.inspect import inspect, keep
from flow_rl.demos.reader import DemoError, load_demos

LENGTHS = (6, 4, 5)


@pytest.fixture
def path(tmp_path):
    """Three episodes, one failed, with returns 3, 1 and 2, filter keys, a picture and a constant coordinate."""
    path = tmp_path / "demos.hdf5"
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file.create_group("data").attrs["total"] = sum(LENGTHS)
        for i, steps in enumerate(LENGTHS):
            demo = file.create_group(f"data/demo_{i}")
            demo.attrs["success"] = i != 1
            demo["obs/state"] = np.concatenate([rng.normal(size=(steps, 2)), np.ones((steps, 1))], axis=1)
            demo["obs/front"] = np.full((steps, 3, 4, 4), 10 * i, np.uint8)
            demo["actions"] = rng.uniform(-1, 1, size=(steps, 2)).astype(np.float32)
            demo["rewards"] = np.eye(steps)[-1] * (3, 1, 2)[i]
        file["mask/train"] = np.array([b"demo_0", b"demo_1"])
        file["mask/valid"] = np.array([b"demo_2"])
    return path


def change(path):
    return h5py.File(path, "a")


def test_what_a_whole_file_holds(path, capsys):
    data.main(["info", str(path)])
    out = capsys.readouterr().out
    for words in ("episodes 3", "samples 15", "lengths 4 / 5 / 6", "returns 1 / 2 / 3", "successes 2"):
        assert words in " ".join(out.split())
    assert "train (2), valid (1)" in out and "fault" not in out and "warning" not in out
    columns = {column.name: column for column in inspect(path).columns}
    assert columns["obs/state"].constant == 1 and columns["obs/state"].dtype == "float64"
    assert columns["obs/front"].shape == (3, 4, 4) and columns["obs/front"].high == 20
    with pytest.raises(SystemExit) as end:
        data.main(["check", str(path)])
    assert end.value.code == 0


def empty(file):
    demo = file.create_group("data/demo_3")
    demo["actions"], demo["obs/state"], demo["obs/front"] = np.zeros((0, 2)), np.zeros((0, 3)), np.zeros((0, 3, 4, 4))


def short(file):
    del file["data/demo_1/obs/state"]
    file["data/demo_1/obs/state"] = np.zeros((2, 3))


def without_actions(file):
    del file["data/demo_2/actions"]


def without_picture(file):
    del file["data/demo_2/obs/front"]


def nan(file):
    file["data/demo_1/obs/state"][2, 1] = np.nan


def infinite(file):
    file["data/demo_0/actions"][3, 0] = np.inf


def wide(file):
    del file["data/demo_1/actions"]
    file["data/demo_1/actions"] = np.zeros((4, 5))


FAULTS = {
    empty: r"demo_3 has no samples: .*flow-rl data filter",
    short: r"demo_1 has 4 actions, but obs/state 2",
    without_actions: r"demo_2 has no actions",
    without_picture: r"obs/front is in 2 of 3 episodes",
    nan: r"obs/state has 1 values that are no numbers, demo_1 step 2 \[1\] = nan",
    infinite: r"actions has 1 values that are no numbers, demo_0 step 3 \[0\] = inf",
    wide: r"actions has samples of different shapes, \[\(2,\), \(5,\)\]",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_found_and_named(path, fault, capsys):
    with change(path) as file:
        fault(file)
    with pytest.raises(SystemExit) as end:
        data.main(["check", str(path)])
    out = capsys.readouterr().out
    assert end.value.code == 1
    assert re.search(FAULTS[fault], out), out


def test_outliers_and_copies_are_warned_of(path):
    """A gripper that is open all the time but once is none."""
    with change(path) as file:
        file["data/demo_2/actions"][1, 1] = 1e6
        file.copy(file["data/demo_0"], "data/demo_3")
        for name in file["data"]:
            file[f"data/{name}/obs/state"][:, 2] = 0.0
        file["data/demo_1/obs/state"][0, 2] = 1.0
    found = inspect(path)
    copies, outliers = found.warnings
    assert "demo_0, demo_3: the same episode 2 times" in copies
    assert outliers.startswith("actions has 1 values more than 10 interquartile ranges away, demo_2 step 1 [1] = 1e+06")
    assert found.faults == []


def test_an_empty_episode_is_named_by_who_learns(path):
    with change(path) as file:
        empty(file)
    with pytest.raises(DemoError, match=r"demo_3 has no samples.*flow-rl data filter"):
        load_demos(path, obs_keys=("state",))


@pytest.mark.parametrize(
    ("options", "lengths"),
    [
        ([], [6, 4, 5]),
        (["--successes"], [6, 5]),
        (["--best", "2"], [6, 5]),
        (["--first", "2"], [6, 4]),
        (["--filter_key", "train"], [6, 4]),
        (["--successes", "--first", "1"], [6]),
    ],
)
def test_what_filtering_keeps(path, tmp_path, options, lengths, capsys):
    """Episodes without samples are left out always; the others are as they were."""
    with change(path) as file:
        empty(file)
    output = tmp_path / "kept.hdf5"
    data.main(["filter", str(path), str(output), *options])
    demos = load_demos(output, obs_keys=("state",), only_successful=False)
    assert demos.lengths.tolist() == lengths
    assert f"{len(lengths)} of 4 episodes" in capsys.readouterr().out
    with h5py.File(output) as new, h5py.File(path) as old:
        assert new["data"].attrs["total"] == sum(lengths)
        np.testing.assert_array_equal(new["data/demo_0/obs/front"], old["data/demo_0/obs/front"])
        assert new["data/demo_0"].attrs["success"]


def test_filtering_overwrites_nothing_and_refuses_what_leaves_nothing(path, tmp_path, capsys):
    output = tmp_path / "kept.hdf5"
    output.write_text("mine")
    with pytest.raises(SystemExit):
        data.main(["filter", str(path), str(output)])
    assert "--overwrite" in capsys.readouterr().err and output.read_text() == "mine"
    with pytest.raises(ValueError, match=r"--filter_key = 'test' .*train, valid"):
        keep(path, tmp_path / "other.hdf5", filter_key="test")
    with change(path) as file:
        del file["data/demo_1/rewards"]
    with pytest.raises(ValueError, match=r"--best = \['demo_1'\] .*episodes have rewards"):
        keep(path, tmp_path / "other.hdf5", best=1)
    assert not list(tmp_path.glob("other*"))


def test_filter_keys_choose_what_is_learnt_from(path):
    demos = load_demos(path, obs_keys=("state",), filter_key="valid")
    assert demos.lengths.tolist() == [5] and demos.filter_keys == ["train", "valid"]


def test_a_file_that_is_being_written_is_not_called_damaged(path):
    """HDF5 holds a lock while it writes."""
    code = f"import h5py, sys; f = h5py.File({str(path)!r}, 'a'); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        writer.stdout.readline()
        with path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                with pytest.raises(DemoError, match="is being written by another process. Wait"):
                    load_demos(path)
            else:
                pytest.skip("HDF5 does not lock files here")
            finally:
                writer.stdin.close()
