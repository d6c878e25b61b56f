# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""A ROS 2 node that runs a policy: ``python -m flow_rl.deploy.ros2 --package FOLDER --object object=/cube/pose``.

It listens to ``/joint_states`` (sensor_msgs/JointState), the tool's pose and objects' poses (geometry_msgs/PoseStamped,
in the frame of the robot's base), and publishes once per control step where the tool shall be (PoseStamped, or
JointState where actions move joints), and whether the fingers shall be open (std_msgs/Bool). While the arm is held it
publishes nothing: a controller that gets no targets must stay. Limits are the controller's; those of
:mod:`flow_rl.deploy.franka` do not apply. Messages are told by their fields alone, so that all but the node works
without ROS.
"""

from __future__ import annotations

import argparse
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flow_rl.utils.check import InputError, require, require_package

from . import rotations
from .commander import Commander, Target
from .objects import make_pose
from .observer import ArmState, ObjectPose, Observer
from .runner import PolicyRunner

NAMESPACE = "/flow_rl"


def pose_arrays(message: Any) -> tuple[np.ndarray, np.ndarray]:
    """Position (3,) [m] and quaternion (x, y, z, w) of a PoseStamped."""
    pos, quat = message.pose.position, message.pose.orientation
    return np.array([pos.x, pos.y, pos.z]), np.array([quat.x, quat.y, quat.z, quat.w])


def fill_pose(message: Any, position: np.ndarray, quaternion: np.ndarray) -> Any:
    """A PoseStamped whose pose is given, position (3,) [m] and quaternion (x, y, z, w); its header stays."""
    pos, quat = message.pose.position, message.pose.orientation
    pos.x, pos.y, pos.z = map(float, position)
    quat.x, quat.y, quat.z, quat.w = map(float, quaternion)
    return message


def stamp_seconds(message: Any) -> float:
    """When a message was stamped, by its sender's clock [s]."""
    return message.header.stamp.sec + 1e-9 * message.header.stamp.nanosec


def joint_values(message: Any) -> dict[str, float]:
    """Positions of a JointState by the joints' names [rad or m]."""
    return dict(zip(message.name, message.position, strict=True))


class PolicyLogic:
    """What the node does, without ROS."""

    def __init__(
        self,
        runner: PolicyRunner,
        ros_clock: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ):
        """Create it, from a policy, the clock of stamps in messages [s], and the clock of the policy [s]."""
        self.runner, self._ros_clock, self._clock = runner, ros_clock, clock
        contract = runner.package.contract
        self.observer, self.commander = Observer(contract), Commander(contract)
        require(
            not runner.package.cameras,
            "cameras",
            list(runner.package.cameras),
            "none",
            "use flow_rl.deploy.ControlLoop.",
        )
        self._tool: tuple[np.ndarray, np.ndarray, float] | None = None
        self._velocity = np.zeros(6)
        self._joints: dict[str, float] = {}
        self._joints_stamp = -np.inf
        self._objects: dict[str, ObjectPose] = {}
        self._actions: deque[np.ndarray] = deque()
        self._started = False
        self.reason: str | None = None
        """Why the arm is held."""

    def on_tool(self, message: Any) -> None:
        """Take a PoseStamped of the tool."""
        pose = make_pose(*pose_arrays(message), self._measured(message))
        if self._tool is not None and pose.stamp > self._tool[2]:
            self._velocity = _velocity(self._tool, pose)
        self._tool = pose.position, pose.quaternion, pose.stamp

    def on_joints(self, message: Any) -> None:
        """Take a JointState; arms and hands may send their own."""
        self._joints |= joint_values(message)
        self._joints_stamp = self._measured(message)

    def on_object(self, name: str, message: Any) -> None:
        """Take a PoseStamped of an object."""
        self._objects[name] = make_pose(*pose_arrays(message), self._measured(message))

    def tick(self) -> Target | None:
        """What to publish in this control step; None while the arm is held."""
        state = self._state()
        if state is None:
            self._actions.clear()
            self.reason = "no pose of the tool or no joints have arrived"
            return None
        if not self._started:
            self.runner.reset(self.commander.start(state))
            self._started = True
        if not self._actions:
            chunk = self.runner.act(*self.observer(state, self._objects), self._clock())
            self._actions.extend(chunk.actions)
            self.reason = chunk.reason
        action = self._actions.popleft()
        return None if self.reason else self.commander.target(action, state)

    def _state(self) -> ArmState | None:
        """The arm as messages describe it; None before the first of each kind."""
        arm = [self._joints.get(name) for name in _names("joint", 7)]
        fingers = [self._joints.get(name) for name in _names("finger_joint", 2)]
        if self._tool is None or None in arm or None in fingers:
            return None
        pos, quat, stamp = self._tool
        stamp = min(stamp, self._joints_stamp)
        return ArmState(pos, quat, self._velocity, np.array(arm), sum(fingers), np.zeros(3), stamp)

    def _measured(self, message: Any) -> float:
        """When a message was measured, on the policy's clock [s]."""
        return self._clock() - (self._ros_clock() - stamp_seconds(message))


