# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""A robot's state and poses of objects as observations, and actions as targets."""

import copy

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from flow_rl.deploy.commander import Commander
from flow_rl.deploy.observer import ArmState, ObjectPose, Observer
from flow_rl.utils.check import InputError
from tests.deploy.lift import ARM, FINGERS, HAND, RELATIVE_POSE, TOOL, lift_contract

DOWN = np.array([1.0, 0.0, 0.0, 0.0])
QUARTER = Rotation.from_rotvec([0.0, 0.0, np.pi / 2])
STATE = ArmState(
    position=np.array([0.5, 0.1, 0.2]),
    quaternion=-DOWN,
    velocity=np.array([0.1, 0.0, 0.0, 0.0, 0.0, 0.2]),
    joints=np.arange(7) / 10,
    width=0.06,
    force=np.zeros(3),
    stamp=10.0,
)
CUBE = ObjectPose(np.array([0.4, 0.2, 0.025]), np.array([0.0, 0.0, -0.6, -0.8]), stamp=9.9)


@pytest.fixture(scope="module")
def contract():
    return lift_contract()


def test_lifts_observations(contract):
    observer = Observer(contract)
    values, stamps = observer(STATE, {"object": CUBE})
    wanted = {
        "eef_pos": [0.5, 0.1, 0.2],
        "eef_quat": DOWN,
        "gripper_qpos": [0.03, 0.03],
        "object_pos": [0.4, 0.2, 0.025],
        "object_quat": [0.0, 0.0, 0.6, 0.8],
        "eef_to_object": [-0.1, 0.1, -0.175],
    }
    assert list(values) == list(wanted) and observer.objects == ("object",) and observer.tool == tuple(TOOL)
    for name, value in wanted.items():
        np.testing.assert_allclose(values[name], value, atol=1e-12, err_msg=name)
    assert stamps == dict.fromkeys(list(wanted)[:3], 10.0) | dict.fromkeys(list(wanted)[3:], 9.9)


def test_objects_that_are_not_seen_are_left_out(contract):
    values, _ = Observer(contract)(STATE, {})
    assert list(values) == ["eef_pos", "eef_quat", "gripper_qpos"]


def test_a_robot_that_stands_elsewhere(contract):
    """Observations are counted from the environment, poses of the robot and of objects from the robot's base."""
    contract = copy.deepcopy(contract)
    contract["robots"]["robot"] |= {"base_position": [1.0, 0.0, 0.0], "base_orientation": QUARTER.as_quat().tolist()}
    values, _ = Observer(contract)(STATE, {"object": CUBE})
    np.testing.assert_allclose(values["eef_pos"], [0.9, 0.5, 0.2], atol=1e-12)
    np.testing.assert_allclose(values["eef_to_object"], [-0.1, -0.1, -0.175], atol=1e-12)
    assert abs(values["eef_quat"] @ (QUARTER * Rotation.from_quat(DOWN)).as_quat()) == pytest.approx(1.0)


def with_terms(contract, *terms):
    filled = [{"shape": [1], "units": "-", "frame": "-", "of": {}} | term for term in terms]
    return contract | {"observations": filled}


def test_observations_of_other_tasks(contract):
    parts = {"names": ["leg", "top"], "rotation": "rot6d", "robot_cfg": HAND, "offset": TOOL}
    terms = [{"name": name} for name in ("eef_rot6d", "eef_vel", "gripper_width")]
    terms += [{"name": "robot_qpos", "of": {"robot_cfg": {"entity": "robot", "joints": ARM + FINGERS}}}]
    terms += [{"name": "parts", "of": parts}]
    terms += [{"name": "eef_to_object_quat", "of": {"object_cfg": {"entity": "leg"}}}]
    observer = Observer(with_terms(contract, *terms))
    assert observer.objects == ("leg", "top")
    values, stamps = observer(STATE, {"leg": CUBE, "top": CUBE})
    np.testing.assert_allclose(values["eef_rot6d"], [1, 0, 0, 0, -1, 0], atol=1e-12)
    np.testing.assert_allclose(values["eef_vel"], STATE.velocity)
    np.testing.assert_allclose(values["gripper_width"], [0.06])
    np.testing.assert_allclose(values["robot_qpos"], [*STATE.joints, 0.03, 0.03])
    assert values["parts"].shape == (18,) and stamps["parts"] == 9.9
    np.testing.assert_allclose(values["parts"][:3], [-0.1, 0.1, -0.175], atol=1e-12)
    np.testing.assert_allclose(values["parts"][3:6], Rotation.from_quat(CUBE.quaternion).as_matrix()[:, 0], atol=1e-12)
    relative = Rotation.from_quat(STATE.quaternion).inv() * Rotation.from_quat(CUBE.quaternion)
    assert abs(values["eef_to_object_quat"] @ relative.as_quat()) == pytest.approx(1.0)
    assert values["eef_to_object_quat"][0] >= 0.0


