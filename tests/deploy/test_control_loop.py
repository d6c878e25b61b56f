# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Robot loops: topics as ROS 2 would bring them, and a film as a camera would."""

import threading
import time
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from flow_rl.deploy import ControlLoop, PolicyRunner, Topic
from flow_rl.deploy.video import VideoCamera
from tests.deploy.test_runner import SEEN, pictures  # noqa: F401

TOPICS = (
    Topic("/tool", "eef_pos", lambda message: message.position, lambda message: message.stamp),
    Topic("/gripper", "gripper_qpos", lambda message: [message.width / 2] * 2),
)


class Middleware:
    """Brings messages to subscribers, as ROS 2 does."""

    def __init__(self):
        self.callbacks = {}

    def create_subscription(self, topic: str, callback) -> None:
        self.callbacks[topic] = callback

    def send(self, topic: str, **fields) -> None:
        self.callbacks[topic](SimpleNamespace(**fields))


@pytest.fixture
def robot(package):
    """A loop between a middleware and a list of what was executed, with a clock that a test moves."""
    robot = SimpleNamespace(middleware=Middleware(), executed=[], holds=[], now=100.0)
    robot.loop = ControlLoop(
        PolicyRunner(package, noise="zero"), robot.executed.append, robot.holds.append, clock=lambda: robot.now
    )
    for topic in TOPICS:
        robot.middleware.create_subscription(topic.name, robot.loop.callback(topic))
    return robot


def test_messages_become_actions(robot, package):
    robot.middleware.send("/tool", position=[2.0, 1.5, 2.5], stamp=99.9)
    robot.middleware.send("/gripper", width=4.0)
    for _ in range(4):
        robot.loop.tick()
    seen = {"eef_pos": [2.0, 1.5, 2.5], "gripper_qpos": [2.0, 2.0]}
    wanted = PolicyRunner(package, noise="zero").act(seen, now=0.0).actions
    np.testing.assert_array_equal(robot.executed, wanted)
    assert robot.holds == []


def test_silence_holds_the_robot_and_is_reported_once(robot):
    robot.middleware.send("/tool", position=[2.0, 1.5, 2.5], stamp=100.0)
    for _ in range(3):
        robot.loop.tick()
    assert robot.holds == ["observation 'gripper_qpos' is missing"]
    robot.middleware.send("/gripper", width=4.0)
    for _ in range(4):
        robot.loop.tick()
        robot.now += 0.1
    assert len(robot.executed) == 7
    robot.now += 1.0
    robot.loop.tick()
    assert robot.holds[1:] == ["observation 'eef_pos' is more than 0.5 s old"]


@pytest.fixture
def slow_robot(package, robot):
    """The same whose policy thinks until a test lets it answer."""
    runner = PolicyRunner(package, noise="zero", execute=2, inference_delay=1)
    robot.loop = ControlLoop(runner, robot.executed.append, robot.holds.append, clock=lambda: robot.now)
    robot.loop.observe("gripper_qpos", [2.0, 2.0], 100.0)
    robot.loop.observe("eef_pos", [2.0, 1.5, 2.5], 100.0)
    robot.may_answer, act = threading.Event(), runner.act
    robot.may_answer.set()
    runner.act = lambda *seen: robot.may_answer.wait(10.0) and act(*seen)
    return robot


def test_the_robot_goes_on_while_the_next_plan_is_made(slow_robot, package):
    """Two actions, then the third while the policy thinks, then what it thought."""
    for _ in range(2):
        slow_robot.loop.tick()
    slow_robot.may_answer.clear()
    slow_robot.loop.tick()
    assert len(slow_robot.executed) == 3, "not waited for"
    slow_robot.may_answer.set()
    for _ in range(2):
        slow_robot.loop.tick()
    runner = PolicyRunner(package, noise="zero", execute=2, inference_delay=1)
    seen = {"eef_pos": [2.0, 1.5, 2.5], "gripper_qpos": [2.0, 2.0]}
    wanted = [*runner.act(seen, now=0.0).actions, *runner.act(seen, now=0.2).actions]
    np.testing.assert_array_equal(slow_robot.executed, wanted)