def _names(kind: str, num: int) -> list[str]:
    """Names of joints in the contract's robots, which ROS calls alike for a Panda."""
    return [f"panda_{kind}{i + 1}" for i in range(num)]


def _velocity(old: tuple[np.ndarray, np.ndarray, float], new: ObjectPose) -> np.ndarray:
    """Mean velocity between two poses, shape (6,) [m/s, rad/s]."""
    turn = rotations.to_vector(rotations.multiply(new.quaternion, rotations.inverse(old[1])))
    return np.concatenate((new.position - old[0], turn)) / (new.stamp - old[2])


def make_parser() -> argparse.ArgumentParser:
    """Options of the node."""
    parser = argparse.ArgumentParser(
        prog="python -m flow_rl.deploy.ros2", description="Run an exported policy in ROS 2."
    )
    parser.add_argument("--package", type=Path, required=True, help="folder that flow-rl export wrote")
    parser.add_argument("--tool", default="/tool_pose", help="topic of the tool's pose")
    parser.add_argument("--joints", default="/joint_states", help="topic of the joints")
    parser.add_argument("--object", nargs="+", default=[], metavar="NAME=TOPIC", help="topics of objects' poses")
    parser.add_argument("--frame", default="panda_link0", help="name of the robot's base, where targets are given")
    parser.add_argument("--execute", type=int, help="actions of a chunk that are executed before the next plan")
    parser.add_argument("--max_age", type=float, default=0.2, help="age beyond which an observation holds the arm [s]")
    return parser


def object_topics(named: Sequence[str], wanted: Sequence[str]) -> dict[str, str]:
    """Topics by the names of the objects that a policy observes, from ``NAME=TOPIC``."""
    topics = dict(item.partition("=")[::2] for item in named)
    valid = " ".join(f"{name}=TOPIC" for name in wanted) or "none: the policy observes no objects"
    require(set(topics) == set(wanted), "--object", list(named), valid, "name each object of the policy once.")
    return topics


def main(argv: Sequence[str] | None = None) -> None:
    """Run the node until it is stopped."""
    args = make_parser().parse_args(argv)
    try:
        rclpy = require_package("rclpy", "a distribution of ROS 2", "ROS 2, which pip does not install")
        logic = PolicyLogic(PolicyRunner(args.package, execute=args.execute, max_age=args.max_age))
        topics = object_topics(args.object, logic.observer.objects)
    except (InputError, OSError) as error:
        raise SystemExit(f"[flow_rl] error: {error}") from error
    rclpy.init()
    node = make_node(rclpy, logic, args, topics)
    try:
        rclpy.spin(node)
    finally:
        node.destroy_node()
        rclpy.shutdown()


def make_node(rclpy: Any, logic: PolicyLogic, args: argparse.Namespace, topics: dict[str, str]) -> Any:
    """A node that listens, ticks and publishes."""
    from geometry_msgs.msg import PoseStamped
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import JointState
    from std_msgs.msg import Bool

    node = rclpy.create_node("flow_rl_policy")
    kind = JointState if logic.commander.moves_joints else PoseStamped
    target_publisher = node.create_publisher(kind, f"{NAMESPACE}/target", 1)
    fingers_publisher = node.create_publisher(Bool, f"{NAMESPACE}/open_fingers", 1)
    node.create_subscription(PoseStamped, args.tool, logic.on_tool, qos_profile_sensor_data)
    node.create_subscription(JointState, args.joints, logic.on_joints, qos_profile_sensor_data)
    for name, topic in topics.items():
        node.create_subscription(
            PoseStamped, topic, lambda message, name=name: logic.on_object(name, message), qos_profile_sensor_data
        )

    def tick() -> None:
        before, target = logic.reason, logic.tick()
        if logic.reason != before:
            node.get_logger().warning(f"held: {logic.reason}" if logic.reason else "goes on")
        if target is None:
            return
        message = kind()
        message.header.stamp, message.header.frame_id = node.get_clock().now().to_msg(), args.frame
        if target.joints is not None:
            message.name, message.position = _names("joint", 7), target.joints.tolist()
        else:
            fill_pose(message, target.position, target.quaternion)
        target_publisher.publish(message)
        if target.is_open is not None:
            fingers_publisher.publish(Bool(data=target.is_open))

    node.create_timer(logic.runner.package.period, tick)
    return node


if __name__ == "__main__":
    main()
