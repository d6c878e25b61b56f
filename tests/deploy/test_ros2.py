# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What the ROS 2 node makes of messages, and the node itself among stand-ins for ROS."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from flow_rl.deploy import PolicyPackage, PolicyRunner, ros2
from flow_rl.utils.check import InputError
from tests.deploy.lift import ARM, FINGERS, RELATIVE_POSE, lift_contract

DOWN = (1.0, 0.0, 0.0, 0.0)


def header(seconds: float) -> SimpleNamespace:
    return SimpleNamespace(stamp=SimpleNamespace(sec=int(seconds), nanosec=int(1e9 * (seconds % 1))), frame_id="")


def pose(position=(0.0,) * 3, quaternion=DOWN, seconds=0.0) -> SimpleNamespace:
    place = SimpleNamespace(**dict(zip("xyz", position, strict=True)))
    turn = SimpleNamespace(**dict(zip("xyzw", quaternion, strict=True)))
    return SimpleNamespace(header=header(seconds), pose=SimpleNamespace(position=place, orientation=turn))


def joints(seconds=0.0, width=0.08, names=(*ARM, *FINGERS)) -> SimpleNamespace:
    values = [0.5 * width if "finger" in name else 0.1 for name in names]
    return SimpleNamespace(header=header(seconds), name=list(names), position=values)


class Package(PolicyPackage):
    """Lift's contract with a network that always says the same."""

    def __init__(self, contract, action):
        self.contract, self._action = contract, action

    def infer(self, vectors, pictures, noise):
        return np.broadcast_to(np.asarray(self._action, dtype=np.float32), (1, *self.chunk_shape))


@pytest.fixture
def make():
    """Makes the logic, with clocks of ROS (from 1000 s) and of the policy (from 50 s) that a test moves together."""

    def make(contract=None, action=(0.5, 0, 0, 0, 0, 0, -1.0)):
        clock = SimpleNamespace(now=0.0)
        runner = PolicyRunner(Package(contract or lift_contract(), action), max_age=0.2, execute=1, noise="zero")
        logic = ros2.PolicyLogic(runner, lambda: 1000.0 + clock.now, lambda: 50.0 + clock.now)
        return SimpleNamespace(logic=logic, clock=clock)

    return make


def test_poses_go_there_and_back():
    message = ros2.fill_pose(pose(), np.array([0.1, 0.2, 0.3]), np.array([0.0, 0.6, 0.0, 0.8]))
    position, quaternion = ros2.pose_arrays(message)
    np.testing.assert_array_equal(position, [0.1, 0.2, 0.3])
    np.testing.assert_array_equal(quaternion, [0.0, 0.6, 0.0, 0.8])
    assert type(message.pose.position.x) is float  # ROS takes nothing else
    assert ros2.stamp_seconds(pose(seconds=12.25)) == 12.25
    assert ros2.joint_values(joints())["panda_finger_joint2"] == 0.04


def test_messages_become_targets(make):
    it = make()
    assert it.logic.tick() is None and "no pose of the tool" in it.logic.reason
    it.logic.on_tool(pose((0.5, 0.0, 0.3), seconds=999.9))
    it.logic.on_joints(joints(999.9, names=ARM))
    assert it.logic.tick() is None
    it.logic.on_joints(joints(999.9, names=FINGERS))
    assert it.logic.tick() is None and it.logic.reason == "observation 'object_pos' is missing"
    it.logic.on_object("object", pose((0.6, 0.0, 0.02), seconds=999.9))
    target = it.logic.tick()
    np.testing.assert_allclose(target.position, [0.525, 0.0, 0.3])
    assert target.is_open is False and it.logic.reason is None


def test_old_messages_hold_the_arm(make):
    it = make()
    for message, take in (
        (pose((0.5, 0, 0.3), seconds=1000.0), it.logic.on_tool),
        (joints(1000.0), it.logic.on_joints),
    ):
        take(message)
    it.logic.on_object("object", pose((0.6, 0.0, 0.02), seconds=999.0))
    assert it.logic.tick() is None and it.logic.reason == "observation 'object_pos' is more than 0.2 s old"
    it.logic.on_object("object", pose((0.6, 0.0, 0.02), seconds=1000.0))
    assert it.logic.tick() is not None
    it.clock.now = 1.0
    assert it.logic.tick() is None and it.logic.reason == "observation 'eef_pos' is more than 0.2 s old"


