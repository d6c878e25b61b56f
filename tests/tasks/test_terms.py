# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What holds for the terms of all families of tasks, on PhysX."""

from __future__ import annotations

import collections
import sys

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch.overrides import TorchFunctionMode

from flow_rl_tasks.core.contract import describe_task

pytestmark = pytest.mark.sim

TASKS = {
    "Lift-Franka": (),
    "Can-Franka": (),
    "Transport-DualFranka": (),
    "OneLeg-Low-Franka": (),
    "Lamp-Med-Franka": ("env.part_rotation=quat",),
    "Kitchen-Complete-Franka": (),
}
"""One task of each family or way of seeing, and overrides."""

NUM_ENVS = 2
STEPS = 20


@pytest.fixture(scope="module", params=TASKS)
def env(request, make_env):
    """Each task after some random steps."""
    generator = torch.Generator().manual_seed(0)
    words = TASKS[request.param]
    task = f"FlowRL-{request.param}"
    with make_env(1, NUM_ENVS, *words, task=task, physics="ovphysx") as env, torch.inference_mode():
        env.reset(seed=0)
        for _ in range(STEPS):
            env.step(2.0 * torch.rand(NUM_ENVS, env.action_manager.total_action_dim, generator=generator) - 1.0)
        yield env


class Uploads(TorchFunctionMode):
    """Counts where our files make tensors of Python numbers, or index by Python lists: each waits for a GPU."""

    def __init__(self):
        super().__init__()
        self.found = collections.Counter()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        uploads = func in (torch.tensor, torch.as_tensor, torch.Tensor.new_tensor)
        if func in (torch.Tensor.__getitem__, torch.Tensor.__setitem__):
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            uploads = any(isinstance(item, list) for item in index)
        caller = sys._getframe(1)
        if uploads and "flow_rl_tasks" in caller.f_code.co_filename:
            self.found[f"{caller.f_code.co_filename}:{caller.f_lineno}"] += 1
        return func(*args, **(kwargs or {}))


def test_steps_copy_no_constants_to_the_device(env):
    with Uploads() as uploads:
        env.step(torch.zeros(NUM_ENVS, env.action_manager.total_action_dim))
    assert not uploads.found


# -- where the tool is ------------------------------------------------------------------------------------------------


def count(monkeypatch, owner, name: str) -> list:
    """A list that gets an entry with each call of a function."""
    calls, function = [], getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda *args: calls.append(1) or function(*args))
    return calls


def test_the_tools_pose_is_computed_once_per_tick(env, monkeypatch):
    """For each arm in the base's axes, for actions and experts, and in the world's, for all else."""
    from isaaclab.envs.mdp.actions.task_space_actions import DifferentialInverseKinematicsAction

    from flow_rl.cli.launch import entry_point
    from flow_rl_tasks.mdp import observations

    expert = entry_point(env.spec.id, "expert")(env)
    env.reset(seed=0)
    expert.reset()
    frames = count(monkeypatch, DifferentialInverseKinematicsAction, "_compute_frame_pose")
    points = count(monkeypatch, observations, "quat_apply")
    arms = sum(name.startswith("robot") for name in env.scene.articulations)
    for _ in range(3):
        env.step(expert.act())
        assert not env.reset_buf.any()
        assert (len(frames), len(points)) == (arms, arms)
        frames.clear(), points.clear()


def test_the_tools_pose_follows_what_is_written(env):
    """A joint and the base, between steps; as Isaac Lab computes it from the same state."""
    from isaaclab.envs.mdp.actions.task_space_actions import DifferentialInverseKinematicsAction

    from flow_rl.cli.launch import entry_point

    arm = getattr(entry_point(env.spec.id, "expert")(env), "arm", None)
    if arm is None:
        arm = env.action_manager.get_term("chunk").terms[0]
    robot, poses = arm._asset, []
    joints, root = robot.data.joint_pos.torch.clone(), robot.data.root_pose_w.torch.clone()
    root[:, 2] += 0.01
    for write in (
        lambda: None,
        lambda: robot.write_joint_position_to_sim_index(position=joints + 0.1),
        lambda: robot.write_root_pose_to_sim_index(root_pose=root),
    ):
        write()
        poses.append(torch.cat((*arm._compute_frame_pose(), robot.data.root_pos_w.torch), dim=1).clone())
        torch.testing.assert_close(
            arm._compute_frame_pose(), DifferentialInverseKinematicsAction._compute_frame_pose(arm)
        )
    assert (poses[0] - poses[1]).abs().max() > 0.01 and (poses[1] - poses[2]).abs().max() > 0.005
    env.reset(seed=0)


