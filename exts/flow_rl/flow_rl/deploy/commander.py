# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What a policy's actions ask of an arm with a gripper, by the policy's contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from flow_rl.utils.check import require, require_choice

from . import rotations
from .observer import ArmState, only_robot

ARM = ("PoseAction", "Rot6dPoseAction", "JointPositionAction", "RelativeJointPositionAction")
FINGERS = ("BinaryJointPositionAction", "JointPositionAction")
"""Kinds of actions that are understood."""


@dataclass(frozen=True, eq=False)
class Target:
    """What an action asks of the arm: a pose of the tool in the frame of the robot's base, or joints; and fingers."""

    position: np.ndarray | None = None
    """Of the tool (3,) [m]."""

    quaternion: np.ndarray | None = None
    """Orientation of the hand (x, y, z, w)."""

    joints: np.ndarray | None = None
    """Joints of the arm (7,) [rad]."""

    is_open: bool | None = None
    """Whether the fingers shall be open; None to leave them."""


class Commander:
    """Makes an arm's targets of a contract's actions."""

    def __init__(self, contract: Mapping[str, Any]):
        """Look at what the contract's actions mean.

        Raises:
            InputError: They are not for one arm with a gripper.
        """
        robot = only_robot(contract)
        self._stroke = 2.0 * robot["limits"][-1][1]
        self._terms = [
            (term, slice(term["first"], term["first"] + term["size"])) for term in contract["actions"]["terms"]
        ]
        for term, _ in self._terms:
            require_choice(f"action {term['name']!r}: kind", term["kind"], ARM if _moves_arm(term) else FINGERS)
        kinds = [term["kind"] for term, _ in self._terms]
        arms = sum(_moves_arm(term) for term, _ in self._terms)
        require(
            arms == 1, "actions", kinds, "one term that moves the arm", "export a policy of a task with one Franka."
        )

    @property
    def moves_joints(self) -> bool:
        """Whether actions are positions of joints rather than poses of the tool."""
        return any("Joint" in term["kind"] for term, _ in self._terms if _moves_arm(term))

    @property
    def tool(self) -> tuple[float, ...] | None:
        """Where in the hand's frame the commanded tool is [m]; None for joints."""
        return next((tuple(term["tool"]) for term, _ in self._terms if "tool" in term), None)

    def target(self, action: np.ndarray, state: ArmState) -> Target:
        """What an action (A,) asks of an arm in a state."""
        wanted = {}
        for term, columns in self._terms:
            numbers = np.asarray(action, dtype=np.float64)[columns]
            wanted |= _arm(term, numbers, state) if _moves_arm(term) else self._fingers(term, numbers)
        return Target(**wanted)

    def start(self, state: ArmState) -> np.ndarray:
        """The action (A,) that keeps an arm, and its fingers, where they are."""
        is_open = state.width > 0.5 * self._stroke
        parts = [
            _keep(term, state) if _moves_arm(term) else self._keep_fingers(term, is_open) for term, _ in self._terms
        ]
        return np.concatenate(parts)

    def _fingers(self, term: Mapping[str, Any], numbers: np.ndarray) -> dict[str, bool]:
        """Open or closed: a real hand cannot be led to a width ten times per second."""
        if term["kind"] == "BinaryJointPositionAction":
            return {"is_open": bool(numbers[0] >= 0.0)}
        width = np.sum(np.array(term["offset"]) + np.array(term["scale"]) * numbers)
        return {"is_open": bool(width >= 0.5 * self._stroke)}

    def _keep_fingers(self, term: Mapping[str, Any], is_open: bool) -> np.ndarray:
        if term["kind"] == "BinaryJointPositionAction":
            return np.array([1.0 if is_open else -1.0])
        position = 0.5 * self._stroke * is_open
        return (position - np.array(term["offset"])) / np.array(term["scale"])


def _moves_arm(term: Mapping[str, Any]) -> bool:
    return not all("finger" in joint for joint in term["joints"])


def _arm(term: Mapping[str, Any], numbers: np.ndarray, state: ArmState) -> dict[str, np.ndarray]:
    """Pose or joints that a term asks for."""
    relative = term["hold"] == "zero"
    wanted = np.array(term["scale"]) * numbers + np.array(term.get("offset", 0.0))
    if "Joint" in term["kind"]:
        return {"joints": state.joints + wanted if relative else wanted}
    shift, turn = wanted[:3], wanted[3:]
    if term["kind"] == "Rot6dPoseAction":
        # as in training: zeros have no direction, and mean a hand that points down
        down = np.array((1.0, 0.0, 0.0, 0.0, -1.0, 0.0))
        quat = rotations.from_columns(turn if relative else turn + 1e-3 * down)
    else:
        quat = rotations.from_vector(turn) if relative else turn / np.linalg.norm(turn)
    pos = state.position + shift if relative else shift
    quat = rotations.multiply(quat, state.quaternion) if relative else quat
    if bounds := term["bounds_per_step"]:
        pos = state.position + rotations.bounded(pos - state.position, bounds["position"])
        way = rotations.to_vector(rotations.multiply(quat, rotations.inverse(state.quaternion)))
        quat = rotations.multiply(rotations.from_vector(rotations.bounded(way, bounds["angle"])), state.quaternion)
    return {"position": pos, "quaternion": quat}


def _keep(term: Mapping[str, Any], state: ArmState) -> np.ndarray:
    """Numbers that keep the arm where it is."""
    if term["hold"] == "zero":
        return np.zeros(term["size"])
    if "Joint" in term["kind"]:
        now = state.joints
    else:
        turned = rotations.to_columns if term["kind"] == "Rot6dPoseAction" else np.asarray
        now = np.concatenate((state.position, turned(state.quaternion)))
    return (now - np.array(term["offset"])) / np.array(term["scale"])
