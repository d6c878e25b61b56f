# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The contract of the Lift task; ``tests/tasks/test_contract.py`` compares it with what the environment says."""

from typing import Any

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


def lift_contract(horizon: int = 2) -> dict[str, Any]:
    """What Lift's environment would say."""
    terms = [
        {"name": name, "group": "policy", "shape": [size], "units": "-", "frame": frame, "description": "-", "of": of}
        for name, (size, frame, of) in OBSERVATIONS.items()
    ]
    start = [0.0] * 6 + [1.0]
    actions = {"terms": [RELATIVE_POSE, GRIPPER], "start": start, "at_initial_posture": start, "max_change": None}
    return {
        "flow_rl": "0.1.0",
        "task": "FlowRL-Lift-Franka",
        "stage": "pretrain",
        "learner": None,
        "revision": "0" * 40,
        "iteration": 0,
        "num_test_vectors": 6,
        "control": {"period": 0.1, "chunk_length": horizon},
        "frames": {"environment": "on the table"},
        "observations": terms,
        "cameras": [],
        "actions": actions | {"lower": [-1.0] * ACTION, "upper": [1.0] * ACTION},
        "robots": {"robot": ROBOT},
    }