# -- observations, from raw poses by the words of the contract --------------------------------------------------------


class Raw:
    """Poses and joints of one environment, as the simulator has them, and the geometry of the words of a contract."""

    def __init__(self, env, index: int, of: dict):
        self.env, self.index, self.of = env, index, of
        self.origin = self.read(env.scene.env_origins)
        self.object = of.get("object_cfg", {}).get("entity")
        if "bodies" in of.get("robot_cfg", {}):
            robot = env.scene[of["robot_cfg"]["entity"]]
            (name,) = of["robot_cfg"]["bodies"]
            body = robot.body_names.index(name)
            pose = self.read(robot.data.body_link_pose_w.torch)[body]
            self.velocity = self.read(robot.data.body_link_vel_w.torch)[body]
            self.hand_pos, self.hand = pose[:3], Rotation.from_quat(pose[3:])
            self.tool = self.hand_pos + self.hand.apply(of.get("offset", (0.0, 0.0, 0.0)))

    def read(self, values: torch.Tensor) -> np.ndarray:
        return values[self.index].double().numpy()

    def pos(self, name: str) -> np.ndarray:
        return self.read(self.env.scene[name].data.root_link_pose_w.torch)[:3]

    def turn(self, name: str) -> Rotation:
        return Rotation.from_quat(self.read(self.env.scene[name].data.root_link_pose_w.torch)[3:])

    def joints(self, entity: str, names: list[str]) -> list[float]:
        asset = self.env.scene[entity]
        position = self.read(asset.data.joint_pos.torch)
        return [position[asset.joint_names.index(name)] for name in names]

    def fingers(self) -> list[float]:
        return self.joints(self.of["robot_cfg"]["entity"], self.of["robot_cfg"]["joints"])


def signed(rotation: Rotation, positive: int) -> np.ndarray:
    """The quaternion (x, y, z, w) whose given component is not negative."""
    quat = rotation.as_quat()
    return quat if quat[positive] >= 0 else -quat


def columns(rotation: Rotation) -> np.ndarray:
    matrix = rotation.as_matrix()
    return np.concatenate((matrix[:, 0], matrix[:, 1]))


def velocity(raw: Raw) -> np.ndarray:
    linear, angular = raw.velocity[:3], raw.velocity[3:]
    return np.concatenate((linear + np.cross(angular, raw.tool - raw.hand_pos), angular))


def parts(raw: Raw) -> np.ndarray:
    turned = {"rot6d": columns, "quat": lambda turn: signed(turn, 3)}[raw.of["rotation"]]
    return np.concatenate([np.append(raw.pos(name) - raw.tool, turned(raw.turn(name))) for name in raw.of["names"]])


def is_inside(raw: Raw) -> list[float]:
    place, pos = np.array(raw.of["place"]), raw.pos(raw.object) - raw.origin
    return [float((abs(pos[:2] - place) < raw.of["tolerance"]).all() and pos[2] < raw.of["height"])]


def kitchen_goal(raw: Raw) -> list[float]:
    from flow_rl_tasks.kitchen.kitchen import BACK_BURNER, ELEMENTS

    targets = raw.env.cfg.commands.subtasks.targets
    assert "kettle" in targets
    elements = [element.goal if name in targets else 0.0 for name, element in ELEMENTS.items()]
    return [*BACK_BURNER, 0.0, 0.0, 0.0, 0.0, 1.0, *elements]


def kitchen_elements(raw: Raw) -> list[float]:
    from flow_rl_tasks.kitchen.kitchen import ELEMENTS

    return raw.joints("kitchen", list(ELEMENTS))