def test_unknown_observations_are_refused_unless_they_come_from_elsewhere(contract):
    kettle = with_terms(contract, {"name": "kettle"}, {"name": "gripper_width"})
    with pytest.raises(InputError, match="observation = 'kettle' .*gripper_width"):
        Observer(kettle)
    assert list(Observer(kettle, ("kettle",))(STATE, {})[0]) == ["gripper_width"]
    assert not Observer(with_terms(contract, {"name": "latency"}, {"name": "last_actions"}))(STATE, {})[0]


def test_lifts_actions(contract):
    """Changes of the pose are counted along the axes of the base, as isaaclab's relative mode does."""
    commander = Commander(contract)
    action = np.array([1.0, -0.5, 0.0, 0.0, 0.0, 1.0, -0.1])
    target = commander.target(action, STATE)
    np.testing.assert_allclose(target.position, [0.55, 0.075, 0.2])
    turned = Rotation.from_rotvec([0.0, 0.0, 0.3]) * Rotation.from_quat(STATE.quaternion)
    assert abs(target.quaternion @ turned.as_quat()) == pytest.approx(1.0)
    assert target.is_open is False and target.joints is None
    assert commander.target(np.zeros(7), STATE).is_open is True
    assert not commander.moves_joints and commander.tool == tuple(TOOL)
    np.testing.assert_array_equal(commander.start(STATE), [0, 0, 0, 0, 0, 0, 1])


def arm(contract, **fields):
    """A contract without fingers whose arm is commanded otherwise."""
    return contract | {"actions": contract["actions"] | {"terms": [RELATIVE_POSE | fields]}}


@pytest.mark.parametrize(
    "fields",
    [
        {"hold": "last", "size": 7, "scale": [0.3] * 3 + [1.0] * 4, "offset": [0.5, 0.0, 0.25, 0, 0, 0, 0]},
        {"kind": "Rot6dPoseAction", "hold": "last", "size": 9, "scale": [0.3] * 3 + [1.0] * 6, "offset": [0.0] * 9},
        {"kind": "JointPositionAction", "hold": "last", "size": 7, "scale": [2.0] * 7, "offset": [0.1] * 7},
        {"kind": "RelativeJointPositionAction", "size": 7, "scale": [0.2] * 7, "offset": [0.0] * 7},
    ],
)
def test_the_first_action_keeps_the_arm_where_it_is(contract, fields):
    commander = Commander(arm(contract, **fields))
    target = commander.target(commander.start(STATE), STATE)
    if commander.moves_joints:
        np.testing.assert_allclose(target.joints, STATE.joints)
    else:
        np.testing.assert_allclose(target.position, STATE.position)
        assert abs(target.quaternion @ STATE.quaternion) == pytest.approx(1.0)


def test_distant_poses_are_approached_in_steps(contract):
    fields = {"kind": "Rot6dPoseAction", "hold": "last", "size": 9, "scale": [1.0] * 9, "offset": [0.0] * 9}
    fields |= {"bounds_per_step": {"position": 0.05, "angle": 0.3}}
    target = Commander(arm(contract, **fields)).target(np.array([0.5, 0.1, 1.0, 0, 1, 0, 1, 0, 0]), STATE)
    np.testing.assert_allclose(target.position, [0.5, 0.1, 0.25])
    turn = Rotation.from_quat(target.quaternion) * Rotation.from_quat(STATE.quaternion).inv()
    assert turn.magnitude() == pytest.approx(0.3)


def test_fingers_that_are_positions(contract):
    """The kitchen's: -1 is closed, 1 open."""
    fingers = {"name": "fingers", "first": 6, "size": 2, "hold": "last", "kind": "JointPositionAction"}
    fingers |= {"joints": FINGERS, "scale": [0.02] * 2, "offset": [0.02] * 2}
    commander = Commander(contract | {"actions": {"terms": [RELATIVE_POSE, fingers]}})
    assert commander.target(np.array([0, 0, 0, 0, 0, 0, 0.9, 1.0]), STATE).is_open is True
    assert commander.target(np.array([0, 0, 0, 0, 0, 0, -0.9, -1.0]), STATE).is_open is False
    np.testing.assert_allclose(commander.start(STATE)[6:], [1.0, 1.0])


def test_actions_of_other_robots_are_refused(contract):
    with pytest.raises(InputError, match="action 'arm': kind = 'JointEffortAction'"):
        Commander(arm(contract, kind="JointEffortAction"))
    with pytest.raises(InputError, match="robots = .*one Franka"):
        Commander(contract | {"robots": contract["robots"] | {"second": {}}})
    twice = contract | {"actions": {"terms": [RELATIVE_POSE, RELATIVE_POSE]}}
    with pytest.raises(InputError, match="one term that moves the arm"):
        Commander(twice)