def test_the_tools_velocity_follows_from_its_poses(make):
    it = make()
    seen = []
    it.logic.observer = lambda state, objects: seen.append(state) or ({}, {})
    it.logic.on_joints(joints(999.9))
    it.logic.on_tool(pose((0.5, 0.0, 0.3), seconds=999.8))
    it.logic.on_tool(pose((0.52, 0.0, 0.3), seconds=999.9))
    it.logic.tick()
    np.testing.assert_allclose(seen[0].velocity, [0.2, 0, 0, 0, 0, 0], atol=1e-6)


def test_cameras_and_wrong_topics_are_refused(make):
    with pytest.raises(InputError, match="--object = .*object=TOPIC"):
        ros2.object_topics(["cube=/cube"], ["object"])
    assert ros2.object_topics(["object=/cube"], ["object"]) == {"object": "/cube"}
    camera = {"name": "front", "size": [8, 8]}
    with pytest.raises(InputError, match="cameras = .*ControlLoop"):
        make(lift_contract() | {"cameras": [camera]})


def test_without_ros_the_command_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rclpy", None)
    with pytest.raises(SystemExit, match="rclpy is not installed"):
        ros2.main(["--package", str(tmp_path)])


@pytest.fixture
def ros(monkeypatch):
    """Modules of ROS with as much as the node uses; what is published is kept."""

    def message(**defaults):
        return type("Message", (), {"__init__": lambda self, **fields: vars(self).update(defaults | fields)})

    class PoseStamped:
        def __init__(self):
            vars(self).update(vars(pose()))

    class JointState:
        def __init__(self):
            vars(self).update(vars(joints()))

    node = SimpleNamespace(published={}, listens={}, timers=[], warnings=[])
    node.create_publisher = lambda kind, topic, depth: SimpleNamespace(
        publish=lambda message: node.published.setdefault(topic, []).append(message)
    )
    node.create_subscription = lambda kind, topic, callback, qos: node.listens.update({topic: callback})
    node.create_timer = lambda period, tick: node.timers.append((period, tick))
    node.get_logger = lambda: SimpleNamespace(warning=node.warnings.append)
    node.get_clock = lambda: SimpleNamespace(now=lambda: SimpleNamespace(to_msg=lambda: header(1000.0).stamp))
    contents = {
        "rclpy.qos": {"qos_profile_sensor_data": None},
        "geometry_msgs.msg": {"PoseStamped": PoseStamped},
        "sensor_msgs.msg": {"JointState": JointState},
        "std_msgs.msg": {"Bool": message(data=False)},
    }
    for name, content in contents.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
        monkeypatch.setitem(sys.modules, name.split(".")[0], ModuleType(name.split(".")[0]))
    return SimpleNamespace(create_node=lambda name: node), node


def test_the_node_publishes_targets(ros, make):
    rclpy, node = ros
    it = make()
    args = ros2.make_parser().parse_args(["--package", "p"])
    ros2.make_node(rclpy, it.logic, args, {"object": "/cube"})
    ((period, tick),) = node.timers
    assert period == pytest.approx(0.1)
    tick()
    assert node.published == {} and "no pose of the tool" in node.warnings[0]
    node.listens["/tool_pose"](pose((0.5, 0.0, 0.3), seconds=1000.0))
    node.listens["/joint_states"](joints(1000.0))
    node.listens["/cube"](pose((0.6, 0.0, 0.02), seconds=1000.0))
    tick()
    (target,), (fingers,) = node.published["/flow_rl/target"], node.published["/flow_rl/open_fingers"]
    assert target.pose.position.x == pytest.approx(0.525) and target.header.frame_id == "panda_link0"
    assert fingers.data is False and node.warnings[1:] == ["goes on"]


def test_the_node_publishes_joints(ros, make):
    rclpy, node = ros
    contract = lift_contract()
    term = RELATIVE_POSE | {"kind": "RelativeJointPositionAction", "size": 7, "scale": [0.2] * 7, "offset": [0.0] * 7}
    contract["actions"] |= {"terms": [term]}
    it = make(contract, (0.5, 0, 0, 0, 0, 0, 0))
    ros2.make_node(rclpy, it.logic, ros2.make_parser().parse_args(["--package", "p"]), {"object": "/cube"})
    node.listens["/tool_pose"](pose((0.5, 0.0, 0.3), seconds=1000.0))
    node.listens["/joint_states"](joints(1000.0))
    node.listens["/cube"](pose((0.6, 0.0, 0.02), seconds=1000.0))
    node.timers[0][1]()
    (target,) = node.published["/flow_rl/target"]
    assert target.name == ARM and target.position == pytest.approx([0.2] + [0.1] * 6)
    assert "/flow_rl/open_fingers" not in node.published