SEEN = {
    "body_frame_pos": lambda raw: raw.tool - raw.origin,
    "body_frame_quat": lambda raw: signed(raw.hand, raw.of["positive"]),
    "body_rot6d": lambda raw: columns(raw.hand),
    "body_frame_vel": velocity,
    "gripper_width": lambda raw: [sum(raw.fingers())],
    "joint_pos": Raw.fingers,
    "object_pos": lambda raw: raw.pos(raw.object) - raw.origin,
    "object_quat": lambda raw: signed(raw.turn(raw.object), 3),
    "object_poses": parts,
    "object_rel_pos": lambda raw: raw.pos(raw.object) - raw.tool,
    "object_rel_quat": lambda raw: signed(raw.hand.inv() * raw.turn(raw.object), 0),
    "object_to_place": lambda raw: np.array(raw.of["place"]) - (raw.pos(raw.object) - raw.origin),
    "object_is_inside": is_inside,
    "kettle": lambda raw: np.append(raw.pos("kettle") - raw.origin, signed(raw.turn("kettle"), 3)),
    "elements": kitchen_elements,
    "goal": kitchen_goal,
}
"""What each function of an observation says it is."""


def test_observations_are_what_the_contract_says(env):
    """Objects are turned any way, so that both signs of their quaternions occur."""
    generator = torch.Generator().manual_seed(0)
    for asset in env.scene.rigid_objects.values():
        pose = asset.data.root_link_pose_w.torch.clone()
        pose[:, 3:] = torch.nn.functional.normalize(torch.randn(NUM_ENVS, 4, generator=generator), dim=1)
        pose[:, 6] = pose[:, 6].abs() * torch.tensor([-1.0, 1.0])
        asset.write_root_pose_to_sim_index(root_pose=pose)
    obs = env.observation_manager.compute()["policy"]
    terms = describe_task(env, ["policy"], [])["observations"]
    seen = obs.split([term["shape"][0] for term in terms], dim=1)
    assert obs[:, :6].std() > 0.0
    for term, values in zip(terms, seen, strict=True):
        func = getattr(env.cfg.observations.policy, term["name"]).func
        if "robot_cfg" in term["of"]:
            assert term["of"]["robot_cfg"]["entity"] == ("robot_2" if "_2" in term["name"] else "robot"), term["name"]
        for index in range(NUM_ENVS):
            expected = SEEN[func.__name__](Raw(env, index, term["of"]))
            np.testing.assert_allclose(values[index].numpy(), expected, atol=2e-5, err_msg=term["name"])


# -- events -----------------------------------------------------------------------------------------------------------


def test_resets_draw_what_they_name(env):
    """Joints of arms and poses of objects differ between episodes, within their ranges; nothing else does."""
    joints, poses = collections.defaultdict(list), collections.defaultdict(list)
    for seed in range(6):
        env.reset(seed=seed)
        for name, asset in env.scene.articulations.items():
            joints[name].append(asset.data.joint_pos.torch - asset.data.default_joint_pos.torch)
        for name, asset in env.scene.rigid_objects.items():
            turn = [signed(Rotation.from_quat(quat), 3) for quat in asset.data.root_quat_w.torch.numpy()]
            poses[name].append(np.append(asset.data.root_pos_w.torch - env.scene.env_origins, turn, axis=1))
    reach = getattr(env.cfg, "randomization", None)
    reach = 0.03 if reach is None else reach.joints
    for name, offsets in joints.items():
        offsets = torch.cat(offsets).abs()
        assert offsets.max() <= reach + 1e-6
        arm = offsets[:, :7] if name.startswith("robot") else offsets[:, :0]
        assert (arm.amax(dim=0) > reach / 2).all() and offsets[:, arm.shape[1] :].max() < 1e-6, name
    assert joints and poses
    for name, values in poses.items():
        spread = np.concatenate(values).std(axis=0)
        assert spread[:2].min() > 0.002 and spread[3:].max() > 0.005 and spread[2] < 1e-4, (name, spread)
