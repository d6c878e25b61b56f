# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Conversion keeps what both formats can hold, in all directions, and replaces nothing else."""

import importlib.util
import json
import sys

import h5py
import numpy as np
import pytest

from flow_rl.cli import data
from flow_rl.demos.convert import LEROBOT, convert, format_of
from flow_rl.demos.episodes import Episode, Recording, read_hdf5, write_hdf5
from flow_rl.demos.writer import DemoWriter
from tests.demos.formats import needs_lerobot, picture

TASK = "FlowRL-Lift-Franka"


def episodes() -> list[Episode]:
    """A success, a failure that was cut, an episode of no length, and one without what was seen last."""
    rng = np.random.default_rng(0)
    made = []
    for number, steps in enumerate((5, 7, 0, 4)):
        pictures = np.moveaxis(picture(steps + 1, seed=number), 3, 1)
        states = rng.normal(size=(steps + 1, 3)).astype(np.float32)
        obs = {"policy": states[:steps], "front": pictures[:steps]}
        last = {"policy": states[steps], "front": pictures[steps]} if number != 3 else None
        actions = rng.normal(size=(steps, 2)).astype(np.float32)
        facts = {"success": number != 1, "seed": number}
        made.append(Episode(obs, actions, np.arange(steps, dtype=np.float32), number == 1, last, facts))
    return made


@pytest.fixture
def source(tmp_path):
    """A file of these episodes, 20 samples per second."""
    write_hdf5(Recording(episodes(), {"task": TASK, "fps": 20.0}), tmp_path / "source.hdf5")
    return tmp_path / "source.hdf5"


def assert_same(found, expected, *, last: bool = True, films: float = 0.0):
    """Whether two episodes say the same; pictures may differ by so many shades on average."""
    np.testing.assert_array_equal(found.obs["policy"], expected.obs["policy"])
    np.testing.assert_array_equal(found.actions, expected.actions)
    np.testing.assert_array_equal(found.rewards, expected.rewards)
    assert found.facts["success"] == expected.facts["success"]
    assert found.obs["front"].dtype == np.uint8 and found.obs["front"].shape == expected.obs["front"].shape
    assert np.abs(found.obs["front"].astype(float) - expected.obs["front"]).sum() <= films * found.obs["front"].size
    if last:
        assert found.truncated == expected.truncated
        for key, value in (expected.last_obs or {}).items() if len(expected) else ():
            np.testing.assert_array_equal(found.last_obs[key], value)


def test_hdf5_holds_all_of_an_episode(source):
    recording = read_hdf5(source)
    assert recording.fps() == 20
    for found, expected in zip(recording.episodes, episodes(), strict=True):
        assert_same(found, expected)
        assert (found.last_obs is None) == (expected.last_obs is None or len(expected) == 0)
        assert found.facts["seed"] == expected.facts["seed"]


def test_keys_choose_name_and_join(source, tmp_path, capsys):
    pytest.importorskip("minari", reason="minari is not installed")
    output = tmp_path / "joined-v0"
    data.main(["convert", str(source), str(output), "--to", "minari", "--keys", "policy=policy+policy", "camera=front"])
    data.main(["convert", str(output), str(tmp_path / "back.hdf5")])
    found = next(iter(read_hdf5(tmp_path / "back.hdf5").episodes))
    assert list(found.obs) == ["camera", "policy"] and found.obs["policy"].shape == (5, 6)
    with pytest.raises(SystemExit):
        data.main(["convert", str(source), str(tmp_path / "other-v0"), "--to", "minari", "--keys", "wrist"])
    assert "--keys = 'wrist' is not valid. Valid: front, policy" in capsys.readouterr().err
    assert not (tmp_path / "other-v0").exists() and not list(tmp_path.glob(".partial*"))


def test_minari_and_back(source, tmp_path, monkeypatch, capsys):
    """Nothing is lost but the place of an episode without samples, and Minari itself opens what was written."""
    minari = pytest.importorskip("minari", reason="minari is not installed")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "sets"))
    output = tmp_path / "sets" / "ours" / "lift-v0"
    data.main(["convert", str(source), str(output), "--to", "minari"])
    assert "3 episodes, without 2, which had no samples" in capsys.readouterr().out
    dataset = minari.load_dataset("ours/lift-v0")
    assert dataset.total_steps == 16 and dataset.observation_space["front"].shape == (64, 64, 3)
    assert [bool(each.truncations[-1]) for each in dataset] == [False, True, False]
    assert [bool(each.infos["success"][-1]) for each in dataset] == [True, False, True]
    data.main(["convert", "ours/lift-v0", str(tmp_path / "back.hdf5")])
    recording = read_hdf5(tmp_path / "back.hdf5")
    assert recording.env_args["task"] == TASK and recording.fps() == 20
    for found, expected in zip(recording.episodes, [e for e in episodes() if len(e)], strict=True):
        assert_same(found, expected)