def test_silence_holds_a_robot_that_thinks_meanwhile(slow_robot):
    for _ in range(2):
        slow_robot.loop.tick()
    slow_robot.now += 1.0
    for _ in range(2):
        slow_robot.loop.tick()
    assert slow_robot.holds == ["observation 'eef_pos' is more than 0.5 s old"]
    assert not slow_robot.executed[-1][:-1].any()


def test_unknown_observations_are_refused_at_once(robot):
    with pytest.raises(ValueError, match="observation = 'elbow' .*'eef_pos', 'gripper_qpos'"):
        robot.loop.callback(Topic("/elbow", "elbow"))
    with pytest.raises(ValueError, match="observation = 'front'"):
        robot.loop.poll("front", lambda: (None, 0.0))


@pytest.fixture
def film(tmp_path) -> str:
    """A film of 20 frames in a second, whose colour goes from blue to red."""
    path = str(tmp_path / "film.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 20.0, (64, 64))
    for i in range(20):
        writer.write(np.full((64, 64, 3), (250 - 12 * i, 0, 12 * i), dtype=np.uint8))
    writer.release()
    return path


def test_a_film_plays_as_a_camera_would(film, vision_package):
    """The newest picture is the policy's size, red comes first, it changes with time, and stays when frames end."""
    with VideoCamera(film, vision_package.preprocessing("front")) as camera:
        deadline = time.monotonic() + 20.0
        while camera.newest()[0] is None and time.monotonic() < deadline:
            time.sleep(0.01)
        first, stamp = camera.newest()
        assert first.shape == (3, 16, 16) and first.dtype == np.uint8
        while camera.newest()[0][0].mean() < 200 and time.monotonic() < deadline:
            time.sleep(0.01)
        last, later = camera.newest()
        assert last[0].mean() > first[0].mean() and last[2].mean() < first[2].mean()
        assert later >= stamp + 0.5 and later <= time.monotonic()


def wait_for_picture(camera: VideoCamera) -> tuple[np.ndarray | None, float]:
    """The first picture and its stamp [s]; None after ten seconds without."""
    deadline = time.monotonic() + 10.0
    while camera.newest()[0] is None and time.monotonic() < deadline:
        time.sleep(0.01)
    return camera.newest()


def test_a_picture_is_as_old_as_its_frame(film):
    """Each preprocessing takes 100 s of the clock; a picture is stamped with the time at which its frame arrived."""
    clock = SimpleNamespace(now=0.0)

    def preprocessing(frame: np.ndarray) -> np.ndarray:
        picture = np.full((3, 16, 16), clock.now / 100.0, dtype=np.uint8)
        clock.now += 100.0
        return picture

    with VideoCamera(film, preprocessing, clock=lambda: clock.now) as camera:
        picture, stamp = wait_for_picture(camera)
    assert stamp == 100.0 * picture[0, 0, 0]


def test_what_is_wrong_with_a_frame_is_said(film, vision_package):
    small = vision_package.preprocessing("front", crop=(0, 0, 100, 100))
    with (
        VideoCamera(film, small) as camera,
        pytest.raises(ValueError, match="preprocessing.crop = .*frames of 64 x 64"),
    ):
        wait_for_picture(camera)


def test_when_frames_end_the_robot_is_held(film, vision_package, pictures):  # noqa: F811
    holds, executed = [], []
    loop = ControlLoop(PolicyRunner(vision_package, max_age=0.2), executed.append, holds.append)
    with VideoCamera(film, vision_package.preprocessing("front")) as camera:
        loop.poll("front", camera.newest)
        deadline = time.monotonic() + 30.0
        while time.monotonic() < deadline and not any("s old" in reason for reason in holds):
            loop.observe("wrist", pictures["wrist"])
            for name, value in SEEN.items():
                loop.observe(name, value)
            loop.tick()
            time.sleep(0.02)
    assert holds[-1] == "camera 'front' is more than 0.2 s old", holds
    assert np.abs(executed).max() > 0


def test_a_camera_that_is_not_there(tmp_path, vision_package):
    with pytest.raises(ValueError, match="source = .*nothing.avi.*OpenCV can open"):
        VideoCamera(tmp_path / "nothing.avi", vision_package.preprocessing("front"))
    with pytest.raises(ValueError, match="camera = 'back' .*'front', 'wrist'"):
        vision_package.preprocessing("back")
