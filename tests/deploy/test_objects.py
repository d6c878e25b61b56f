# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Poses of objects from files and functions."""

import json
import os
import time

import numpy as np
import pytest

from flow_rl.deploy.objects import PoseFile, open_objects
from flow_rl.utils.check import InputError

CUBE = {"position": [0.5, 0.1, 0.02], "quaternion": [0.0, 0.0, 0.0, 1.0]}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "poses.json"
    path.write_text(json.dumps({"object": CUBE, "tray": CUBE | {"stamp": time.time() - 7.0}}))
    return path


def test_a_file_is_read_again_each_time(path):
    poses = PoseFile(path, clock=lambda: 100.0)
    os.utime(path, (time.time() - 3.0,) * 2)
    seen = poses()
    np.testing.assert_array_equal(seen["object"].position, CUBE["position"])
    assert seen["object"].stamp == pytest.approx(97.0, abs=0.5), "as old as the file"
    assert seen["tray"].stamp == pytest.approx(93.0, abs=0.5), "as old as it says"
    path.write_text(json.dumps({"object": CUBE | {"position": [0.6, 0.1, 0.02], "stamp": "always"}}))
    assert poses()["object"].position[0] == 0.6 and poses()["object"].stamp == 100.0 and "tray" not in poses()
    path.unlink()
    assert poses() == {}


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[1]",
        '{"object": {"position": [0, 0, 0]}}',
        json.dumps({"object": CUBE | {"position": [0.5, float("nan"), 0.0]}}),
        json.dumps({"object": CUBE | {"quaternion": [0.0, 0.0, 0.0, 2.0]}}),
        json.dumps({"object": CUBE | {"stamp": "never"}}),
    ],
)
def test_what_is_no_pose_is_refused(path, text):
    path.write_text(text)
    with pytest.raises(InputError, match="poses.json has no poses of objects: .*position"):
        PoseFile(path)


def test_a_function_is_taken_as_it_is(tmp_path, monkeypatch, path):
    (tmp_path / "tracker_of_a_test.py").write_text("def poses():\n    return {'object': 1}\n")
    monkeypatch.chdir(tmp_path)
    assert open_objects("tracker_of_a_test:poses")() == {"object": 1}
    assert isinstance(open_objects(str(path)), PoseFile)
    with pytest.raises(InputError, match="--objects 'tracker_of_a_test:nothing'.*JSON file, or module:function"):
        open_objects("tracker_of_a_test:nothing")
    with pytest.raises(FileNotFoundError, match="nowhere.json"):
        open_objects("nowhere.json")
