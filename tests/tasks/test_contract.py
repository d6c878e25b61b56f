# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What a task says of itself to those who build a robot for its policy."""

import json

import gymnasium as gym
import numpy as np
import pytest
import torch

from isaaclab.managers import ObservationTermCfg
from isaaclab_tasks.utils import load_cfg_from_registry

from flow_rl.deploy import rotations
from flow_rl.deploy.commander import Commander
from flow_rl.deploy.observer import ArmState, ObjectPose, Observer
from flow_rl_tasks import mdp  # noqa: F401
from flow_rl_tasks.core.contract import describe_task
from tests.deploy.lift import TOOL, lift_contract

OURS = sorted(name for name, spec in gym.registry.items() if "expert_entry_point" in (spec.kwargs or {}))


@pytest.mark.parametrize("task", OURS)
def test_every_policy_observation_states_unit_and_frame(task):
    group = load_cfg_from_registry(task, "env_cfg_entry_point").observations.policy
    terms = {name: term for name, term in vars(group).items() if isinstance(term, ObservationTermCfg)}
    assert terms
    for name, term in terms.items():
        assert getattr(term.func, "units", ""), f"{name}: mark {term.func.__name__} with mdp.measured"
        assert term.func.frame


@pytest.mark.sim
def test_absolute_poses_have_no_start_but_a_posture(make_env):
    """Executing the posture's action leaves the robot where it is."""
    with make_env(1, 2, "presets=absolute_pose", task="FlowRL-OneLeg-Low-Franka", physics="ovphysx") as env:
        obs, _ = env.reset(seed=0)
        actions = describe_task(env, ["policy"], [])["actions"]
        assert actions["start"] is None and actions["terms"][0]["hold"] == "last"
        before = obs["policy"][0, :3].clone()
        for _ in range(3):
            obs, *_ = env.step(torch.tensor(actions["at_initial_posture"]).repeat(2, 1))
        assert (obs["policy"][0, :3] - before).norm() < 0.01


@pytest.mark.sim
def test_the_kitchen_holds_still_too(make_env):
    with make_env(1, 1, task="FlowRL-Kitchen-Complete-Franka", physics="ovphysx") as env:
        contract = describe_task(env, ["policy"], [])
        arm, fingers = contract["actions"]["terms"]  # the kitchen's own clicks take no actions
        assert (arm["hold"], arm["units"], fingers["hold"], fingers["size"]) == ("zero", "rad", "last", 2)
        assert contract["actions"]["start"] == pytest.approx([0.0] * 7 + [1.0] * 2)
        assert list(contract["robots"]) == ["robot"]
        goal = contract["observations"][-1]
        assert goal["name"] == "goal" and goal["shape"] == [13]


@pytest.mark.sim
def test_a_robots_driver_sees_and_commands_what_the_simulator_does(make_env):
    """The contract is the one that the driver is tested with; both agree on what a state and an action are."""
    with make_env(2, 1, task="FlowRL-Lift-Franka", physics="ovphysx") as env:
        obs, _ = env.reset(seed=0)
        contract = json.loads(json.dumps(describe_task(env, ["policy"], [])))
        wanted = lift_contract()
        for ours, theirs in zip(wanted["observations"], contract["observations"], strict=True):
            assert all(theirs[key] == ours[key] for key in ("name", "shape", "frame", "of"))
        for ours, theirs in zip(wanted["actions"]["terms"], contract["actions"]["terms"], strict=True):
            assert all(theirs[key] == ours[key] for key in ours if key != "meaning")
        robot, cube, origin = env.scene["robot"].data, env.scene["object"].data, env.scene.env_origins[0]
        hand = env.scene["robot"].body_names.index("panda_hand")
        quat = robot.body_quat_w.torch[0, hand].numpy().astype(float)
        tool = (robot.body_pos_w.torch[0, hand] - origin).numpy() + rotations.rotate(quat, np.array(TOOL))
        joints = robot.joint_pos.torch[0].numpy()
        state = ArmState(tool, quat, np.zeros(6), joints[:7], joints[7:].sum(), np.zeros(3), 0.0)
        pose = ObjectPose((cube.root_pos_w.torch[0] - origin).numpy(), cube.root_quat_w.torch[0].numpy(), 0.0)
        seen, _ = Observer(contract)(state, {"object": pose})
        np.testing.assert_allclose(np.concatenate(list(seen.values())), obs["policy"][0].numpy(), atol=1e-5)
        action = torch.tensor([[0.5, -0.3, 0.2, 0.1, -0.2, 0.6, -1.0]])
        target = Commander(contract).target(action[0].numpy(), state)
        (arm, _) = env.action_manager.get_term("chunk").terms
        arm.process_actions(action[:, :6])
        np.testing.assert_allclose(target.position, arm._ik_controller.ee_pos_des[0].numpy(), atol=1e-5)
        assert abs(target.quaternion @ arm._ik_controller.ee_quat_des[0].numpy()) == pytest.approx(1.0, abs=1e-5)
        assert target.is_open is False


