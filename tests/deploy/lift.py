# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The contract of the Lift task, and a small policy for it that was taught to reach for the object and to close there.

``tests/tasks/test_lift_contract.py`` compares the contract with what the simulator says.
"""

from pathlib import Path
from typing import Any

import torch

from flow_rl.deploy import PolicyPackage
from flow_rl.deploy.export import export_package
from flow_rl.models import FlowPolicy
from flow_rl.objectives import flow_matching_loss
from tests.deploy.conftest import make_contract

TOOL = [0.0, 0.0, 0.1034]
HAND = {"entity": "robot", "bodies": ["panda_hand"]}
FINGERS = [f"panda_finger_joint{i}" for i in (1, 2)]
ARM = [f"panda_joint{i}" for i in range(1, 8)]
CUBE = {"object_cfg": {"entity": "object"}}
OBSERVATIONS = {
    "eef_pos": (3, "environment", {"robot_cfg": HAND, "offset": TOOL}),
    "eef_quat": (4, "environment", {"robot_cfg": HAND, "positive": 0}),
    "gripper_qpos": (2, "joint", {"robot_cfg": {"entity": "robot", "joints": FINGERS}}),
    "object_pos": (3, "environment", CUBE),
    "object_quat": (4, "environment", CUBE),
    "eef_to_object": (
        3,
        "axes of the environment, counted from the tool",
        {"robot_cfg": HAND, "offset": TOOL} | CUBE,
    ),
}
RELATIVE_POSE = {
    "name": "arm",
    "first": 0,
    "size": 6,
    "meaning": "change",
    "units": "m, rad",
    "hold": "zero",
    "scale": [0.05] * 3 + [0.3] * 3,
    "offset": [0.0] * 6,
    "body": "panda_hand",
    "tool": TOOL,
    "bounds_per_step": None,
    "kind": "PoseAction",
    "robot": "robot",
    "joints": ARM,
}
GRIPPER = {
    "name": "gripper",
    "first": 6,
    "size": 1,
    "meaning": "opening",
    "units": "-",
    "hold": "last",
    "kind": "BinaryJointPositionAction",
    "robot": "robot",
    "joints": FINGERS,
}
ROBOT = {
    "base_position": [0.0, 0.0, 0.0],
    "base_orientation": [0.0, 0.0, 0.0, 1.0],
    "joints": ARM + FINGERS,
    "start": [0.0, -0.2, 0.0, -2.5, 0.0, 2.3, 0.785, 0.04, 0.04],
    "limits": [[-2.9, 2.9]] * 7 + [[0.0, 0.04]] * 2,
    "stiffness": [800.0] * 7 + [1000.0] * 2,
    "damping": [40.0] * 7 + [100.0] * 2,
}
ACTION = 7
SETTINGS = {"obs_groups": {"policy": 19}, "action_dim": ACTION, "horizon": 2, "hidden_dims": [64, 64]}
HOVER = 0.08
"""Height above the object to which the policy was taught to go [m]."""


def lift_contract(policy: FlowPolicy | None = None) -> dict[str, Any]:
    """What Lift's environment would say, for a policy, or for one that nobody needs."""
    policy = policy or FlowPolicy.from_settings(SETTINGS)
    terms = [
        {"name": name, "group": "policy", "shape": [size], "units": "-", "frame": frame, "description": "-", "of": of}
        for name, (size, frame, of) in OBSERVATIONS.items()
    ]
    start = [0.0] * 6 + [1.0]
    actions = {"terms": [RELATIVE_POSE, GRIPPER], "start": start, "at_initial_posture": start, "max_change": None}
    actions |= {"lower": [-1.0] * ACTION, "upper": [1.0] * ACTION}
    own = {"task": "FlowRL-Lift-Franka", "observations": terms, "actions": actions, "robots": {"robot": ROBOT}}
    return make_contract(policy) | own


def lift_package(folder: Path) -> PolicyPackage:
    """Teach a policy, in seconds, and export it."""
    torch.manual_seed(0)
    policy = FlowPolicy.from_settings(SETTINGS)
    obs, actions = demonstrations(4096)
    policy.fit(obs, actions)
    chunks = policy.action_normalizer(actions.repeat(1, 2))
    optimizer = torch.optim.Adam(policy.parameters(), lr=3e-3)
    for _ in range(500):
        rows = torch.randint(len(obs), (256,))
        latent = policy.get_latent({"policy": obs[rows]})
        noise, times = torch.randn(256, 2 * ACTION), torch.rand(256, 1)
        loss = flow_matching_loss(lambda x, t: policy.velocity_field(x, t, latent), chunks[rows], noise, times)  # noqa: B023
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    policy.eval()
    return export_package(policy, lift_contract(policy), {"policy": obs[:6]}, folder)


def demonstrations(num: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Observations (N, 19), and what is right there (N, 7): half the way to above the object, fingers closed near it."""
    low, high = torch.tensor([0.3, -0.25, 0.05]), torch.tensor([0.65, 0.25, 0.4])
    tool, cube = (low + (high - low) * torch.rand(num, 3) for _ in range(2))
    cube[:, 2] = 0.025
    near = torch.rand(num, 1) < 0.5
    tool = torch.where(near, cube + torch.tensor([0.0, 0.0, HOVER]) + 0.03 * torch.randn(num, 3), tool)
    down = torch.tensor([1.0, 0.0, 0.0, 0.0]) + 0.02 * torch.randn(num, 4)
    still = torch.tensor([0.0, 0.0, 0.0, 1.0]) + 0.02 * torch.randn(num, 4)
    width = 0.04 * torch.rand(num, 1).expand(-1, 2)
    way = cube + torch.tensor([0.0, 0.0, HOVER]) - tool
    shift = (0.5 * way / 0.05).clamp(-1.0, 1.0)
    is_open = torch.where(way.norm(dim=1, keepdim=True) > 0.02, 1.0, -1.0)
    turns = 0.01 * torch.randn(num, 3)
    obs = torch.cat((tool, down / down.norm(dim=1, keepdim=True), width, cube, still, cube - tool), dim=1)
    return obs, torch.cat((shift, turns, is_open), dim=1)
