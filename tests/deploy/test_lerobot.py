# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""LeRobot drives a robot of its kind with an exported policy, in the environment that FLOW_RL_LEROBOT names."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

import flow_rl
from flow_rl.deploy import PolicyRunner
from tests.demos.formats import needs_lerobot

pytestmark = needs_lerobot

DRIVE = """
import json, sys
import torch
from lerobot.configs.policies import PreTrainedConfig
from lerobot.policies.factory import get_policy_class, make_pre_post_processors
from lerobot.policies.utils import build_inference_frame, make_robot_action
from lerobot.robots import Robot, RobotConfig
from lerobot.utils.feature_utils import hw_to_dataset_features
import flow_rl.deploy.lerobot


class Dummy(Robot):
    config_class, name = RobotConfig, "dummy"
    is_connected = is_calibrated = True
    observation_features = dict.fromkeys(("x", "y", "z", "left", "right"), float)
    action_features = dict.fromkeys(("a", "b", "c"), float)

    def connect(self, calibrate=True): self.sent = []
    def disconnect(self): pass
    def calibrate(self): pass
    def configure(self): pass
    def get_observation(self): return dict(x=2.0, y=1.5, z=2.5, left=2.0, right=2.1)
    def send_action(self, action): self.sent.append([action[key] for key in "abc"])


config = PreTrainedConfig.get_choice_class("flow_rl")(package=sys.argv[1], noise="zero")
policy = get_policy_class("flow_rl").from_pretrained(sys.argv[1], config=config)
before, after = make_pre_post_processors(config)
robot = Dummy(RobotConfig(id="dummy", calibration_dir=__import__("pathlib").Path(sys.argv[2])))
features = hw_to_dataset_features(robot.observation_features, "observation")
features |= hw_to_dataset_features(robot.action_features, "action")
robot.connect()
policy.reset()
for _ in range(4):
    frame = build_inference_frame(robot.get_observation(), torch.device("cpu"), features)
    robot.send_action(make_robot_action(after(policy.select_action(before(frame))), features))
try:
    policy.select_action({"observation.state": torch.zeros(1, 4)})
    policy.reset()
    policy.select_action({"observation.state": torch.zeros(1, 4)})
except ValueError as error:
    print(json.dumps([robot.sent, str(error)]))
"""


def test_lerobot_drives_a_robot_with_a_package(package, tmp_path):
    python = os.environ["FLOW_RL_LEROBOT"]
    if subprocess.run([python, "-c", "import onnxruntime"], capture_output=True).returncode:
        pytest.skip("the environment with lerobot has no onnxruntime")
    environ = os.environ | {"PYTHONPATH": str(Path(flow_rl.__file__).parents[1]), "HF_HOME": str(tmp_path)}
    command = [python, "-c", DRIVE, str(package.folder), str(tmp_path)]
    ran = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=600)
    assert ran.returncode == 0, ran.stderr
    sent, message = json.loads(ran.stdout.splitlines()[-1])
    runner = PolicyRunner(package, noise="zero")
    seen = {"eef_pos": np.array([2.0, 1.5, 2.5]), "gripper_qpos": np.array([2.0, 2.1])}
    np.testing.assert_allclose(sent, runner.act(seen).actions, rtol=1e-6)
    assert "observation.state = (1, 4)" in message and "eef_pos, gripper_qpos" in message