@pytest.fixture(scope="module")
def lift(make_env):
    """Lift through cameras, on PhysX, after a step."""
    words = ["env.image_size=48", "env.supersampling=2"]
    with make_env(4, 2, *words, task="FlowRL-Lift-Franka-Vision", physics="ovphysx") as env:
        env.reset()
        env.step(torch.zeros(2, 28))
        yield env


@pytest.fixture(scope="module")
def contract(lift):
    return describe_task(lift, ["policy"], ["front", "wrist"])


@pytest.mark.sim
def test_the_contract_is_plain(contract):
    assert json.loads(json.dumps(contract, allow_nan=False)) == contract


@pytest.mark.sim
def test_observations_in_order_with_what_they_are_of(contract, lift):
    terms = contract["observations"]
    assert [term["name"] for term in terms] == lift.observation_manager.active_terms["policy"]
    position = terms[0]
    assert (position["shape"], position["units"], position["frame"]) == ([3], "m", "environment")
    assert position["of"]["robot_cfg"] == {"entity": "robot", "bodies": ["panda_hand"]}
    fingers = next(term for term in terms if term["name"] == "gripper_qpos")
    assert fingers["of"]["robot_cfg"]["joints"] == ["panda_finger_joint1", "panda_finger_joint2"]


@pytest.mark.sim
def test_cameras_as_they_are_seen(contract, lift):
    """Intrinsics are those of the policy's picture, and poses project the cube to where it is drawn."""
    front, wrist = contract["cameras"]
    assert front["size"] == wrist["size"] == [48, 48]
    assert front["mount"] == "environment" and wrist["mount"] == "panda_hand of robot"
    np.testing.assert_allclose(front["position"], lift.cfg.front_eye, atol=1e-4)
    np.testing.assert_allclose(wrist["position"], (0.08, 0.0, 0.01), atol=1e-3)
    matrix = np.array(front["intrinsics"])
    np.testing.assert_allclose(matrix[:2, 2], 24.0, atol=0.6)
    from isaaclab.utils.math import matrix_from_quat

    turn = matrix_from_quat(torch.tensor(front["orientation"])).numpy()
    cube = lift.observation_manager.compute()["state"][0, 9:12].numpy()
    x, y, z = turn.T @ (cube - np.array(front["position"]))
    column, row = matrix[0] @ (x, -y, -z) / -z, matrix[1] @ (x, -y, -z) / -z
    picture = lift.observation_manager.compute()["front"][0].float().numpy()
    red = (picture[0] > 1.5 * picture[1]) & (picture[0] > 60)
    rows, columns = np.nonzero(red)
    assert len(rows) > 3
    np.testing.assert_allclose((row, column), (rows.mean(), columns.mean()), atol=2.5)


@pytest.mark.sim
def test_actions_and_robot(contract, lift):
    arm, gripper = contract["actions"]["terms"]
    assert (arm["name"], arm["first"], arm["size"], arm["hold"]) == ("arm", 0, 6, "zero")
    assert arm["scale"] == pytest.approx([0.05] * 3 + [0.3] * 3) and arm["tool"] == [0.0, 0.0, 0.1034]
    assert (gripper["first"], gripper["hold"]) == (6, "last") and gripper["open"]
    assert contract["actions"]["start"] == [0.0] * 6 + [1.0]
    assert contract["actions"]["lower"] == [-1.0] * 7 and contract["control"] == {"period": 0.1, "chunk_length": 4}
    robot = contract["robots"]["robot"]
    assert robot["joints"] == lift.scene["robot"].joint_names
    assert robot["stiffness"][:7] == [800.0] * 7 and len(robot["limits"]) == 9