@needs_lerobot
@pytest.mark.slow
@pytest.mark.parametrize(("options", "films"), [([], 3.0), (["--lossless"], 0.0)])
def test_lerobot_and_back(source, tmp_path, options, films):
    output = tmp_path / "set"
    data.main(["convert", str(source), str(output), "--to", "lerobot", *options])
    info = json.loads((output / "meta" / "info.json").read_text())
    assert info["fps"] == 20 and info["total_episodes"] == 3 and info["total_frames"] == 16
    names = {"observation.state", "observation.images.front", "action", "next.reward", "next.done", "next.success"}
    assert names <= info["features"].keys() and info["codebase_version"] == "v3.0"
    assert bool(list(output.rglob("*.mp4"))) == (not options)
    data.main(["convert", str(output), str(tmp_path / "back.hdf5"), *([] if options else ["--fps", "10"])])
    recording = read_hdf5(tmp_path / "back.hdf5")
    for found, expected in zip(recording.episodes, [e for e in episodes() if len(e)], strict=True):
        assert_same(found, expected, last=False, films=films)
        assert found.facts["task"] == TASK
    assert recording.fps() == (20 if options else 10), "what was asked for, or what the set says"


@needs_lerobot
@pytest.mark.slow
def test_between_minari_and_lerobot(source, tmp_path):
    pytest.importorskip("minari", reason="minari is not installed")
    convert(source, tmp_path / "first-v0", "minari")
    convert(tmp_path / "first-v0", tmp_path / "set", "lerobot", lossless=True)
    convert(tmp_path / "set", tmp_path / "last-v0", "minari")
    convert(tmp_path / "last-v0", tmp_path / "back.hdf5", "robomimic")
    for found, expected in zip(
        read_hdf5(tmp_path / "back.hdf5").episodes, [e for e in episodes() if len(e)], strict=True
    ):
        assert_same(found, expected, last=False)


def test_what_cannot_be_converted_is_refused(source, tmp_path, monkeypatch, capsys):
    pytest.importorskip("minari", reason="minari is not installed")

    def refusal(*words) -> str:
        with pytest.raises(SystemExit) as end:
            data.main(["convert", *map(str, words)])
        assert end.value.code == 2
        return capsys.readouterr().err

    assert "--to = None" in refusal(source, tmp_path / "folder")
    assert "another format than that of" in refusal(source, tmp_path / "copy.hdf5")
    assert "--lossless = True" in refusal(source, tmp_path / "set-v0", "--to", "minari", "--lossless")
    assert "call it lift-v0" in refusal(source, tmp_path / "lift", "--to", "minari")
    assert "no data set that Minari can open" in refusal("nobody/knows-v3", tmp_path / "o.hdf5")
    (tmp_path / "thesis").mkdir()
    assert "is a folder, but no data set" in refusal(tmp_path / "thesis", tmp_path / "o.hdf5")
    assert "is a folder, but no" in refusal(source, tmp_path / "thesis", "--to", "minari", "--overwrite")
    convert(source, tmp_path / "set-v0", "minari")
    assert "exists already" in refusal(source, tmp_path / "set-v0", "--to", "minari")
    assert "a place without something else" in refusal(tmp_path / "set-v0", source, "--to", "lerobot", "--overwrite")
    monkeypatch.delenv(LEROBOT, raising=False)
    line = refusal(source, tmp_path / "set", "--to", "lerobot")
    assert "lerobot[dataset]==0.6.1" in line and f"{LEROBOT}=$PWD/lerobot/bin/python" in line
    if importlib.util.find_spec("lerobot") is None:
        monkeypatch.setenv(LEROBOT, sys.executable)
        line = refusal(source, tmp_path / "set", "--to", "lerobot")
        assert "lacks what is needed (ModuleNotFoundError: No module named 'lerobot')" in line
    assert not (tmp_path / "set").exists()
    data.main(["convert", str(source), str(tmp_path / "set-v0"), "--to", "minari", "--overwrite"])
    assert format_of(tmp_path / "set-v0") == "minari" and not list(tmp_path.glob(".partial*"))


def test_frames_per_second_come_from_the_file_or_are_asked_for(tmp_path):
    for origin, fps in (({"fps": 25.0}, 25), ({"env_kwargs": {"control_freq": 20}}, 20)):
        assert Recording([], origin).fps() == fps and Recording([], origin).fps(10) == 10
    with pytest.raises(ValueError, match=r"--fps = None .*which this file does not tell.*--fps 20"):
        Recording([]).fps()
    with pytest.raises(ValueError, match="--fps = 12.5 .*whole number"):
        Recording([]).fps(12.5)


def test_an_episode_without_rewards_stays_without(tmp_path):
    with DemoWriter(tmp_path / "d.hdf5") as writer:
        writer.write(obs={"policy": np.zeros((2, 1))}, actions=np.zeros((2, 1)), rewards=None, dones=np.zeros(2))
    with h5py.File(tmp_path / "d.hdf5") as file:
        assert "rewards" not in file["data/demo_0"]
    assert next(iter(read_hdf5(tmp_path / "d.hdf5").episodes)).rewards is None
